"""Columns made orthogonal, by a rotation of the space they span.

    Y^T Y = R L R^T          the eigenvalues L falling
    P = Y R                  whose columns are orthogonal, and have the squared lengths L

It is half of a singular value decomposition: the columns of P are the left singular vectors of Y,
times its singular values. A column that Y has no direction for, as its rank is lower, is 0. The
signs, which are free, are those with which the cubes of a column add up to a positive number.

Y^T Y is summed in float64, in blocks of rows: each is computed in one thread, and they are added up
in order, so that no number of threads changes a bit.

R rows · K columns
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqlm.machine.threads import one_thread, parallel_map

BLOCK = 1 << 12
"""Rows of a block."""
NEGLIGIBLE = 1e-13
"""The share of the greatest eigenvalue below which one is 0."""


def orthogonal_columns(y: Tensor) -> Tensor:
    """y (R, K) -> P (R, K), the longest column first."""
    threads, blocks = torch.get_num_threads(), y.split(BLOCK)
    with one_thread():
        gram = sum_of_blocks(lambda block: block.T @ block, y, threads)  # (K, K)
        eigenvalues, rotation = torch.linalg.eigh(gram)  # rising
        rotation = (rotation * (eigenvalues > NEGLIGIBLE * eigenvalues[-1])).flip(1)
        cubes = sum_of_blocks(lambda block: (block @ rotation).pow(3).sum(0), y, threads)  # (K,)
        rotation = torch.where(cubes < 0, -rotation, rotation).to(y.dtype)
        return torch.cat(parallel_map(lambda block: block @ rotation, blocks, y.device, threads))


def column_lengths(p: Tensor) -> Tensor:
    """p (R, K) -> (K,)."""
    threads = torch.get_num_threads()
    with one_thread():
        return sum_of_blocks(lambda block: block.square().sum(0), p, threads).sqrt().to(p.dtype)


def sum_of_blocks(function: Callable[[Tensor], Tensor], y: Tensor, threads: int) -> Tensor:
    """The sum of `function` of all blocks of `y` (R, K), in float64."""
    results = parallel_map(
        lambda block: function(block.double()), y.split(BLOCK), y.device, threads
    )
    return torch.stack(results).sum(0)
