"""The numbers of a sparse matrix, some or all of them, as models of word vectors read them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Entries(NamedTuple):
    """M numbers x of a matrix, and where they are."""

    rows: Tensor  # (M,) int64
    columns: Tensor  # (M,) int64
    x: Tensor  # (M,)

    @property
    def num_targets(self) -> int:
        return len(self.x)
