"""Witten-Bell smoothing (Witten & Bell, 1991, method C): a new word is as likely as one was so far.

    c* = c,    Z = C + T(h),    T(h) = number of different words seen after h

Letters are those of `interpolation_and_backoff.py`.
"""

from __future__ import annotations

import numpy as np

from seqlm.counting.smoothing.interpolation_and_backoff import Discounted, Histories


def witten_bell(h: Histories, constants: np.ndarray) -> Discounted:
    return Discounted(h.counts.astype(np.float64), h.total + h.sum(h.counts > 0))
