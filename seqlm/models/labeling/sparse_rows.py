"""Sums of the rows of a large table, whose gradients are sparse tensors.

    s_b = sum_i c_i e_{r_i}, over the i of bag b            dL/de_r = sum of c_i dL/ds_b(i), r_i = r

The gradient of the table is again a sum of rows over bags: the rows are those of dL/ds, and there
is a bag for each row that is used. So both take as long as there are terms, however many rows the
table has. Each sum is taken in the order of its terms, so that the result does not depend on the
number of threads.

R rows of the table · F terms · B bags · D width
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def sum_rows(table: Tensor, rows: Tensor, sizes: Tensor, factors: Tensor | None = None) -> Tensor:
    """table (R, D) -> (B, D): the sum of the first `sizes[0]` of `rows` (F,), of the next, ...

    `factors` (F,) multiply the terms.
    """
    starts = sizes.cumsum(0) - sizes
    return nn.functional.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=factors)


def add_to_rows(
    rows: Tensor, table: Tensor, sources: Tensor, num_rows: int, factors: Tensor | None = None
) -> Tensor:
    """A sparse tensor (num_rows, D): row `rows[i]` has the sum of `table[sources[i]]`, over the
    terms i (F,), each times its factor."""
    terms = len(rows)
    # Terms by row, and those of one row in their order.
    ordered = sort(rows * terms + torch.arange(terms, device=rows.device))
    row, count = (ordered // max(1, terms)).unique_consecutive(return_counts=True)
    order = ordered % max(1, terms)
    values = sum_rows(table, sources[order], count, None if factors is None else factors[order])
    return torch.sparse_coo_tensor(
        row[None], values, (num_rows, table.shape[1]), is_coalesced=True, check_invariants=False
    )


def bag_of_term(sizes: Tensor) -> Tensor:
    """sizes (B,) -> (F,), the bag that each term belongs to."""
    return torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)


def sort(numbers: Tensor) -> Tensor:
    """Whole numbers (F,) in rising order. On a CPU, NumPy is six times as fast as torch."""
    if numbers.is_cpu:
        return torch.from_numpy(np.sort(numbers.numpy()))
    return numbers.sort().values
