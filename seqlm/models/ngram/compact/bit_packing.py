"""Integers of any width in a row of 64-bit words, without gaps.

    word 1                  word 0
    … 2 2 2 | 2 2 2 1 1 1 1 1 1 1 0 0 0 0 0 0 0     the bits of integers 0, 1, 2 of 7 bits

Integer i has the bits from i·w on, which are in one word or in two. 64 integers are w words.

    N integers · w bits of each, at most 63 · Q queries
"""

from __future__ import annotations

import numpy as np

WORD = 64


def pack_bits(values: np.ndarray, width: int) -> np.ndarray:
    """(N,) integers from 0 to 2^w - 1 -> uint64 words, and one more, so that there are always two.

    >>> pack_bits(np.array([5, 1, 127]), 7).tolist()[0] == 5 | 1 << 7 | 127 << 14
    True
    """
    groups = -(-len(values) // WORD)
    padded = np.zeros(groups * WORD, np.uint64)
    padded[: len(values)] = values
    columns = padded.reshape(groups, WORD)
    words = np.zeros(groups * width + 1, np.uint64)
    of_group = words[:-1].reshape(groups, width)
    for column in range(WORD):
        word, shift = divmod(column * width, WORD)
        of_group[:, word] |= columns[:, column] << np.uint64(shift)
        if shift + width > WORD:
            of_group[:, word + 1] |= columns[:, column] >> np.uint64(WORD - shift)
    return words


def unpack_bits(words: np.ndarray, width: int, start: int, stop: int) -> np.ndarray:
    """(N,) int64, the integers number `start` up to, and without, `stop`.

    >>> unpack_bits(pack_bits(np.array([5, 1, 127]), 7), 7, 1, 3).tolist()
    [1, 127]
    """
    first, last = start // WORD, -(-stop // WORD)  # groups of 64
    of_group = words[first * width : last * width].reshape(last - first, width)
    values = np.empty((last - first, WORD), np.uint64)
    for column in range(WORD):
        word, shift = divmod(column * width, WORD)
        values[:, column] = of_group[:, word] >> np.uint64(shift)
        if shift + width > WORD:
            values[:, column] |= of_group[:, word + 1] << np.uint64(WORD - shift)
    values &= np.uint64((1 << width) - 1)
    return values.reshape(-1)[start - first * WORD : stop - first * WORD].view(np.int64)


def bits_at(words: np.ndarray, width: int, index: np.ndarray) -> np.ndarray:
    """(Q,) int64, the integers with these numbers `index` (Q,).

    >>> bits_at(pack_bits(np.array([5, 1, 127]), 7), 7, np.array([2, 0])).tolist()
    [127, 5]
    """
    begin = index.astype(np.int64) * width
    word, shift = begin // WORD, (begin % WORD).astype(np.uint64)
    # A shift by all 64 bits is not defined, one by 1 and then by 63 is.
    above = (words[word + 1] << np.uint64(1)) << (np.uint64(WORD - 1) - shift)
    values = (words[word] >> shift) | above
    return (values & np.uint64((1 << width) - 1)).astype(np.int64)


def words_needed(count: int, width: int) -> int:
    """How many words `pack_bits` makes of so many integers.

    >>> words_needed(65, 7)
    15
    """
    return -(-count // WORD) * width + 1


def words_of(start: int, stop: int, width: int) -> slice:
    """The words that hold the integers number `start` up to, and without, `stop`.

    >>> words_of(9, 10, 7), words_of(10, 64, 7)
    (slice(0, 2, None), slice(1, 7, None))
    """
    return slice(start * width // WORD, -(-stop * width // WORD))
