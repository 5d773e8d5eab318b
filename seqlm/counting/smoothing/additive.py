"""Additive smoothing: k is added to every count (Lidstone, 1920; k = 1 is Laplace's rule).

    p(w | h) = (c(hw) + k) / (C(h) + kV):    c* = c,    Z = C + kV,    with 1/V for p(w | h')

This is for full histories. Shorter ones have c* = 0, so that their probabilities are 1/V: a word
not seen after h gets k / (C + kV), and any word after a history not seen gets 1/V. Letters are
those of `interpolation_and_backoff.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqlm.counting.smoothing.held_out_counts import HeldOutCounts
from seqlm.counting.smoothing.interpolation_and_backoff import Discounted, Histories
from seqlm.counting.smoothing.smoothing_settings import Smoothing


def additive(h: Histories, constants: np.ndarray) -> Discounted:
    """`constants` is kV."""
    assert h.is_full_history is not None
    counts = np.where(h.expand(h.is_full_history), h.counts, 0.0)
    return Discounted(counts, h.total + constants[0])


def added_mass(n: list[int], order: int, smoothing: Smoothing, vocab_size: int) -> list[float]:
    return [smoothing.add_k * vocab_size]


def tune_k(smoothing: Smoothing, held_out: HeldOutCounts, vocab_size: int) -> Smoothing:
    return replace(smoothing, add_k=best_k(held_out, vocab_size))


def best_k(held_out: HeldOutCounts, vocab_size: int) -> float:
    """The k that makes held-out text most likely, to a thousandth of its value.

    p(i) = (c + k) / (C + kV) after the full history of token i, on finer and finer grids of log k.
    """
    token = held_out.length, np.arange(len(held_out.length))
    c, total = held_out.counts[token], held_out.totals[token]  # (N,)
    low, high = 1e-9, 1e3
    while high > 1.001 * low:
        grid = np.logspace(np.log10(low), np.log10(high), 25).tolist()
        log_likelihood = [float(np.log((c + k) / (total + k * vocab_size)).sum()) for k in grid]
        best = int(np.argmax(log_likelihood))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float((low * high) ** 0.5)
