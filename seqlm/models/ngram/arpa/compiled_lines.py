"""The lines of an ARPA file in machine code, with the bytes of the array code in `arpa_writer.py`.

Bytes are written eight at a time. What a piece has too many of them is overwritten by the next one.

    U lines · k words of each
"""

from __future__ import annotations

import numpy as np

from seqlm.machine.compilation import compiled

EIGHT = 8
"""Bytes of a number that is written at once."""
FOUR_DIGITS = np.array([int.from_bytes(b"%04d" % n, "little") for n in range(10**4)], np.uint64)
POWER_OF_TEN = np.array([10.0**n for n in range(2 * EIGHT + 1)])
INTEGER_POWER = np.array([10**n for n in range(2 * EIGHT + 1)], np.uint64)
NEWLINE, TAB, MINUS, POINT, ZERO = (np.uint8(ord(character)) for character in "\n\t-.0")
TEN, TEN_THOUSAND, FOUR_BYTES = np.uint64(10), np.uint64(10**4), np.uint64(32)
LONGEST_NUMBER = 22
"""Bytes of a number at most, with what separates it: a sign, two digits, a point and 16 decimals.
"""


def eights(array: np.ndarray) -> np.ndarray:
    """(bytes - 7,) the eight bytes from every place of `array` (bytes,) on, as a number: a view."""
    return np.ndarray(len(array) - EIGHT + 1, "<u8", array, strides=(1,))


def make_lines(
    log_prob: tuple[np.ndarray, np.ndarray],
    backoff: tuple[np.ndarray, np.ndarray],
    first: np.ndarray,
    words: np.ndarray,
    pool: np.ndarray,
    start: np.ndarray,
    length: np.ndarray,
) -> bytes:
    """The lines, each after a newline.

    `log_prob` and `backoff` are logarithms to the base 10 (U,) float64 with their decimals (U,);
    the highest order has no backoffs (0,). The words, those that are `first` (U,) and the other
    `words` (k-1, U), are pieces of the `pool` by number, each with a `start` and a `length`; after
    them the pool has eight more bytes.
    """
    numbers = 1 + (len(backoff[0]) > 0)
    size = LONGEST_NUMBER * numbers * len(first) + length_of_words(first, words, length)
    lines = np.empty(size + 2 * EIGHT, np.uint8)
    pieces = eights(pool), start, length
    end = write_lines(*log_prob, *backoff, first, words, *pieces, lines, eights(lines))
    return lines[:end].tobytes()


@compiled
def length_of_words(first: np.ndarray, words: np.ndarray, length: np.ndarray) -> int:
    """Bytes of all words."""
    size = 0
    for u in range(len(first)):
        size += length[first[u]]
        for j in range(len(words)):
            size += length[words[j, u]]
    return size


@compiled
def write_lines(
    log_prob: np.ndarray,
    log_prob_decimals: np.ndarray,
    backoff: np.ndarray,
    backoff_decimals: np.ndarray,
    first: np.ndarray,
    words: np.ndarray,
    pool: np.ndarray,
    start: np.ndarray,
    length: np.ndarray,
    lines: np.ndarray,
    eight: np.ndarray,
) -> int:
    """Writes the `lines`, of which `eight` are the `eights`, and returns where they end."""
    at = 0
    for u in range(len(first)):
        lines[at] = NEWLINE
        at = write_number(log_prob[u], log_prob_decimals[u], lines, eight, at + 1)
        at = write_piece(first[u], pool, start, length, eight, at)
        for j in range(len(words)):
            at = write_piece(words[j, u], pool, start, length, eight, at)
        if len(backoff):
            lines[at] = TAB
            at = write_number(backoff[u], backoff_decimals[u], lines, eight, at + 1)
    return at


@compiled
def write_piece(
    piece: int, pool: np.ndarray, start: np.ndarray, length: np.ndarray, eight: np.ndarray, at: int
) -> int:
    """Where a piece ends that begins `at`."""
    begin, size = start[piece], length[piece]
    for i in range(0, size, EIGHT):
        eight[at + i] = pool[begin + i]
    return int(at + size)


@compiled
def write_number(value: float, decimals: int, lines: np.ndarray, eight: np.ndarray, at: int) -> int:
    """Where a number ends that begins `at`, without a point where it has no `decimals`."""
    digits = np.uint64(np.rint(abs(value) * POWER_OF_TEN[decimals]))
    whole = digits // INTEGER_POWER[decimals]
    rest = digits - whole * INTEGER_POWER[decimals]
    if value < 0:
        lines[at] = MINUS
        at += 1
    if whole >= TEN:
        lines[at] = ZERO + np.uint8(whole // TEN)
        at += 1
    lines[at] = ZERO + np.uint8(whole % TEN)
    at += 1
    if decimals == 0:
        return at
    lines[at] = POINT
    at += 1
    if decimals > EIGHT:
        later = INTEGER_POWER[decimals - EIGHT]
        eight[at] = eight_digits(rest // later)
        rest, at, decimals = rest % later, at + EIGHT, decimals - EIGHT
    eight[at] = eight_digits(rest * INTEGER_POWER[EIGHT - decimals])
    return int(at + decimals)


@compiled
def eight_digits(number: np.uint64) -> np.uint64:
    """The digits of a number below 10⁸, as eight bytes."""
    high = number // TEN_THOUSAND
    low = number - high * TEN_THOUSAND
    return np.uint64(FOUR_DIGITS[high] | (FOUR_DIGITS[low] << FOUR_BYTES))
