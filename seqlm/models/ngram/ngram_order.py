"""The n-grams of one order: a record each, sorted so that a look-up is a walk.

An n-gram is its *context*, all its words but the last, and that last *word*. The n-grams of order k
are the rows of one array, sorted by

    ( row of w₁ … wₖ₋₁ in the array of order k-1,  scrambled wₖ )        row(w₁) = id of w₁

so that the words which continue a context are neighbors: context h has the rows first[h] up to, and
without, first[h + 1]. Of the text `the cat sat </s> the dog sat </s>`, with ids from `<unk>` 0 and
`</s>` 1 to `sat` 5 (so few types stay where they are when they are scrambled), these are the orders

    row       0         1        2        3        4        5         6
    unigram   <unk>     </s>     the      cat      dog      sat
    first     0         0        1        3        4        5         6
    bigram    </s> the  the cat  the dog  cat sat  dog sat  sat </s>
    word      2         3        4        5        5        1

A look-up is a walk, one order a word: row(w₁ … wₖ) is found among the continuations of
row(w₁ … wₖ₋₁). Whatever is asked of an n-gram is in its record, which a single cache line holds.
The last record is of no n-gram: its `first` ends the continuations of the one before it.

    V vocabulary size · U n-grams of an order · H those of the order below, the contexts · Q queries
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RECORD = np.dtype([("word", "<i4"), ("first", "<i4"), ("log_prob", "<f4"), ("backoff", "<f4")])
"""An n-gram below the highest order. Its word is scrambled (`scrambling.py`); a unigram's row is
its id."""
HIGHEST = np.dtype([("word", "<i4"), ("log_prob", "<f4")])
"""An n-gram of the highest order, which nothing continues."""
NUMBERS = ("log_prob", "backoff")
"""The fields that are logarithms."""


class RecordLayout(NamedTuple):
    """The shape of the records of an order."""

    rows: int
    """U."""
    is_highest: bool

    def types(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """The shape and the type of every array that is stored."""
        return {"records": ((self.rows + 1, 2 if self.is_highest else 4), "int32")}

    def order(self, arrays: Mapping[str, np.ndarray]) -> NGramOrder:
        return NGramOrder(arrays["records"].view(HIGHEST if self.is_highest else RECORD)[:, 0])


class NGramOrder:
    """The n-grams of one order k.

    >>> len(BIGRAMS), BIGRAMS.words.tolist(), UNIGRAMS.first.tolist()
    (6, [2, 3, 4, 5, 5, 1], [0, 0, 1, 3, 4, 5, 6])
    """

    verify: Callable[[np.ndarray | None], None] | None = None
    """Is called with the rows (Q,), from 0 to U, that are about to be read, or None for all, where
    they are in a file that nobody has looked at yet. It raises an error where one is damaged."""

    def __init__(self, records: np.ndarray) -> None:
        """`records` (U + 1,) are of the type RECORD or HIGHEST."""
        self.records = records

    def __len__(self) -> int:
        return len(self.records) - 1

    # -- whole columns, which are views that can be written to

    @property
    def words(self) -> np.ndarray:
        """(U,) int32, the last word of each n-gram, scrambled."""
        return self._column("word")

    @property
    def log_prob(self) -> np.ndarray:
        """(U,) float32, log p*."""
        return self._column("log_prob")

    @property
    def backoff(self) -> np.ndarray:
        """(U,) float32, log β; not of the highest order."""
        return self._column("backoff")

    @property
    def first(self) -> np.ndarray:
        """(U + 1,) int32, where the continuations of each n-gram begin one order up, and the end;
        not of the highest order."""
        return self._column("first")

    def _column(self, field: str) -> np.ndarray:
        self.verify_all()
        column: np.ndarray = self.records[field]
        return column if field == "first" else column[:-1]

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored, by name."""
        self.verify_all()
        return {"records": self.records.view(np.int32).reshape(len(self) + 1, -1)}

    def verify_all(self) -> None:
        if self.verify is not None:
            self.verify(None)

    # -- single rows

    def words_at(self, rows: np.ndarray) -> np.ndarray:
        """(Q,) int32, the scrambled words of `rows` (Q,)."""
        return self._read("word", rows)

    def log_prob_at(self, rows: np.ndarray) -> np.ndarray:
        """(Q,) float32."""
        return self._read("log_prob", rows)

    def backoff_at(self, rows: np.ndarray) -> np.ndarray:
        """(Q,) float32."""
        return self._read("backoff", rows)

    def first_at(self, rows: np.ndarray) -> np.ndarray:
        """(Q,) int32, where the continuations of `rows` (Q,) from 0 to U begin."""
        return self._read("first", rows)

    def _read(self, field: str, rows: np.ndarray) -> np.ndarray:
        if self.verify is not None:
            self.verify(rows)
        values: np.ndarray = self.records[field][rows]
        return values

    def continuations(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows (C,) one order up of all n-grams that continue `rows` (Q,), and how many each
        has (Q,).

        >>> rows, sizes = UNIGRAMS.continuations(np.array([5, 2]))  # of sat and the
        >>> rows.tolist(), sizes.tolist()
        ([5, 1, 2], [1, 2])
        """
        low, high = (self.first_at(ends).astype(np.int64) for ends in (rows, rows + 1))
        sizes = (high - low).clip(min=0)
        shift = (low - (sizes.cumsum() - sizes)).repeat(sizes)  # (C,)
        return shift + np.arange(len(shift)), sizes

    def contexts_of(self, rows: np.ndarray) -> np.ndarray:
        """(Q,) int64, the n-gram of this order that each of `rows` (Q,) one order up continues.

        >>> UNIGRAMS.contexts_of(np.array([1, 2, 5])).tolist()  # the cat, the dog, sat </s>
        [2, 2, 5]
        """
        low, high = np.zeros(len(rows), np.int64), np.full(len(rows), len(self))
        for _ in range(len(self).bit_length()):  # halving; first[low] ≤ row < first[high]
            middle = (low + high) // 2
            before = self.first_at(middle) <= rows
            low, high = np.where(before, middle, low), np.where(before, high, middle)
        return low

    # -- neighboring rows as they are stored, to be verified; `start` is a multiple of 64

    def stored_at(self, start: int, stop: int) -> Iterator[tuple[str, slice]]:
        """What of the `arrays` holds rows `start` up to `stop`, and where their continuations end.

        The place of one may depend on the one before it, which is to be verified first.
        """
        yield "records", slice(start, stop + 1)

    def words_between(self, start: int, stop: int) -> np.ndarray:
        """(R,) int32, the scrambled words of any rows `start` up to `stop`."""
        words: np.ndarray = self.records["word"][start:stop]
        return words

    def first_between(self, start: int, stop: int) -> np.ndarray:
        """(R + 1,) where the continuations of rows `start` up to `stop` begin, and the end.

        Errors: ValueError where they are damaged.
        """
        first: np.ndarray = self.records["first"][start : stop + 1]
        return first

    def numbers_between(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """By field, the logarithms that rows `start` up to `stop` may have."""
        fields = self.records.dtype.names or ()
        return {field: self.records[field][start:stop] for field in NUMBERS if field in fields}


def new_records(rows: int, highest: bool) -> np.ndarray:
    """(U + 1,) records of zeros, of so many n-grams."""
    return np.zeros(rows + 1, HIGHEST if highest else RECORD)


def make_records(
    words: np.ndarray,
    log_prob: np.ndarray,
    backoff: np.ndarray | None = None,
    first: np.ndarray | None = None,
) -> np.ndarray:
    """(U + 1,) records of columns: `first` is (U + 1,), the others are (U,). The highest order has
    two of them."""
    records = new_records(len(words), highest=first is None)
    records["word"][:-1], records["log_prob"][:-1] = words, log_prob
    if first is not None:
        records["first"], records["backoff"][:-1] = first, backoff
    return records


def example_orders() -> tuple[NGramOrder, NGramOrder]:
    """The orders at the head of this file, for examples."""
    first, zeros = np.array([0, 0, 1, 3, 4, 5, 6]), np.zeros(6)
    unigrams = make_records(np.arange(6), zeros, zeros, first)
    return NGramOrder(unigrams), NGramOrder(make_records(np.array([2, 3, 4, 5, 5, 1]), zeros))


# ------------------------------------------------------------------------------------- in contexts


def context_blocks(first: np.ndarray, rows: int) -> Iterator[tuple[slice, slice]]:
    """An order in blocks of whole contexts that have about `rows` rows: (contexts, rows) each.

    `first` (H + 1,) is that of the order below.

    >>> list(context_blocks(np.array([0, 0, 1, 3, 4, 5, 6]), 3))
    [(slice(0, 3, None), slice(0, 3, None)), (slice(3, 6, None), slice(3, 6, None))]
    """
    first = np.ascontiguousarray(first)  # which a search would make it anew
    targets = np.arange(0, int(first[-1]), rows, dtype=first.dtype)
    cuts = np.unique([*np.searchsorted(first, targets), 0, len(first) - 1])
    bounds = zip(cuts.tolist(), first[cuts].tolist(), strict=True)
    for (context, row), (next_context, next_row) in pairwise(bounds):
        yield slice(context, next_context), slice(row, next_row)


def row_contexts(first: np.ndarray) -> np.ndarray:
    """(U,) int64, the context of every row, from the `first` (H + 1,) of the order below.

    >>> row_contexts(np.array([0, 0, 1, 3])).tolist()
    [1, 2, 2]
    """
    return np.arange(len(first) - 1).repeat(np.diff(first))


def segment_sum(
    values: np.ndarray, first: np.ndarray, dtype: npt.DTypeLike = np.int64
) -> np.ndarray:
    """(H,) the sum of the `values` (U,) of each context's rows, which are first[h] … first[h+1].

    >>> segment_sum(np.array([1, 10, 100]), np.array([0, 0, 1, 3])).tolist()
    [0, 1, 110]
    """
    sums = np.zeros(len(values) + 1, dtype)
    np.cumsum(values, dtype=dtype, out=sums[1:])
    return np.diff(sums[first])


# ---------------------------------------------------------------------------------------- spelling


def words_of_range(orders: Sequence[NGramOrder], start: int, stop: int) -> list[np.ndarray]:
    """The words of rows `start` to `stop` of order k, given the `orders` 1 … k.

    Returns k columns (U,) int32: the ids of the first words, then the scrambled words.

    >>> spelled = words_of_range([UNIGRAMS, BIGRAMS], 1, 4)  # the cat, the dog, cat sat
    >>> [column.tolist() for column in spelled]
    [[2, 2, 3], [3, 4, 5]]
    """
    columns: list[np.ndarray] = []
    position: np.ndarray | None = None  # (U,) of each n-gram's row in start … stop, if they differ
    for below, order in reversed([*pairwise(orders)]):
        words = order.words_at(np.arange(start, stop))
        columns.append(words if position is None else words.take(position))
        if start < stop:
            # The contexts of a range are a range, each repeated by the number of its rows here.
            low, high = below.contexts_of(np.array([start, stop - 1])).tolist()
            sizes = np.diff(below.first_at(np.arange(low, high + 2)).clip(start, stop))
            contexts = np.arange(high + 1 - low).repeat(sizes)
            position = contexts if position is None else contexts.take(position)
            start, stop = low, high + 1
    if position is None:
        position = np.arange(max(stop - start, 0))
    return [(position + start).astype(np.int32), *reversed(columns)]


def words_of_rows(orders: Sequence[NGramOrder], rows: np.ndarray) -> list[np.ndarray]:
    """The words of any `rows` (U,) of order k, with a search for the context of each.

    >>> spelled = words_of_rows([UNIGRAMS, BIGRAMS], np.array([4, 1]))
    >>> [column.tolist() for column in spelled]
    [[4, 2], [5, 3]]
    """
    columns: list[np.ndarray] = []
    for below, order in reversed([*pairwise(orders)]):
        columns.append(order.words_at(rows))
        rows = below.contexts_of(rows)
    return [rows.astype(np.int32), *reversed(columns)]
