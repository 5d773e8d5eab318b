"""Maximum likelihood: the relative frequency after the longest history seen, without smoothing.

    p(w | h) = c(hw) / C(h):    c* = c,    Z = C

Words that were never seen after h have no probability there, even if they follow shorter histories.
Letters are those of `interpolation_and_backoff.py`.
"""

from __future__ import annotations

import numpy as np

from seqlm.counting.smoothing.interpolation_and_backoff import Discounted, Histories


def maximum_likelihood(h: Histories, constants: np.ndarray) -> Discounted:
    return Discounted(h.counts.astype(np.float64), h.total)
