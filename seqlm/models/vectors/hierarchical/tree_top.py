"""The nodes near the root of a tree of words, each of which is on the paths of many.

There dense products of matrices are quicker than a row for each decision. The first K inner nodes
are the *top* of the tree, and a path leaves it by one of K + 1 exits. As far as the top goes, what
a vector x predicts is known by the weight c_e that each exit has:

    J = sum_n (c_n log(1 + exp(u_n · x)) - f_n u_n · x)        dJ/d(u_n · x) = c_n σ(u_n · x) - f_n

    c_n    the weight of all exits below n, which is the sum over its two children, and so on
    f_n    that of its first child                    u_n    the output vector of the node n, (D,)

    n vectors · L words in the tree · P nodes on the longest path · D width

Numbers 0 .. K - 1 are nodes of the top, and K .. 2K are exits.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor


class TreeTop(NamedTuple):
    exit_of: Tensor  # (L,) int64, the exit of each word
    children: Tensor  # (K, 2) int64, nodes or exits
    levels: list[Tensor]  # the nodes that are equally far from the root, the farthest first

    @classmethod
    def of(cls, nodes: Tensor, directions: Tensor, size: int) -> Self:
        """By the paths of all words (L, P), see `paths_to_leaves`, of `size` nodes if there are."""
        L, P = nodes.shape
        K = min(size, L - 1)
        on_path = directions != 0
        is_top = on_path & (nodes < K)
        leaves = torch.arange(L - 1, 2 * L - 1, device=nodes.device)  # numbered after inner nodes
        below = torch.cat([nodes[:, 1:], leaves[:, None]], 1)  # (L, P), what follows each node
        children = below.new_zeros(K, 2)
        children[nodes[is_top], (directions[is_top] < 0).long()] = below[is_top]
        is_exit = children >= K
        number = below.new_full((2 * L - 1,), K)
        number[children[is_exit]] = K + torch.arange(int(is_exit.sum()), device=nodes.device)
        children[is_exit] = number[children[is_exit]]
        last = P - 1 - (on_path & ~is_top).sum(1)  # (L,), where the last node of the top is
        exit_of = number[below.gather(1, last[:, None])[:, 0]]
        depth = number.new_zeros(K)
        depth[nodes[is_top]] = (on_path.cumsum(1) - 1)[is_top]
        levels = [(depth == far).nonzero()[:, 0] for far in depth.unique().flip(0)]
        return cls(exit_of, children, levels)

    @property
    def size(self) -> int:
        """K"""
        return len(self.children)

    def sum_weights(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """(2K + 1, n), rows of exits -> c and f (K, n). It fills the rows of nodes."""
        for level in self.levels:
            first, second = self.children[level].unbind(1)
            c[level] = c.index_select(0, first) + c.index_select(0, second)
        return c[: self.size], c.index_select(0, self.children[:, 0])


def product_gradients(x: Tensor, y: Tensor, c: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    """dJ/dx (n, D) and dJ/dy (m, D), where the products are x_i · y_j, with c and f (n, m)."""
    d_z = torch.mm(x, y.T).sigmoid_().mul_(c).sub_(f)
    return torch.mm(d_z, y), torch.mm(d_z.T, x)
