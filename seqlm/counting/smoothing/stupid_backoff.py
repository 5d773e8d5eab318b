"""Stupid backoff (Brants et al., 2007): relative frequencies, and a constant to back off with.

    S(w | h) = c(hw) / C(h) if hw was seen, else 0.4 S(w | h')        (their equation 5)

A history that was never seen costs 0.4 too. These scores do not sum to 1. At order 1 a word that
was never seen gets 0.4 / V. Letters are those of `interpolation_and_backoff.py`.
"""

from __future__ import annotations

import numpy as np

from seqlm.counting.smoothing.interpolation_and_backoff import Discounted, Histories, Smoothed
from seqlm.models.config.ngram_config import STUPID_BACKOFF


def stupid_backoff(h: Histories, discounted: Discounted) -> Smoothed:
    """Combines undiscounted counts, those of `maximum_likelihood`, with the order below."""
    seen = h.counts > 0
    share = discounted.counts / h.expand(discounted.normalizer)
    backoff = np.full_like(discounted.normalizer, STUPID_BACKOFF)
    return Smoothed(np.where(seen, share, STUPID_BACKOFF * h.lower), backoff)
