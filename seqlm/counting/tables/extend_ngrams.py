"""Longer n-grams from shorter ones, a range of contexts at a time, by arrays.

    pack     the places of a range, each one word on            ->  a sort key for each
    unpack   the sorted keys                                    ->  places, n-gram by n-gram
    number   the places, n-gram by n-gram, and the first row    ->  rows of the table

A key has the context above the word above the place, as `TaggedKeys` of `sort_keys.py`. Where an
n-gram begins among the places, its first place is marked by its sign bit until rows are numbered.
Of all this only `number` reads and writes the text in a random order; whatever is asked of a place
then stands in one cell.

`extend_compiled.py` has the same functions as compiled loops, which give the same numbers.

    N places of the text · V vocabulary · H contexts, of which a range is low … high
    M places of a range · U n-grams
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seqlm.models.ngram.sort_keys import TaggedKeys, first_of_equals

ROW, FOLLOWING = 0, 1
"""The columns of the cells (N, 2) int32 of a text: the row of the longest n-gram so far that ends
at a place, and the scrambled word at the next place."""
NO_WORD = -1
"""What follows the last place."""
MARK, PLACE = np.int32(-(2**31)), np.int32(2**31 - 1)
"""The sign bit of a place, and the other bits."""


class Ends(NamedTuple):
    """Where the n-grams of one order end: n-gram u at places[start[u]] and those that follow, as
    often as it occurs."""

    places: np.ndarray  # (N,) int32, those of one n-gram in rising order
    following: np.ndarray  # (N,) int32, the scrambled word at the place after each
    start: np.ndarray  # (U,) int32, rising
    counts: np.ndarray  # (U,) int32


class Rows(NamedTuple):
    """Columns of a table that are filled in, and where its n-grams begin among the places."""

    words: np.ndarray  # (U,) int32, scrambled
    suffix: np.ndarray  # (U,) int32
    counts: np.ndarray  # (U,) int32
    start: np.ndarray  # (U,) int32; (0,) where no order follows


def group_by_word(cells: np.ndarray, vocab_size: int) -> Ends:
    """The places of a text by word, whose ids are the rows in `cells` (N, 2)."""
    ids, following = cells.T
    order = np.argsort(ids, kind="stable").astype(np.int32)
    counts = np.bincount(ids, minlength=vocab_size).astype(np.int32)
    return Ends(order, following[order], starts_of(counts), counts)


def starts_of(counts: np.ndarray) -> np.ndarray:
    """(U,) int32, the sum of the `counts` (U,) before each.

    >>> starts_of(np.array([2, 1, 3])).tolist()
    [0, 2, 3]
    """
    starts: np.ndarray = counts.cumsum() - counts
    return starts.astype(np.int32)


def pack(ends: Ends, is_over: np.ndarray, low: int, high: int, layout: TaggedKeys) -> np.ndarray:
    """(M,) int64 keys of what continues the contexts low … high, whose places are `ends`.

    Nothing continues a context that `is_over` (H,).
    """
    contexts = low + np.flatnonzero(~is_over[low:high])
    sizes = ends.counts[contexts]
    at = (ends.start[contexts] - starts_of(sizes)).repeat(sizes) + np.arange(sizes.sum())
    owners = (contexts - low).repeat(sizes)
    words, places = ends.following[at], ends.places[at] + np.int32(1)
    goes_on = words != NO_WORD
    return layout.pack(owners[goes_on], words[goes_on], places[goes_on])


def unpack(keys: np.ndarray, places: np.ndarray, rows: np.ndarray, layout: TaggedKeys) -> int:
    """How many n-grams sorted `keys` (M,) have.

    Writes the `places` (M,), with a mark at the first one of each n-gram, and how many `rows`
    (high - low,) each context and those before it have.
    """
    new = first_of_equals(keys >> layout.tag_bits)
    places[:] = layout.tags(keys)
    places[new] |= MARK
    contexts = keys[new] >> layout.word_bits + layout.tag_bits
    rows[:] = np.bincount(contexts, minlength=len(rows)).cumsum()
    return int(new.sum())


def number(
    cells: np.ndarray,
    places: np.ndarray,
    following: np.ndarray,
    begin: int,
    end: int,
    row: int,
    rows: Rows,
) -> None:
    """Fills in the `rows` from `row` on, of the n-grams at `places` (N,) begin … end.

    Their marks are taken away. The n-grams become the longest that end there, and what is
    `following` (N,) them is filled in, unless no order follows.
    """
    part = places[begin:end]  # (M,) a view
    first = np.flatnonzero(part < 0)
    part &= PLACE
    of_range = slice(row, row + len(first))
    rows.words[of_range] = cells[part[first] - 1, FOLLOWING]
    rows.suffix[of_range] = cells[part[first], ROW]
    counts = np.diff(np.append(first, end - begin))
    rows.counts[of_range] = counts
    if len(rows.start):
        rows.start[of_range] = begin + first
        following[begin:end] = cells[part, FOLLOWING]
        cells[part, ROW] = np.arange(row, of_range.stop).repeat(counts)
