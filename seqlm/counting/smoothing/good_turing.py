"""Good-Turing discounting of small counts, with backoff (Katz, 1987).

    c* = d_c c,    Z = C
    d_r = (r*/r - A) / (1 - A),    r* = (r + 1) n_{r+1} / n_r,    A = (k + 1) n_{k+1} / n₁

    r  a count · n_r  how many n-grams of the order have the count r
    k  the largest count that is discounted: above it, d_r = 1

d_r is his equation 11; the other letters are those of `interpolation_and_backoff.py`.
"""

from __future__ import annotations

import numpy as np

from seqlm.counting.smoothing.interpolation_and_backoff import (
    Discounted,
    Histories,
    leftover_mass,
)
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.errors import DataError

MAX_DISCOUNTED = 7
"""Larger counts are reliable and are not discounted (Katz, 1987, took 5; SRILM takes 7)."""


def good_turing(h: Histories, ratios: np.ndarray) -> Discounted:
    """d_r is `ratios[min(r, k + 1)]`, see `katz_ratios`.

    After a history without small counts Z = C + 1, so that words not seen there are possible (as in
    SRILM).
    """
    ratio = ratios[np.minimum(h.counts, len(ratios) - 1)]
    discounted = Discounted(h.counts * ratio, h.total)
    some_left = leftover_mass(h, discounted) > 0
    return discounted._replace(normalizer=np.where(some_left, h.total, h.total + 1))


def katz_ratios(n: list[int], order: int, smoothing: Smoothing, vocab_size: int) -> list[float]:
    """0, d₁ … d_k, 1 of one order.

    k is MAX_DISCOUNTED, or the largest count below for which all d_r are in 0 … 1. If there is
    none, single words keep their counts: a vocabulary cut to the frequent types has few rare ones
    to estimate from.

    Errors: DataError for longer n-grams.
    """
    for k in range(MAX_DISCOUNTED, 0, -1):
        if all(n[1 : k + 2]):
            above = (k + 1) * n[k + 1] / n[1]
            d = [((r + 1) * n[r + 1] / (r * n[r]) - above) / (1 - above) if above < 1 else 0.0
                 for r in range(1, k + 1)]  # fmt: skip
            if all(0 < ratio <= 1 for ratio in d):
                return [0.0, *d, 1.0]
    if order == 1:
        return [0.0, 1.0]
    raise DataError(
        f"this text is too small or too regular for Good-Turing: {', '.join(map(str, n[1:5]))} …"
        f" {order}-grams have the counts 1, 2, 3, 4 …; use `smoothing=witten-bell`"
    )
