"""Compiled loops of estimation, with the numbers of the array code that they stand for.

H histories · U n-grams that continue them
"""

from __future__ import annotations

import numpy as np

from seqlm.machine.compilation import compiled


@compiled
def add_occurrences(occurrences: np.ndarray, rows: np.ndarray) -> None:
    """`add_ones` of `adjust_counts.py`."""
    for row in rows:
        occurrences[row] += 1


@compiled
def interpolate_discounted(
    counts: np.ndarray,
    suffix: np.ndarray,
    first: np.ndarray,
    lower: np.ndarray,
    pruned_count: np.ndarray,
    discounts: np.ndarray,
    prob: np.ndarray,
    backoff: np.ndarray,
) -> None:
    """`interpolate` of what `subtract_discount` leaves, for a block of histories.

        p(w | h) = (c - D(c)) / Z + β(h) p(w | h'),    β(h) = (Σ_v D(c) + Z - C) / Z

    Z is C = Σ_v c, and the counts (H,) that were cut off. Writes `prob` (U,) and `backoff` (H,),
    but that of histories that nothing follows.
    """
    for h in range(len(first) - 1):
        seen, taken = 0.0, 0.0
        for u in range(first[h], first[h + 1]):
            seen += counts[u]
            taken += counts[u] - (counts[u] - discounts[min(counts[u], 3)])
        if first[h] < first[h + 1]:
            normalizer = seen + pruned_count[h]
            β = (taken + (normalizer - seen)) / normalizer
            for u in range(first[h], first[h + 1]):
                share = (counts[u] - discounts[min(counts[u], 3)]) / normalizer
                prob[u] = share + β * np.float64(lower[suffix[u]])
            backoff[h] = β
