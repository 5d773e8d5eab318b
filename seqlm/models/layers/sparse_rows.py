"""Sums of the rows of a large table, whose gradients are sparse tensors.

    s_b = sum_i c_i e_{r_i}, over the i of bag b            dL/de_r = sum of c_i dL/ds_b(i), r_i = r

The gradient of the table is again a sum of rows over bags: the rows are those of dL/ds, and there
is a bag for each row that is used. So both take as long as there are terms, however many rows the
table has. Each sum is taken in the order of its terms, so that the result does not depend on the
number of threads.

R rows of the table, r of them used · F terms · B bags · D width
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn


def sum_rows(table: Tensor, rows: Tensor, sizes: Tensor, factors: Tensor | None = None) -> Tensor:
    """table (R, D) -> (B, D): the sum of the first `sizes[0]` of `rows` (F,), of the next, ...

    `factors` (F,) multiply the terms.
    """
    starts = sizes.cumsum(0) - sizes
    return nn.functional.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=factors)


class TermsByRow(NamedTuple):
    """Terms in the order of their rows, those of one row in their own order."""

    rows: Tensor  # (r,) int64, the different rows, rising
    sizes: Tensor  # (r,) int64, how many terms each has
    order: Tensor  # (F,) int64, the terms

    @classmethod
    def of(cls, rows: Tensor) -> TermsByRow:
        """By the row of each term, (F,)."""
        bits = len(rows).bit_length()
        ordered = sort((rows << bits) + torch.arange(len(rows), device=rows.device))
        different, sizes = (ordered >> bits).unique_consecutive(return_counts=True)
        return cls(different, sizes, ordered & ((1 << bits) - 1))

    def add(
        self, table: Tensor, sources: Tensor, num_rows: int, factors: Tensor | None = None
    ) -> Tensor:
        """`add_to_rows` of the rows that these terms have."""
        factors = None if factors is None else factors[self.order]
        values = sum_rows(table, sources[self.order], self.sizes, factors)
        return sparse_rows(self.rows, values, num_rows)


def add_to_rows(
    rows: Tensor, table: Tensor, sources: Tensor, num_rows: int, factors: Tensor | None = None
) -> Tensor:
    """A sparse tensor (num_rows, D): row `rows[i]` has the sum of `table[sources[i]]`, over the
    terms i (F,), each times its factor."""
    return TermsByRow.of(rows).add(table, sources, num_rows, factors)


def sparse_rows(rows: Tensor, values: Tensor, num_rows: int) -> Tensor:
    """A sparse tensor (num_rows, D) with `values` (r, D) in different, rising `rows` (r,)."""
    return torch.sparse_coo_tensor(
        rows[None],
        values,
        (num_rows, *values.shape[1:]),
        is_coalesced=True,
        check_invariants=False,
    )


def sum_terms(terms: Tensor, sizes: Tensor) -> Tensor:
    """terms (F,) -> (B,): the sum of the first `sizes[0]` of them, of the next, ..."""
    return torch.segment_reduce(terms, "sum", lengths=sizes)


PART = 1 << 12


def sum_in_order(terms: Tensor) -> Tensor:
    """terms (F,) -> their sum, (), by parts of PART terms.

    Torch's own sum of many terms has as many parts as there are threads, and so other last bits.
    """
    padding = -len(terms) % PART
    return nn.functional.pad(terms, (0, padding)).view(-1, PART).sum(1).sum()


def bag_of_term(sizes: Tensor) -> Tensor:
    """sizes (B,) -> (F,), the bag that each term belongs to."""
    return torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)


def sort(numbers: Tensor) -> Tensor:
    """Whole numbers (F,) in rising order. On a CPU, NumPy is six times as fast as torch."""
    if numbers.is_cpu:
        return torch.from_numpy(np.sort(numbers.numpy()))
    return numbers.sort().values
