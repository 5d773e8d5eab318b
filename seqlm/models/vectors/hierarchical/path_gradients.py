"""Vectors that predict words along their paths: J of some pairs, and its gradients.

    J = - sum over pairs of a_st log p(x_t | v_s)

Words that are predicted stand in blocks of R, each with C vectors around it that predict them. The
nodes on the paths of a block meet all vectors around it in one product of matrices:

    (N, D) nodes on the paths of R words  ·  (D, C) vectors

This is done for the rest of the paths, below the top of the tree. Blocks are sorted by how many
such nodes they have, so that those of a piece have about as many, and are filled up to N. At the
top, all r different vectors meet K nodes (`tree_top.py`).

    B blocks of R words, C vectors around each · r different ones of these · D width · F decisions
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from seqlm.models.layers.sparse_rows import TermsByRow, sum_rows
from seqlm.models.vectors.hierarchical.tree_top import product_gradients
from seqlm.models.vectors.hierarchical.word_paths import Decisions, WordPaths
from seqlm.models.vectors.prediction import (
    LOSS_WORDS,
    TINY,
    BatchGradients,
    Terms,
    pieces_of,
    side_by_side,
)
from seqlm.models.vectors.word_vector_model import SparseGradient


class Pairs(NamedTuple):
    """Words, and what predicts them."""

    words: Tensor  # (B, R), those that are predicted
    around: Tensor  # (B, C), numbers of the vectors that predict them
    a: Tensor  # (B, R, C), the weight of each pair

    def take(self, blocks: Tensor) -> Pairs:
        """Those of some blocks."""
        return Pairs(*(part.index_select(0, blocks) for part in self))


@torch.no_grad()
def path_gradients(
    pairs: Pairs, vectors: Callable[[Tensor], Tensor], u: Tensor, paths: WordPaths
) -> BatchGradients:
    """Those of the vectors that predict, as inputs, and of the inner nodes u, as outputs.

    `vectors` gives the vectors with r different numbers, (r,) -> (r, D). The loss is that of the
    first LOSS_WORDS / 2 words.
    """
    device = u.device
    in_block, order = paths.rest_sizes(pairs.words).sum(1).sort(stable=True)  # (B,)
    words, around, a = pairs = pairs.take(order)
    pieces = pieces_of(len(order), device, rows=4 * words.shape[1])
    most = torch.cat([in_block[piece][-1:].expand(len(in_block[piece])) for piece in pieces])  # N
    ends = most.cumsum(0)
    rest = paths.rest(words.flatten()).fill(in_block, most, paths.top.size, words.numel())
    # The uses of vectors, and of nodes for decisions.
    uses, nodes = Terms.of(around.flatten()), TermsByRow.of(rest.nodes)
    v, x = vectors(uses.words), uses.word_of.view(around.shape)  # (r, D), (B, C)
    weights = with_zero(a)
    d_x = v.new_empty(*x.shape, v.shape[1])
    d_u = v.new_empty(len(rest.nodes), v.shape[1])

    def compute(piece: slice) -> None:
        end, number = int(ends[piece.stop - 1]), int(most[piece.start]) * (piece.stop - piece.start)
        some = slice(end - number, end)
        decisions = Decisions(*(part[some] for part in rest))
        Piece.of(v, x[piece], u, decisions, weights).gradients(d_x[piece], d_u[some])

    def of_top() -> tuple[Tensor, SparseGradient]:
        top = paths.top
        c = a.new_zeros(2 * top.size + 1, len(v))
        pair = top.exit_of[words][:, :, None] * len(v) + x[:, None, :]  # (B, R, C)
        c.view(-1).index_add_(0, pair.flatten(), a.flatten())
        c, f = top.sum_weights(c)  # (K, r)
        d_top, d_v = product_gradients(u[: top.size], v, c, f)
        return d_v, SparseGradient(torch.arange(top.size, device=device), d_top, c.sum(1))

    def of_rest() -> SparseGradient:
        m = weights.sum(1).index_select(0, rest.word)[:, None]
        d_rest, m = (sum_rows(each, nodes.order, nodes.sizes) for each in (d_u, m))
        return SparseGradient(nodes.rows, d_rest, m[:, 0])

    def of_vectors() -> tuple[Tensor, Tensor]:
        m = torch.bmm(paths.sizes[words].to(a)[:, None, :], a)  # (B, 1, C)
        return uses.add(d_x.flatten(0, 1)), uses.add(m.flatten())

    def loss() -> Tensor:
        """J of a pair of the first words, with the whole paths."""
        blocks = (order < max(1, LOSS_WORDS // 2 // words.shape[1])).nonzero()[:, 0]
        first, _, a_first = pairs.take(blocks)
        sizes = paths.sizes[first].sum(1)
        decisions = paths.decisions(first.flatten())
        decisions = decisions.fill(sizes, sizes.max().expand(len(sizes)), 0, first.numel())
        total = Piece.of(v, x[blocks], u, decisions, with_zero(a_first)).loss()
        return total / a_first.sum().clamp(min=TINY)

    compute_all = [partial(compute, piece) for piece in pieces]
    (d_v, top), value, *_ = side_by_side([of_top, loss, *compute_all], device)
    below, (d_v_rest, m) = side_by_side([of_rest, of_vectors], device)
    return BatchGradients(
        value,
        SparseGradient(uses.words, d_v + d_v_rest, m),
        SparseGradient(*map(torch.cat, zip(top, below))),
    )


def with_zero(a: Tensor) -> Tensor:
    """(B, R, C) -> (B · R + 1, C), the last of them 0."""
    return torch.cat([a.flatten(0, 1), a.new_zeros(1, a.shape[2])])


class Piece(NamedTuple):
    """Some blocks, with what they need gathered."""

    x: Tensor  # (B, C, D) the vectors around, which predict
    u: Tensor  # (B, N, D) the nodes on the paths that they predict
    f: Tensor  # (B, N, 1) 1 where a path goes on to the first child
    a: Tensor  # (B, N, C) the weight of each pair

    @classmethod
    def of(cls, v: Tensor, x: Tensor, u: Tensor, decisions: Decisions, weights: Tensor) -> Piece:
        """Of the rows of v for (B, C) numbers x, and those of u and of `weights` for (B · N,)
        decisions."""
        (blocks, columns), width = x.shape, v.shape[1]
        most = len(decisions.nodes) // blocks  # N
        return cls(
            v.index_select(0, x.flatten()).view(blocks, columns, width),
            u.index_select(0, decisions.nodes).view(blocks, most, width),
            decisions.is_first.view(blocks, most, 1),
            weights.index_select(0, decisions.word).view(blocks, most, columns),
        )

    def loss(self) -> Tensor:
        """J, ()."""
        z = torch.bmm(self.u, self.x.transpose(1, 2))
        return ((softplus(z) - self.f * z) * self.a).sum()

    def gradients(self, d_x: Tensor, d_u: Tensor) -> None:
        """Writes dJ/dx (B, C, D) and dJ/du (B · N, D)."""
        d_z = torch.bmm(self.u, self.x.transpose(1, 2)).sigmoid_().sub_(self.f).mul_(self.a)
        torch.bmm(d_z.transpose(1, 2), self.u, out=d_x)
        torch.bmm(d_z, self.x, out=d_u.view(self.u.shape))
