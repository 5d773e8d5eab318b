"""The counted n-grams of one order, and how they are found and spelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqlm.models.ngram.ngram_order import NGramOrder


class NGrams(NamedTuple):
    """U distinct n-grams, which continue the H n-grams of the order below, and their counts.

    They are sorted as those of a model (`ngram_order.py`). Those of order 1 are the whole
    vocabulary by id, seen or not, and continue the one empty context.
    """

    words: np.ndarray  # (U,) int32, the last word, scrambled; of order 1 the ids
    first: np.ndarray  # (H + 1,) int32, context h has the rows first[h] to first[h + 1]
    suffix: np.ndarray  # (U,) int32, row of the suffix in the order below
    counts: np.ndarray  # (U,) int32, or int64 if they need it: occurrences, or adjusted counts
    pruned_count: np.ndarray | None = None
    """(H,) int64, the counts of the continuations that were cut off; None if none were."""


class CountedOrder(NGramOrder):
    """An order that is walked over and spelled like that of a model, and has no probabilities."""

    def __init__(self, words: np.ndarray, first: np.ndarray) -> None:
        """`words` (U,), and `first` (U + 1,) of the order above, or (0,) where there is none."""
        self._words, self._first = words, first

    def __len__(self) -> int:
        return len(self._words)

    @property
    def words(self) -> np.ndarray:
        return self._words

    @property
    def first(self) -> np.ndarray:
        return self._first

    def _read(self, field: str, rows: np.ndarray) -> np.ndarray:
        values: np.ndarray = {"word": self._words, "first": self._first}[field][rows]
        return values


def orders_of(tables: Sequence[NGrams]) -> list[CountedOrder]:
    """The orders 1 … n of `tables`."""
    firsts = [*(table.first for table in tables[1:]), np.empty(0, np.int32)]
    return [CountedOrder(table.words, first) for table, first in zip(tables, firsts)]
