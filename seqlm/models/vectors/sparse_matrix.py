"""Sparse matrices, as models of word vectors read them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from seqlm.models.layers.sparse_rows import sum_rows

BLOCK = 1 << 14
"""Rows whose product is computed at once."""


class Entries(NamedTuple):
    """M numbers x of a matrix, and where they are."""

    rows: Tensor  # (M,) int64
    columns: Tensor  # (M,) int64
    x: Tensor  # (M,)

    @property
    def num_targets(self) -> int:
        return len(self.x)


class SparseMatrix(NamedTuple):
    """A matrix (R, C) of U numbers that are not zero, row by row."""

    first: Tensor  # (R + 1,) int64, row i has the numbers first[i] to first[i + 1]
    columns: Tensor  # (U,) int32
    values: Tensor  # (U,)

    def times(self, table: Tensor) -> Tensor:
        """table (C, D) -> (R, D), each row summed in its order."""
        product = table.new_empty(len(self.first) - 1, table.shape[1])
        for start in range(0, len(product), BLOCK):
            first = self.first[start : start + BLOCK + 1]
            part = slice(int(first[0]), int(first[-1]))
            columns, values = (
                self.columns[part].to(table.device),
                self.values[part].to(table.device),
            )
            sizes = first.diff().to(table.device)
            product[start : start + BLOCK] = sum_rows(table, columns.long(), sizes, values)
        return product


class MatrixAndTranspose(NamedTuple):
    """A matrix that is multiplied from both sides."""

    matrix: SparseMatrix
    transpose: SparseMatrix

    @property
    def num_targets(self) -> int:
        return len(self.matrix.values)
