"""The words around each word, as bands of small matrices.

    . x x x .          A block of R words against the R + 2w words around it: the pairs of words
    x . x x x          that are at most w apart are a band of this matrix, and so one product of
    x x . x x          matrices has all their dot products. What it computes beside the band is
    x x x . x          multiplied by 0, which costs less than to gather the pairs.

word2vec draws a radius b for each word, uniform from 1 to w (Mikolov, Chen, Corrado & Dean 2013,
section 3.2). A neighbor at distance d is inside with the probability

    a_d = (w - d + 1) / w

    T words of a batch, a multiple of R · B = T / R blocks · C = R + 2w columns · D width
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST_BLOCK = 16
"""The R of usual windows, for which small matrices are quickest."""


class Window(NamedTuple):
    """w, and the blocks that go with it."""

    size: int  # w

    @property
    def block(self) -> int:
        """R, a power of two that is not below w."""
        return max(SMALLEST_BLOCK, 1 << (self.size - 1).bit_length())

    @property
    def columns(self) -> int:
        """C"""
        return self.block + 2 * self.size

    def inner(self, rows: Tensor) -> Tensor:
        """(T + 2w, ..) -> (T, ..), a view."""
        return rows[self.size : len(rows) - self.size]

    def blocks(self, rows: Tensor) -> Tensor:
        """(T, ..) -> (B, R, ..), a view."""
        blocks: Tensor = rows.unflatten(0, (-1, self.block))
        return blocks

    def around(self, rows: Tensor) -> Tensor:
        """(T + 2w, ..) -> (B, C, ..), a view: the rows of the columns of each block."""
        columns: Tensor = rows.unfold(0, self.columns, self.block).movedim(-1, 1)
        return columns

    def block_range(self, piece: slice) -> slice:
        """The blocks of a piece of the words, which has whole ones."""
        return slice(piece.start // self.block, piece.stop // self.block)

    def with_around(self, piece: slice) -> slice:
        """A piece of the T words, with the w words on each side of it, among all T + 2w."""
        return slice(piece.start, piece.stop + 2 * self.size)

    def fold(self, columns: Tensor) -> Tensor:
        """(B, C, ..) -> (B, R, ..), a view of `columns`, which it changes: each word gets what was
        written to it as a column of the blocks before and after its own.

        What was written to the first and the last w words of all is left out.
        """
        w, R = self.size, self.block
        own = columns[:, w : w + R]
        own[1:, :w] += columns[:-1, w + R :]
        own[:-1, R - w :] += columns[1:, :w]
        return own

    def own_places(self, size: int, device: torch.device) -> Tensor:
        """(T + 2w,) where each of `size` words, with w more on each side, is in (B · C,), the
        columns of all blocks: in its own block, and those of no block in the first or the last."""
        word = torch.arange(size, device=device)
        own = word + self.size + 2 * self.size * (word // self.block)
        before = torch.arange(self.size, device=device)
        return torch.cat([before, own, own[-1] + 1 + before])

    def distances(self, device: torch.device) -> Tensor:
        """(R, C) how far apart the words of each pair of a block are."""
        columns = torch.arange(self.columns, device=device) - self.size
        return (columns - torch.arange(self.block, device=device)[:, None]).abs()

    def radius_weights(self, device: torch.device) -> Tensor:
        """(R, C) the a_d of each pair of a block; 0 for a word with itself, and beyond w."""
        distance = self.distances(device)
        return (self.size - distance + 1).clamp(min=0) / self.size * (distance > 0)

    def of_one_line(self, lines: Tensor) -> Tensor:
        """lines (T + 2w,) of the words and of w more on each side -> (B, R, C) bool, True for each
        pair of words of one line."""
        centers = self.blocks(self.inner(lines))  # (B, R)
        return centers[:, :, None] == self.around(lines)[:, None, :]

    def pair_weights(self, lines: Tensor) -> Tensor:
        """lines (T + 2w,) -> (B, R, C), a_d for each pair of words of one line, 0 for others."""
        return torch.where(self.of_one_line(lines), self.radius_weights(lines.device), 0.0)

    def pairs_within(self, radius: Tensor, lines: Tensor) -> Tensor:
        """radius (T,), lines (T + 2w,) -> (B, R, C) bool, True for each pair of words of one line
        that are no farther apart than the radius of the first."""
        distance = self.distances(lines.device)
        is_near = (distance > 0) & (distance <= self.blocks(radius)[:, :, None])
        return is_near & self.of_one_line(lines)
