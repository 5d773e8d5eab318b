"""Integers that never fall, in a few bits each (Elias, 1974; Fano, 1971).

    value 13 = 1 101     the low bits 101 stand in a list, all of one width
                         the high bits 1 stand in a row of bits: a 0 for each step of the high part,
                         and a 1 for each integer

    0 5 13 14 21   ->    low  000 101 101 110 101      high  1 1 0 1 1 0 1

Integer i is the one whose 1 is number i, and as many zeros are before it as its high part says. It
is found from the place of every 32nd 1, which is stored.

    N integers · l low bits of each · Q queries
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seqlm.models.ngram.compact.bit_packing import (
    WORD,
    bits_at,
    pack_bits,
    unpack_bits,
    words_needed,
)

SAMPLE = 32
FEWEST_LOW_BITS = 3
"""Where integers make a great leap there are many zeros to pass over; so are there fewer."""


class EliasFano(NamedTuple):
    low: np.ndarray  # uint64 words, see `bit_packing.py`
    high: np.ndarray  # uint64 words
    samples: np.ndarray  # (⌈N / SAMPLE⌉,) uint32, the place of every 32nd 1
    low_bits: int
    size: int  # N


def low_bits_for(count: int, most: int) -> int:
    """How many of the bits of `count` integers up to `most` are low.

    >>> low_bits_for(100, 10_000), low_bits_for(100, 200)
    (6, 3)
    """
    return max(FEWEST_LOW_BITS, (most // max(1, count)).bit_length() - 1)


def high_words(count: int, most: int) -> int:
    """The words of high bits of `count` integers up to `most`."""
    return (count + (most >> low_bits_for(count, most))) // 64 + 1


def encode(values: np.ndarray) -> EliasFano:
    """`values` (N,) from 0 on, of which there is at least one, and which never fall.

    >>> coded = encode(np.array([0, 5, 13, 14, 21]))
    >>> [int(word) for word in coded.high] == [0b1011011], int(coded.low[0]) == 0o56550
    (True, True)
    """
    count, most = len(values), int(values[-1])
    low_bits = low_bits_for(count, most)
    low = pack_bits(values & ((1 << low_bits) - 1), low_bits)
    places = places_of(values, low_bits)
    bits = np.zeros(high_words(count, most) * 64, np.uint8)
    bits[places] = 1
    high = np.packbits(bits, bitorder="little").view(np.uint64)
    return EliasFano(low, high, places[::SAMPLE].astype(np.uint32), low_bits, count)


def places_of(values: np.ndarray, low_bits: int) -> np.ndarray:
    """(N,) int64, the places of the 1s of `values` (N,)."""
    return (values.astype(np.int64) >> low_bits) + np.arange(len(values))


def decode(coded: EliasFano, start: int = 0, stop: int | None = None) -> np.ndarray:
    """(N,) int64, all of them, or those number `start`, a multiple of SAMPLE, up to `stop`.

    Errors: ValueError where nothing like this was encoded.

    >>> decode(encode(np.array([0, 5, 13, 14, 21]))).tolist()
    [0, 5, 13, 14, 21]
    """
    stop = coded.size if stop is None else stop
    begin, end = high_bits_of(coded, start, stop)
    words = slice(begin // WORD, -(-end // WORD))
    bits = np.unpackbits(coded.high[words].view(np.uint8), bitorder="little")
    bits = bits[begin - words.start * WORD : end - words.start * WORD]
    places = np.flatnonzero(bits) + begin
    samples = coded.samples[start // SAMPLE : -(-stop // SAMPLE)]
    integers = min(len(samples) * SAMPLE, coded.size - start)
    if len(places) != integers:
        raise ValueError(f"there are {len(places)} integers, not {integers}")
    if not np.array_equal(places[::SAMPLE], samples):
        raise ValueError("integers are at other places")
    index = np.arange(start, stop)
    values: np.ndarray = (places[: stop - start] - index) << coded.low_bits
    values |= unpack_bits(coded.low, coded.low_bits, start, stop)
    return values


def high_bits_of(coded: EliasFano, start: int, stop: int) -> tuple[int, int]:
    """Where among the high bits the integers number `start`, a multiple of SAMPLE, up to `stop`
    begin, and where they and others after them end. Samples that lead out of the high bits lead to
    their end."""
    bits, samples = len(coded.high) * WORD, coded.samples
    first, last = start // SAMPLE, -(-stop // SAMPLE)
    end = min(int(samples[last]), bits) if last < len(samples) else bits
    return min(int(samples[first]), end), end


def values_at(coded: EliasFano, index: np.ndarray) -> np.ndarray:
    """(Q,) int64, the integers with these numbers `index` (Q,).

    >>> values_at(encode(np.array([0, 5, 13, 14, 21])), np.array([4, 1])).tolist()
    [21, 5]
    """
    place = coded.samples[index // SAMPLE].astype(np.int64)
    word, missing = place // 64, index % SAMPLE  # 1s to pass over
    bits = coded.high[word] & (~np.uint64(0) << (place % 64).astype(np.uint64))
    last = len(coded.high) - 1
    while True:
        ones = count_ones(bits)
        beyond = np.flatnonzero((missing >= ones) & (word < last))
        if len(beyond) == 0:
            break
        missing[beyond] -= ones[beyond]
        word[beyond] += 1
        bits[beyond] = coded.high[word[beyond]]
    for passed in range(int(missing.max(initial=0))):
        bits = np.where(missing > passed, bits & (bits - np.uint64(1)), bits)
    place = 64 * word + count_ones(~bits & (bits - np.uint64(1)))
    values: np.ndarray = (place - index) << coded.low_bits
    values |= bits_at(coded.low, coded.low_bits, index)
    return values


def count_ones(words: np.ndarray) -> np.ndarray:
    """(Q,) int64, the 1s among the bits of each of `words` (Q,) (Warren, Hacker's Delight, §5-1).

    >>> count_ones(np.array([0, 7, 2**64 - 1], np.uint64)).tolist()
    [0, 3, 64]
    """
    one, two, four = np.uint64(1), np.uint64(2), np.uint64(4)
    words = words - ((words >> one) & np.uint64(0x5555555555555555))
    pairs = np.uint64(0x3333333333333333)
    words = (words & pairs) + ((words >> two) & pairs)
    words = (words + (words >> four)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((words * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)


def sizes(count: int, most: int) -> tuple[int, int, int]:
    """The lengths of `low`, `high` and `samples` of `count` integers up to `most`."""
    low = words_needed(count, low_bits_for(count, most))
    return low, high_words(count, most), -(-count // SAMPLE)
