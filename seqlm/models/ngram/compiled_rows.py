"""Single n-grams of an order in machine code, whether it is plain or compact.

What is read lies in the order, whatever its arrays say.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from seqlm.machine.compilation import compiled
from seqlm.models.ngram.compact.codebook import CODES
from seqlm.models.ngram.compact.compact_order import CompactOrder
from seqlm.models.ngram.compact.elias_fano import SAMPLE, EliasFano
from seqlm.models.ngram.ngram_order import NGramOrder

WORD, FIRST, LOG_PROB, BACKOFF = range(4)
"""The columns of records, as 32-bit numbers."""
HIGHEST_LOG_PROB = 1
"""The column in the highest order."""

Number = Any
"""An integer or a number, of which numba knows the type."""
ONE, SIX, LAST_BIT = np.uint64(1), np.uint64(6), np.uint64(63)
ALL_BITS = ~np.uint64(0)
PAIRS, FOURS, BYTES = (
    np.uint64(bits) for bits in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F)
)
EACH_BYTE = np.uint64(0x0101010101010101)


class Rows(NamedTuple):
    """The arrays of an order. Those that its form has not are empty, and their widths 0."""

    size: int  # U
    rows_above: int  # 0 of the highest order
    is_highest: bool
    records: np.ndarray  # (U + 1, 4 or 2) int32
    numbers: np.ndarray  # the same as float32
    packed: np.ndarray  # uint64, and so are `low` and `high`
    width: int
    word_bits: int
    books: np.ndarray  # (2, C) float32, of log p* and of log β
    low: np.ndarray
    high: np.ndarray
    samples: np.ndarray  # uint32
    low_bits: int


def rows_of(order: NGramOrder, rows_above: int | None) -> Rows:
    """The arrays of an order below one that has `rows_above`; None is the highest."""
    is_highest, nothing = rows_above is None, np.empty(0, np.uint64)
    books, packed, width, word_bits = np.zeros((2, CODES), np.float32), nothing, 0, 0
    first = EliasFano(nothing, nothing, np.empty(0, np.uint32), 0, 0)
    if isinstance(order, CompactOrder):
        packed, width, word_bits = order.packed, order.layout.width, order.layout.word_bits
        books[: len(order.books)] = [*order.books.values()]
        records = np.empty((0, 4), np.int32)
        first = first if is_highest else order.first_coded
    else:
        records = order.records.view(np.int32).reshape(len(order) + 1, -1)
    numbers, low, high = records.view(np.float32), first.low, first.high
    return Rows(
        len(order), rows_above or 0, is_highest, read_only(records), read_only(numbers),
        read_only(packed), width, word_bits, books,
        read_only(low), read_only(high), read_only(first.samples), first.low_bits,
    )  # fmt: skip


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written to, as those of a file: for numba, that is another type."""
    view = array.view()
    view.flags.writeable = False
    return view


# Single arrays are given to functions below, and no `Rows`: numba would count the references to all
# its arrays at every call.


@compiled
def word_at(
    records: np.ndarray, packed: np.ndarray, width: Number, word_bits: Number, row: Number
) -> Number:
    """The scrambled word of an n-gram."""
    if width:
        value = bits_at(packed, width, row)
        return np.int32(value & ((ONE << np.uint64(word_bits)) - ONE))
    return records[row, WORD]


@compiled
def number_at(
    numbers: np.ndarray,
    column: Number,
    packed: np.ndarray,
    width: Number,
    shift: Number,
    book: np.ndarray,
    row: Number,
) -> Number:
    """log p* or log β of an n-gram: in a column of records, or the number in a `book` (C,) that
    the code has which begins at the bit `shift`."""
    if width:
        value = bits_at(packed, width, row)
        return book[(value >> np.uint64(shift)) & np.uint64(CODES - 1)]
    return numbers[row, column]


@compiled
def bits_at(words: np.ndarray, width: Number, index: Number) -> Number:
    """An integer of `bit_packing.py`, which may have more bits of the next ones above it."""
    begin = np.uint64(index) * np.uint64(width)
    word, shift = begin >> SIX, begin & LAST_BIT
    return (words[word] >> shift) | ((words[word + ONE] << ONE) << (LAST_BIT - shift))


@compiled
def first_pair(
    low_words: np.ndarray, high: np.ndarray, samples: np.ndarray, low_bits: Number, row: Number
) -> tuple[Number, Number]:
    """`first` of an n-gram and of the next one: two integers of `elias_fano.py`."""
    last: Number = len(high) - 1
    place: Number = np.int64(samples[row // SAMPLE])
    word: Number = min(place >> 6, last)
    bits = high[word] & (ALL_BITS << (np.uint64(place) & LAST_BIT))
    missing = row % SAMPLE
    ones = count_ones(bits)
    while missing >= ones and word < last:
        missing -= ones
        word += 1
        bits = high[word]
        ones = count_ones(bits)
    for _ in range(missing):
        bits &= bits - ONE
    steps = word * 64 + count_ones(~bits & (bits - ONE)) - row
    bits &= bits - ONE
    while bits == 0 and word < last:
        word += 1
        bits = high[word]
    next_steps = word * 64 + count_ones(~bits & (bits - ONE)) - (row + 1)
    mask = (ONE << np.uint64(low_bits)) - ONE
    low = np.int64(bits_at(low_words, low_bits, row) & mask)
    next_low = np.int64(bits_at(low_words, low_bits, row + 1) & mask)
    return (steps << low_bits) | low, (next_steps << low_bits) | next_low


@compiled
def count_ones(bits: Number) -> Number:
    """The 1s of 64 bits."""
    bits = bits - ((bits >> ONE) & PAIRS)
    bits = (bits & FOURS) + ((bits >> np.uint64(2)) & FOURS)
    bits = (bits + (bits >> np.uint64(4))) & BYTES
    return np.int64((bits * EACH_BYTE) >> np.uint64(56))
