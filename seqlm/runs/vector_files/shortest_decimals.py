"""Numbers of float32 as their shortest decimals, many at once.

    m_k = round(|x| · 10^k)
    k   = the least number of decimals, at least one, for which float32(m_k / 10^k) = |x|

Nine significant digits are always enough, and k is lowered from there as long as the number reads
back. What comes out is `str(numpy.float32(x))`, at a tenth of its time.

For 1e-4 ≤ |x| < 1e3, m_k and 10^k are exact in float64 and their quotient is rounded once. No
decimal of nine digits lies so near to the middle of two numbers of float32 that this rounding could
hide on which side it is, so that readers that parse in float64 and those that parse in float32 read
the same x. Numbers of other sizes are few in word vectors: numpy spells them one by one.

A number is laid out in five times four bytes; those that are zero are left out in the end:

    "␣-"    "␀␀0."    "0312"    "5␀␀␀"    "␀␀␀␀"      of -0.03125

    N rows · D numbers of a row · M = N · D
"""

from __future__ import annotations

import numpy as np

SMALLEST, LARGEST = 1e-4, 1e3
SLOTS = 5
"""The parts of a number, of four bytes each: its sign, its whole part and twelve decimals."""
MOST_DECIMALS = 12
POWERS = 10.0 ** np.arange(MOST_DECIMALS + 1)
SIZES = 10.0 ** np.arange(-3, 3)
POSITIVE, NEGATIVE, END = np.array([b" ", b" -", b"\n"], "S4").view("<u4")
WHOLE = np.array([(b"%d." % n).rjust(4, b"\0") for n in range(1000)]).view("<u4")
FOUR_DIGITS = np.array([b"%04d" % n for n in range(10_000)]).view("<u4")
FIRST = ((np.arange(12) < np.arange(13)[:, None]) * 255).astype(np.uint8).view("<u4")  # (13, 3)
"""Of each k, a mask of the first k of twelve bytes."""


def spell_rows(rows: np.ndarray) -> list[bytes]:
    """The text of each row of `rows` (N, D) float32, finite: its numbers, each after a space.

    >>> spell_rows(np.array([[0.1, -2], [0, 1e-7]], np.float32))
    [b' 0.1 -2.0', b' 0.0 1e-07']
    """
    count, width = rows.shape
    slots = np.empty((count, width * SLOTS + 1), "<u4")
    slots[:, :-1] = spell(rows.reshape(-1)).reshape(count, width * SLOTS)
    slots[:, -1] = END
    return slots.tobytes().translate(None, b"\0").split(b"\n")[:-1]


def spell(x: np.ndarray) -> np.ndarray:
    """(M, 5) the slots of the numbers x (M,)."""
    size = np.abs(x).astype(np.float64)
    others = np.flatnonzero(((size < SMALLEST) | (size >= LARGEST)) & (size > 0))
    size[others] = 0
    digits, k = shortest(size)
    whole = np.floor(digits / POWERS[k])
    decimals = (digits - whole * POWERS[k]) * POWERS[MOST_DECIMALS - k]  # twelve digits
    rest = decimals.astype(np.int64)
    slots = np.empty((len(x), SLOTS), "<u4")
    slots[:, 0] = np.where(np.signbit(x), NEGATIVE, POSITIVE)
    slots[:, 1] = WHOLE[whole.astype(np.int64)]
    for slot in (4, 3, 2):
        before = rest // 10_000
        slots[:, slot] = FOUR_DIGITS[rest - 10_000 * before]
        rest = before
    slots[:, 2:] &= FIRST[k]
    if len(others):
        spelled = [b" %s" % str(number).encode() for number in x[others]]
        slots[others] = np.array(spelled, f"S{4 * SLOTS}").view("<u4").reshape(-1, SLOTS)
    return slots


def shortest(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M,) m_k and (M,) k of the numbers |x| (M,) float64, which are zero or of the sizes above."""
    k = MOST_DECIMALS - np.searchsorted(SIZES, size, side="right")  # nine digits
    digits = np.rint(size * POWERS[k])
    rows, left, fewer = np.arange(len(size)), size, k
    while len(rows):
        fewer = fewer - 1
        candidates = np.rint(left * POWERS[fewer])
        reads_back = (candidates / POWERS[fewer]).astype(np.float32) == left
        still = np.flatnonzero(reads_back & (fewer > 0))
        rows, left, fewer = rows[still], left[still], fewer[still]
        digits[rows], k[rows] = candidates[still], fewer
    return digits, k
