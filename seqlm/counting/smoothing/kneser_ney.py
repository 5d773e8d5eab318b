"""Absolute discounting and Kneser-Ney smoothing: a discount is subtracted from every count.

    c* = c - D(c),    Z = C

    absolute               D = n₁ / (n₁ + 2 n₂); c is the number of occurrences
                           (Ney, Essen & Kneser, 1994)
    kneser-ney             the same D; below the highest order c is an adjusted count, the number
                           of different words before hw (Kneser & Ney, 1995)
    modified-kneser-ney    adjusted counts; D₁, D₂, D₃₊ for the counts 1, 2, and 3 or more
                           (Chen & Goodman, 1998, eq. 26)

    n_j  how many n-grams of the order have the count j

The other letters are those of `interpolation_and_backoff.py`; counts are adjusted in
`adjust_counts.py`.
"""

from __future__ import annotations

import numpy as np

from seqlm.counting.smoothing.interpolation_and_backoff import Discounted, Histories
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.errors import DataError


def subtract_discount(h: Histories, discounts: np.ndarray) -> Discounted:
    """D(c) is `discounts[min(c, 3)]`."""
    return Discounted(h.counts - discounts[np.minimum(h.counts, 3)], h.total)


def kneser_ney_discount(
    n: list[int], order: int, smoothing: Smoothing, vocab_size: int
) -> list[float]:
    """0, D, D, D of one order, with D = n₁ / (n₁ + 2 n₂).

    Errors: DataError if n₁ or n₂ is 0 and there is no `discount_fallback`.
    """
    if n[1] and n[2]:
        return [0.0, *[n[1] / (n[1] + 2 * n[2])] * 3]
    if smoothing.discount_fallback is not None:
        return [0.0, *[smoothing.discount_fallback[0]] * 3]
    raise undefined_discount(f"no {order}-gram has the count {2 if n[1] else 1}", order)


def modified_kneser_ney_discounts(
    n: list[int], order: int, smoothing: Smoothing, vocab_size: int
) -> list[float]:
    """0, D₁, D₂, D₃₊ of one order.

        D_j = j - (j + 1) Y n_{j+1} / n_j,    Y = n₁ / (n₁ + 2 n₂)

    Errors: DataError if n₁, n₂ or n₃ is 0 or a D_j outside 0 … j, because the text is too small or
    too regular, and there is no `discount_fallback`.
    """
    missing = [j for j in (1, 2, 3) if n[j] == 0]
    if missing:
        problem = f"no {order}-gram has the count {missing[0]}"
    else:
        y = n[1] / (n[1] + 2 * n[2])
        d = [0.0, *(j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))]
        # With backoff, a word seen j times must keep some probability.
        outside = [j for j in (1, 2, 3) if not 0 <= d[j] <= j or (smoothing.backoff and d[j] == j)]
        if not outside:
            return d
        problem = f"D{outside[0]} of the {order}-grams would be {d[outside[0]]:.3f}"
    if smoothing.discount_fallback is not None:
        return [0.0, *smoothing.discount_fallback]
    raise undefined_discount(problem, order)


def undefined_discount(problem: str, order: int) -> DataError:
    shorter = f", `order={order - 1}`" if order > 2 else ""
    return DataError(
        f"this text is too small or too regular for discounts from its counts: {problem}; "
        f"use `discount_fallback` (0.5 1 1.5){shorter}, or `smoothing=witten-bell`"
    )
