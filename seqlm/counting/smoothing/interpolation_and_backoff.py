"""How the probabilities of an order are combined with those of the order below.

A method says what discounting leaves of each count, c*(hw), and a normalizer Z(h). The probability
that remains after h goes to the next words in proportion to their probability an order below:

    interpolated    p(w | h) = c*(hw) / Z(h) + β(h) p(w | h'),     β(h) = 1 - Σ_v c*(hv) / Z(h)
    backoff         p(w | h) = c*(hw) / Z(h) if hw was seen, else β(h) p(w | h'),
                    β(h) = (1 - Σ_v c*(hv) / Z(h)) / (1 - Σ_v p(v | h')),  sums over seen hv

    h  history, the k-1 words before    h'  h without its first word    w  next word
    c(hw) count: of occurrences, or adjusted · C(h) = Σ_v c(hv), with the counts cut off
    p(w | h') probability of the suffix, an order below · V  vocabulary size

A method is given some histories at a time, each with all the words that continue it. What it needs
to know of a whole order, such as its discounts, is computed before. At order 1 the history is
empty, its words are the whole vocabulary and p(w | h') = 1/V.

    H histories · U n-grams that continue them
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Histories(NamedTuple):
    """Some histories of one order and the n-grams that continue them."""

    counts: np.ndarray  # (U,) int, c, occurrences or adjusted
    lower: np.ndarray  # (U,) float64, p(w | h')
    history: np.ndarray  # (U,) int64, the index of each n-gram's history
    total: np.ndarray  # (H,) float64, C
    is_full_history: np.ndarray | None
    """(H,) bool: histories of n-1 words, or back to the start of the line. None where the method
    does not ask."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """(U,) -> (H,) float64, Σ over the n-grams of each history, from the first to the last."""
        return np.bincount(self.history, values, len(self.total))

    def expand(self, values: np.ndarray) -> np.ndarray:
        """(H,) -> (U,), every n-gram gets the value of its history."""
        expanded: np.ndarray = values[self.history]
        return expanded


class Discounted(NamedTuple):
    """What discounting leaves."""

    counts: np.ndarray  # (U,) float64, c*
    normalizer: np.ndarray  # (H,) float64, Z


class Smoothed(NamedTuple):
    prob: np.ndarray  # (U,) float64, p(w | h)
    backoff: np.ndarray  # (H,) float64, β of histories that have continuations


def leftover_mass(h: Histories, discounted: Discounted) -> np.ndarray:
    """(H,) 1 - Σ_v c*(hv) / Z(h), from sums of what is taken away, which are small and exact."""
    taken = h.sum(h.counts - discounted.counts)
    left: np.ndarray = (taken + (discounted.normalizer - h.sum(h.counts))) / discounted.normalizer
    return left


def interpolate(h: Histories, discounted: Discounted) -> Smoothed:
    backoff = leftover_mass(h, discounted)
    share = discounted.counts / h.expand(discounted.normalizer)
    return Smoothed(share + h.expand(backoff) * h.lower, backoff)


def back_off(h: Histories, discounted: Discounted) -> Smoothed:
    """Where all words were seen after a history, they share the remaining probability again."""
    seen = h.counts > 0  # at order 1 some are not
    share = discounted.counts / h.expand(discounted.normalizer)
    unseen_mass = 1 - h.sum(np.where(seen, h.lower, 0.0))
    has_unseen = unseen_mass > 1e-6
    leftover = leftover_mass(h, discounted)
    backoff = np.where(has_unseen, leftover / np.maximum(unseen_mass, 1e-6), 0.0)
    share = np.where(h.expand(has_unseen), share, share / h.expand(1 - leftover))
    return Smoothed(np.where(seen, share, h.expand(backoff) * h.lower), backoff)
