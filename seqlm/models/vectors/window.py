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

import torch
from torch import Tensor

BLOCK = 16
"""R"""


def radius_weights(window: int, device: torch.device) -> Tensor:
    """(R, C) the a_d of each pair of a block; 0 for a word with itself, and beyond the window."""
    columns = torch.arange(BLOCK + 2 * window, device=device) - window
    distance = (columns - torch.arange(BLOCK, device=device)[:, None]).abs()  # (R, C)
    return (window - distance + 1).clamp(min=0) / window * (distance > 0)


def in_windows(rows: Tensor, window: int) -> Tensor:
    """(T + 2w, ..) -> (B, C, ..), a view: the rows of the columns of each block."""
    columns: Tensor = rows.unfold(0, BLOCK + 2 * window, BLOCK).movedim(-1, 1)
    return columns


def in_blocks(rows: Tensor) -> Tensor:
    """(T, ..) -> (B, R, ..), a view."""
    return rows.unflatten(0, (-1, BLOCK))


def band_weights(lines: Tensor, window: int, weights: Tensor) -> Tensor:
    """(B, R, C): `weights` (R, C) for each pair of words of one line, else 0.

    lines: (T + 2w,), those of the words with w more on each side, which are of no line.
    """
    centers = in_blocks(lines[window : len(lines) - window])  # (B, R)
    same_line = centers[:, :, None] == in_windows(lines, window)[:, None, :]
    return torch.where(same_line, weights, weights.new_zeros(()))
