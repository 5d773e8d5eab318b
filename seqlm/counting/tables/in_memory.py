"""Every distinct n-gram of a text, order by order, and how often each occurs.

The row of an n-gram is its rank by (row of its context, last word). Each order is made from the one
below:

    1. Take the places of the text, grouped by the (k-1)-grams that end there.
    2. Move each place on by one word.
    3. Sort by (row of the (k-1)-gram, word): equal keys are one k-gram, and their number its count.

For the text `the cat the cat </s>`, with `</s>` as place 0 before it:

    n-gram      ends at       n-gram         ends at        ids: </s> 1, cat 2, the 3
    </s> the    1             </s> the cat   2
    cat </s>    5             cat the cat    4
    cat the     3             the cat </s>   5
    the cat     2, 4          the cat the    3

A range of contexts is sorted at a time, so that it stays in the cache, by keys that carry their
places along; threads share the ranges. The (k-1)-gram that ends where a k-gram ends is its
*suffix*, the n-gram it backs off to. What is done with a range is in `extend_ngrams.py`, and for a
large text as compiled loops in `extend_compiled.py`.

`</s>` is the one boundary. It ends a line, and as the first word of an n-gram it stands for the
start of the next. With context "sentence" no n-gram reaches over it: `</s>` is the first or the
last of its words. With context "carried" it is a word like any other. In both, the text itself
comes after one more `</s>`, which is context only and not counted.

    N places · V vocabulary · U distinct n-grams of this order · H of the order below
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from types import ModuleType

import numpy as np

from seqlm.counting.tables import extend_ngrams
from seqlm.counting.tables.array_passes import blocks, ranges_of
from seqlm.counting.tables.extend_ngrams import FOLLOWING, NO_WORD, ROW, Ends, Rows
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import DataError
from seqlm.machine.compilation import is_compiled
from seqlm.machine.memory import in_usual_pages
from seqlm.machine.threads import parallel_map
from seqlm.models.ngram.scrambling import scramble_ids
from seqlm.models.ngram.sort_keys import TaggedKeys
from seqlm.progress import Progress, silent
from seqlm.text.vocabulary import EOS, count_ids

RANGE = 1 << 16
"""Places that are sorted at a time, about."""


def count_ngrams(
    ids: np.ndarray,
    vocab_size: int,
    order: int,
    context: str = "sentence",
    key_bits: int | None = None,
    progress: Progress = silent,
    before: Sequence[int] = (EOS,),
) -> list[NGrams]:
    """The n-grams of orders 1 to `order` of a stream of `ids` (N,) that ends with `</s>`.

    `before` (P < order,) stands before the text: n-grams that end in it are not counted. Sort
    keys are as wide as KEY_BITS; narrower ones of `key_bits` make more and smaller ranges.

    Errors: DataError on an empty text, or one that 31 bits cannot number.

    >>> unigrams, bigrams = count_ngrams(np.array([2, 3, 2, 3, 1]), vocab_size=4, order=2)
    >>> bigrams.first.tolist(), bigrams.words.tolist()  # </s> 2, 2 3, 3 </s>, 3 2
    ([0, 0, 1, 2, 4], [2, 3, 1, 2])
    >>> unigrams.counts.tolist(), bigrams.counts.tolist()
    ([0, 1, 2, 2], [1, 2, 1, 1])
    """
    if len(ids) == 0:
        raise DataError("the text is empty: there is nothing to count")
    if len(ids) >= 2**31 - 1:
        raise DataError(f"{len(ids):,} tokens are too many to count at once: at most 2^31 - 2")
    assert 0 <= ids.min() <= ids.max() < vocab_size, "an id outside the vocabulary"
    progress("counting 1-grams")
    orders = [count_unigrams(ids, vocab_size)]
    if order == 1:
        return orders
    frontier = Frontier(np.array(before, np.int32), ids, vocab_size, key_bits)
    del ids  # which may be all that holds them
    in_before = []  # of each order, the rows of the n-grams that end in `before`
    for k in range(2, order + 1):
        progress(f"counting {k}-grams")
        # A line ends with `</s>`, which after order 1 is the context in which the next one begins.
        is_over = orders[-1].words == frontier.end_of_line
        if context != "sentence" or k == 2:
            is_over[:] = False
        orders.append(frontier.extend(is_over, is_highest=k == order))
        in_before.append(frontier.cells[k - 1 : len(before), ROW].copy())
    for table, rows in zip(orders[1:], in_before):
        np.subtract.at(table.counts, rows, 1)
    return orders


def count_unigrams(ids: np.ndarray, vocab_size: int) -> NGrams:
    """Every entry of the vocabulary has a row, its id; all continue the one empty context."""
    rows = np.arange(vocab_size, dtype=np.int32)
    first = np.array([0, vocab_size], np.int32)
    return NGrams(rows, first, np.zeros_like(rows), count_ids(ids, vocab_size).astype(np.int32))


def code_for(size: int) -> ModuleType:
    """The functions that extend n-grams: as compiled loops for a large text."""
    if is_compiled(size):
        from seqlm.counting.tables import extend_compiled

        return extend_compiled
    return extend_ngrams


class Frontier:
    """Where the n-grams of the order just counted end: what the next order grows from."""

    def __init__(
        self,
        before: np.ndarray,
        ids: np.ndarray,
        vocab_size: int,
        key_bits: int | None = None,
    ) -> None:
        """The text is `ids` (N - P,) after those `before` it (P,)."""
        size = len(before) + len(ids)  # N
        self.code = code_for(size)
        self.layout = TaggedKeys.of(vocab_size, size, key_bits)
        scrambled = scramble_ids(np.arange(vocab_size), vocab_size)
        self.end_of_line = scrambled[EOS]
        self.cells = np.empty((size, 2), np.int32)  # in huge pages, for a random order
        self.cells[: len(before), ROW] = before
        self.cells[: len(before) - 1, FOLLOWING] = scrambled[before[1:]]
        self.cells[-1, FOLLOWING] = NO_WORD
        of_ids = self.cells[len(before) - 1 :]  # with the place before them

        def fill_in(part: slice) -> None:
            of_ids[1:, ROW][part] = ids[part]
            of_ids[:-1, FOLLOWING][part] = scrambled[ids[part]]

        parallel_map(fill_in, blocks(ids))
        self.ends: Ends = self.code.group_by_word(self.cells, vocab_size)

    def extend(self, is_over: np.ndarray, is_highest: bool) -> NGrams:
        """The n-grams of the next order; nothing continues a context that `is_over` (H,)."""
        places, following, start, counts = self.ends
        end = int(start[-1] + counts[-1]) if len(start) else 0
        ranges = ranges_of(start, end, RANGE, 1 << self.layout.row_bits)
        first = np.zeros(len(start) + 1, np.int32)

        def sort_range(contexts: tuple[int, int]) -> tuple[int, slice]:
            """How many n-grams continue the contexts, and their places."""
            low, high = contexts
            keys = self.code.pack(self.ends, is_over, low, high, self.layout)
            keys.sort()
            part = slice(start[low], start[low] + len(keys))
            rows = first[low + 1 : high + 1]
            return self.code.unpack(keys, places[part], rows, self.layout), part

        sorted_ranges = parallel_map(sort_range, ranges)
        begins = [0, *accumulate(ngrams for ngrams, _ in sorted_ranges)]  # the first row of each
        if is_highest:  # the most memory is in use here
            following = start = counts = np.empty(0, np.int32)
            self.ends = Ends(places, following, start, counts)
        rows = Rows(*(in_usual_pages(begins[-1], np.int32) for _ in Rows._fields))
        if is_highest:
            rows = rows._replace(start=start)

        def number_range(number: int) -> None:
            low, high = ranges[number]
            first[low + 1 : high + 1] += begins[number]
            (_, part), row = sorted_ranges[number], begins[number]
            self.code.number(self.cells, places, following, part.start, part.stop, row, rows)

        parallel_map(number_range, range(len(ranges)))
        self.ends = Ends(places, following, rows.start, rows.counts)
        return NGrams(rows.words, first, rows.suffix, rows.counts)
