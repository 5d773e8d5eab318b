"""The direct bias of Bolukbasi et al. 2016: how far words that should be neutral lie along g.

DirectBias_c = 1 / |N| sum_{w in N} |cos(w, g)|^c

N   words that are neutral by their meaning, as `programmer`
g   direction of the bias (`bias_direction.py`)
c   strictness: 1 is the mean of all; large ones count only words that lie far along g
"""

from __future__ import annotations

import numpy as np


def direct_bias(words: np.ndarray, g: np.ndarray, strictness: float = 1.0) -> float:
    """DirectBias_c of words (n, D) of length 1, at least one, and g (D,); c above 0."""
    return float((np.abs(words @ g) ** strictness).mean())
