"""Paths of words against walks through Huffman's tree, and the top of the tree against sums."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqlm.models.output.huffman_tree import huffman_tree
from seqlm.models.vectors.hierarchical.tree_top import product_gradients
from seqlm.models.vectors.hierarchical.word_paths import WordPaths

COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=25).filter(any)
TOP = st.integers(1, 30)


def slow_path(counts: list[int], word: int) -> list[tuple[int, int]]:
    """The inner nodes from the root to a word, numbered from the root, and the directions."""
    words = [x for x, count in enumerate(counts) if count]
    if word not in words:
        return []
    parent, direction = huffman_tree([counts[x] for x in words])
    node, path = words.index(word), []
    while node != len(parent) - 1:
        path.append((len(parent) - 1 - parent[node], direction[node]))
        node = parent[node]
    return path[::-1]


def found_paths(paths: WordPaths, part: Callable, words: list[int]) -> list[list[tuple[int, int]]]:
    """For each of the words, its decisions."""
    found: list[list[tuple[int, int]]] = [[] for _ in words]
    for node, is_first, place in zip(*(each.tolist() for each in part(torch.tensor(words)))):
        found[place].append((node, 1 if is_first else -1))
    return found


@given(counts=COUNTS, size=TOP)
def test_paths_are_those_of_a_walk_through_the_tree(counts: list[int], size: int) -> None:
    paths = WordPaths.of(torch.tensor(counts), size)
    words = [*range(len(counts)), 0]
    expected = [slow_path(counts, word) for word in words]
    assert found_paths(paths, paths.decisions, words) == expected
    below = [[(node, d) for node, d in path if node >= paths.top.size] for path in expected]
    assert found_paths(paths, paths.rest, words) == below
    assert paths.rest_sizes(torch.tensor(words)).tolist() == [len(path) for path in below]
    assert all(path == sorted(path) for path in expected)


@given(counts=COUNTS, size=TOP)
def test_the_probabilities_of_all_words_sum_to_1(counts: list[int], size: int) -> None:
    paths = WordPaths.of(torch.tensor(counts), size)
    words = torch.tensor(counts).nonzero()[:, 0]
    z = torch.randn(len(counts), dtype=torch.float64)  # u · h of each node
    nodes, is_first, word = paths.decisions(words)
    p = torch.where(is_first == 1, z[nodes].sigmoid(), 1 - z[nodes].sigmoid())
    of_words = torch.ones(len(words), dtype=torch.float64).scatter_reduce(0, word, p, "prod")
    assert of_words.sum().item() == pytest.approx(1)


@given(counts=COUNTS, size=TOP)
def test_weights_of_nodes_are_sums_over_the_words_below(counts: list[int], size: int) -> None:
    paths = WordPaths.of(torch.tensor(counts), size)
    top = paths.top
    words = [x for x, count in enumerate(counts) if count]
    assert top.size == min(size, len(words) - 1)
    assert sorted({*top.exit_of[words].tolist()}) == [*range(top.size, 2 * top.size + 1)]
    weights = torch.rand(len(counts), 3, dtype=torch.float64)
    c, f = (torch.zeros(top.size, 3, dtype=torch.float64) for _ in range(2))
    of_exits = torch.zeros(2 * top.size + 1, 3, dtype=torch.float64)
    for word in words:
        of_exits[top.exit_of[word]] += weights[word]
        for node, direction in slow_path(counts, word):
            if node < top.size:
                c[node] += weights[word]
                f[node] += weights[word] * (direction == 1)
    torch.testing.assert_close(top.sum_weights(of_exits), (c, f))


def test_decisions_are_filled_up_block_by_block() -> None:
    counts = torch.tensor([0, 8, 4, 2, 1, 1])
    paths = WordPaths.of(counts, 1)
    words = torch.tensor([1, 2, 5, 0])  # two blocks, with paths of 1 + 2 and of 4 + 0 nodes
    filled = paths.decisions(words).fill(torch.tensor([3, 4]), torch.tensor([4, 6]), 77, 99)
    assert filled.nodes.tolist() == [0, 0, 1, 77, 0, 1, 2, 3, 77, 77]
    assert filled.word.tolist() == [0, 1, 1, 99, 2, 2, 2, 2, 99, 99]
    plain = paths.decisions(words).is_first.tolist()
    assert filled.is_first.tolist() == [*plain[:3], 0, *plain[3:], 0, 0]


def test_gradients_of_products_are_those_of_autograd() -> None:
    x, y = torch.randn(4, 3).double().requires_grad_(), torch.randn(5, 3).double().requires_grad_()
    c = torch.rand(4, 5).double()
    f = c * torch.rand(4, 5)
    z: Tensor = x @ y.T
    objective = (c * torch.nn.functional.softplus(z) - f * z).sum()
    found = product_gradients(x.detach(), y.detach(), c, f)
    torch.testing.assert_close(found, torch.autograd.grad(objective, (x, y)))
