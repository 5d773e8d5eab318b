"""Noise words, drawn in proportion to a power of their counts, in constant time a word.

    P(x) ∝ count(x)^a           a = 0.75 in word2vec (Mikolov et al. 2013b, section 2.2)

The alias method of Walker (1977), with the tables of Vose (1991): every one of V columns of equal
probability has at most two words in it. A word is drawn by a column and a side of it:

    column = ⌊V u⌋       word = column if V u - column < share(column), else alias(column)

    V words · u uniform in [0, 1)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Noise(NamedTuple):
    """The distribution of noise words."""

    share: Tensor  # (V,) float32
    alias: Tensor  # (V,) int64

    @classmethod
    def of(cls, counts: Tensor, exponent: float) -> Noise:
        """Of `counts` (V,); a word without any is never drawn, whatever the exponent."""
        n = counts.cpu().double().numpy()
        p = np.zeros(len(n))
        p[n > 0] = n[n > 0] ** exponent
        share, alias = alias_table(p / p.sum())
        device = counts.device
        return cls(torch.from_numpy(share).float().to(device), torch.from_numpy(alias).to(device))

    def draw(self, number: int) -> Tensor:
        """(number,) int64 words, by torch's random numbers."""
        size, device = len(self.share), self.share.device
        at = torch.rand(number, dtype=torch.float64, device=device).mul_(size)
        column = at.long()
        return torch.where(at - column < self.share[column], column, self.alias[column])


def alias_table(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p (V,) that sums to 1 -> (V,) the share of each column that is its own word's, and (V,) the
    word that has the rest.

    >>> share, alias = alias_table(np.array([0.75, 0.25]))
    >>> share.tolist(), alias.tolist()
    ([1.0, 0.5], [0, 0])
    """
    share = p * len(p)
    alias = np.arange(len(p))
    small = np.flatnonzero(share < 1).tolist()
    large = np.flatnonzero(share >= 1).tolist()
    while small and large:
        low, high = small.pop(), large[-1]
        alias[low] = high
        share[high] -= 1 - share[low]
        if share[high] < 1:
            small.append(large.pop())
    for left in small + large:  # what is left differs from 1 by rounding, or from 0
        share[left] = p[left] > 0
        alias[left] = p.argmax()
    return share, alias
