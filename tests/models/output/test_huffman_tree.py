"""Huffman's tree against all trees."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.output.huffman_tree import huffman_tree

COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=12)


def cost(counts: list[int]) -> int:
    """The sum of the lengths of the paths, weighted by counts."""
    parent, _ = huffman_tree(counts)
    total = 0
    for leaf, count in enumerate(counts):
        node = leaf
        while node != len(parent) - 1:
            node, total = parent[node], total + count
    return total


def least_cost(counts: tuple[int, ...]) -> int:
    """The least cost of any binary tree, over all ways of joining two nodes at a time."""
    if len(counts) == 1:
        return 0
    pairs = [(i, j) for i in range(len(counts)) for j in range(i)]
    return min(
        counts[i] + counts[j]
        + least_cost((*(c for k, c in enumerate(counts) if k not in (i, j)), counts[i] + counts[j]))
        for i, j in pairs
    )  # fmt: skip


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_no_tree_is_cheaper_than_huffmans(counts):
    assert cost(counts) == least_cost(tuple(counts))


def test_the_expected_length_of_a_path_is_less_than_a_bit_above_the_entropy():
    counts = [1000 // (rank + 1) for rank in range(300)]
    total = sum(counts)
    entropy = -sum(n / total * math.log2(n / total) for n in counts)
    assert entropy <= cost(counts) / total < entropy + 1


@given(COUNTS)
def test_every_inner_node_has_a_child_in_each_direction(counts):
    parent, direction = huffman_tree(counts)
    children = sorted(zip(parent[:-1], direction[:-1]))
    assert children == [(n, d) for n in range(len(counts), len(parent)) for d in (-1, 1)]


@given(COUNTS)
def test_a_node_is_never_more_frequent_than_a_later_inner_node(counts):
    """By the sums over the leaves below."""
    parent, _ = huffman_tree(counts)
    totals = counts + [0] * (len(counts) - 1)
    for node in range(len(parent) - 1):
        totals[parent[node]] += totals[node]
    inner = totals[len(counts) :]
    assert inner == sorted(inner)
    assert all(totals[node] <= totals[parent[node]] for node in range(len(parent)))
