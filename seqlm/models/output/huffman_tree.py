"""The tree of Huffman (1952), "A method for the construction of minimum-redundancy codes".

Of all binary trees whose leaves occur `counts` times it has the shortest paths on average: less
than one node more than the leaves have bits of entropy.

Nodes are numbered: the L leaves are 0 .. L - 1, the inner nodes are L .. 2L - 2, children before
their parents and rare ones before frequent ones, and so the root is the last.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def huffman_tree(counts: Sequence[int]) -> tuple[list[int], list[int]]:
    """counts (L,) -> the parent of each of the 2L - 1 nodes, and the direction, 1 or -1, that leads
    from the parent to the node. The root's parent is the root, and its direction 0.

    Of nodes with equal counts the one with the lower number is joined first.

    >>> huffman_tree([5, 1, 2])
    ([4, 3, 3, 4, 4], [-1, 1, -1, 1, 0])
    """
    root = 2 * len(counts) - 2
    parent, direction = [root] * (root + 1), [0] * (root + 1)
    roots = [(count, leaf) for leaf, count in enumerate(counts)]
    heapq.heapify(roots)
    for node in range(len(counts), root + 1):
        total = 0
        for d in (1, -1):
            count, child = heapq.heappop(roots)
            parent[child], direction[child] = node, d
            total += count
        heapq.heappush(roots, (total, node))
    return parent, direction
