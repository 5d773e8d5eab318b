"""Words as the leaves of a Huffman tree: what hierarchical softmax predicts in place of words.

Morin & Bengio (2005), "Hierarchical probabilistic neural network language model", over the tree
that word2vec has (Mikolov, Sutskever, Chen, Corrado & Dean 2013, section 2.1). A word is predicted
by a decision at each inner node on the path from the root to its leaf:

    p(x | h) = prod_{n on the path to x} σ(d_n u_n · h)

    h      the vector that predicts, (D,)       u_n    the output vector of the inner node n, (D,)
    d_n    1 where the path goes on to the first child of n, -1 where to the second

Since σ(-z) = 1 - σ(z), the probabilities of all words sum to 1, with V - 1 nodes for V words. As a
loss, with f_n = 1 where d_n = 1 and 0 where not:

    -log p(x | h) = sum_{n on the path to x} (log(1 + exp(u_n · h)) - f_n u_n · h)

Inner nodes are numbered from the root, 0, by falling counts, so that the nodes of a path rise. The
first K are the top of the tree (`tree_top.py`), and a path has a *rest* below it. A word that the
text does not have is not in the tree, and its path has no node.

    V words · L of them in the tree · P nodes on the longest path · F on some paths
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from seqlm.models.output.huffman_tree import huffman_tree
from seqlm.models.vectors.hierarchical.tree_top import TreeTop


class Decisions(NamedTuple):
    """Those on the paths of some words, word by word, each path from the root down."""

    nodes: Tensor  # (F,) int64
    is_first: Tensor  # (F,) float32, f_n
    word: Tensor  # (F,) int64, which of the words it is that the path leads to

    def fill(self, in_block: Tensor, most: Tensor, node: int, word: int) -> Decisions:
        """Those of blocks of words, which have `in_block` (B,) each, filled up to `most` (B,) with
        decisions at `node` on the way to `word`."""
        missing = most - in_block
        shift = (missing.cumsum(0) - missing).repeat_interleave(in_block)
        place = torch.arange(len(shift), device=shift.device) + shift

        def filled(values: Tensor, value: int) -> Tensor:
            return values.new_full((int(most.sum()),), value).index_copy_(0, place, values)

        return Decisions(
            filled(self.nodes, node), filled(self.is_first, 0), filled(self.word, word)
        )


class WordPaths(NamedTuple):
    """The paths of all words, word by word, each from the root down."""

    nodes: Tensor  # (F,) int32
    is_first: Tensor  # (F,) bool, f_n
    starts: Tensor  # (V,) int64, where each path starts
    sizes: Tensor  # (V,) int64, how many nodes it has
    top_sizes: Tensor  # (V,) int64, how many of them are of the top; they are its first
    top: TreeTop  # whose exits are of (V,) words

    @classmethod
    def of(cls, counts: Tensor, top: int) -> Self:
        """Of the `counts` (V,) of words, with so many nodes at the top."""
        words = counts.nonzero()[:, 0]  # (L,)
        nodes, directions = (to.to(counts.device) for to in paths_to_leaves(counts[words].tolist()))
        tree_top = TreeTop.of(nodes, directions, top)
        on_path = directions != 0
        in_top = on_path & (nodes < tree_top.size)

        def of_words(values: Tensor, other: int = 0) -> Tensor:
            """(L,) -> (V,), with another value for words that are not in the tree."""
            return torch.full_like(counts, other).index_copy_(0, words, values)

        sizes = of_words(on_path.sum(1))
        return cls(
            nodes[on_path],
            directions[on_path] == 1,
            starts=sizes.cumsum(0) - sizes,
            sizes=sizes,
            top_sizes=of_words(in_top.sum(1)),
            top=tree_top._replace(exit_of=of_words(tree_top.exit_of, tree_top.size)),
        )

    def rest_sizes(self, words: Tensor) -> Tensor:
        """words (..) -> (..) int64, how many nodes of the path of each are below the top."""
        return self.sizes[words] - self.top_sizes[words]

    def decisions(self, words: Tensor) -> Decisions:
        """All on the paths of `words` (n,)."""
        return self._decisions(self.starts[words], self.sizes[words])

    def rest(self, words: Tensor) -> Decisions:
        """Those below the top."""
        in_top = self.top_sizes[words]
        return self._decisions(self.starts[words] + in_top, self.sizes[words] - in_top)

    def _decisions(self, starts: Tensor, sizes: Tensor) -> Decisions:
        """So many from each start."""
        word = torch.repeat_interleave(sizes)  # (F,)
        shift = starts - sizes.cumsum(0) + sizes
        place = torch.arange(len(word), device=word.device) + shift.index_select(0, word)
        nodes, is_first = (part.index_select(0, place) for part in (self.nodes, self.is_first))
        return Decisions(nodes.long(), is_first.float(), word)


def paths_to_leaves(counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(L, P) int32 the nodes from the root to each leaf, and (L, P) int8 the directions there.

    A path that is shorter than P nodes begins with the root and the direction 0 for each that is
    missing.

    >>> nodes, directions = paths_to_leaves([2, 1, 1])
    >>> nodes.tolist(), directions.tolist()
    ([[0, 0], [0, 1], [0, 1]], [[0, 1], [-1, 1], [-1, -1]])
    """
    parent, direction = map(torch.tensor, huffman_tree(counts))
    root, at = len(parent) - 1, torch.arange(len(counts))
    nodes: list[Tensor] = []
    directions: list[Tensor] = []
    while not nodes or (at < root).any():
        directions.append(direction[at].to(torch.int8))
        at = parent[at]
        nodes.append((root - at).int())
    return torch.stack(nodes[::-1], 1), torch.stack(directions[::-1], 1)
