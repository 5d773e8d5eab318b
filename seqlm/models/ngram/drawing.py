"""The next word drawn from an n-gram model, by a walk down its orders and not over all its words.

The words stand in a row, each as wide as its probability, and u in [0, 1) falls on one of them.
First come those that the model has after the whole context h, then those that it has after h',
which is h without its first word, and so on. A word stands where it comes first, and is as wide as

    p*(w | h)      β(h) p*(w | h')      β(h) β(h') p*(w | h'')      …

At last come the words that no context has: they share what is left of 1, in proportion to their
unigrams. Most draws fall on a word that follows a long context, as few words do.

    V vocabulary · n order of the model · Q draws · C words after a context · S words that have come
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

import numpy as np

from seqlm.models.ngram.ngram_order import NGramOrder
from seqlm.models.ngram.scrambling import unscramble_ids


class Drawing:
    """Draws from the distributions of an n-gram model, of which `orders` are all."""

    def __init__(self, orders: Sequence[NGramOrder]) -> None:
        self.orders = orders
        self.unigram_sums = np.exp(self.orders[0].log_prob, dtype=np.float64).cumsum()
        """(V,) the unigrams of each word and of all before it."""

    def __call__(self, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """(B,) int64, the word that `uniform` (B,) in [0, 1) falls on after each of the contexts
        with `rows` (B, n-1), as a state has them."""
        words = np.zeros(len(uniform), np.int64)
        # All samples of a prompt begin after one context, whose words are looked at once.
        contexts, which = np.unique(rows, axis=0, return_inverse=True)
        for number, context in enumerate(contexts.tolist()):
            batch_rows = np.flatnonzero(which.ravel() == number)
            words[batch_rows] = self.after(context, uniform[batch_rows])
        return words

    def after(self, context: list[int], uniform: np.ndarray) -> np.ndarray:
        """(Q,) the words that `uniform` (Q,) falls on after the `context` with these n-1 rows."""
        vocab_size = len(self.orders[0])
        words = np.zeros(len(uniform), np.int64)
        pending, left = np.arange(len(uniform)), uniform  # what is beyond all words so far, and by
        weight, rest = 1.0, 1.0  # β(h) β(h') …, and what these words leave of 1
        has_come = np.zeros(vocab_size, bool)  # by its scrambled word
        for row, below, order in zip(context[::-1], self.orders[-2::-1], self.orders[::-1]):
            if row < 0:
                continue
            rows, _ = below.continuations(np.array([row]))  # (C,)
            following = order.words_at(rows)
            p = weight * np.exp(order.log_prob_at(rows), dtype=np.float64)
            p[has_come[following]] = 0
            has_come[following] = True
            weight *= exp(below.backoff_at(np.array([row]))[0])
            sums = p.cumsum()
            if not sums.any():
                continue
            words[pending] = unscramble_ids(following[place(sums, left)], vocab_size)
            beyond = left >= sums[-1]
            pending, left, rest = pending[beyond], left[beyond] - sums[-1], rest - sums[-1]
            if not len(pending):
                return words
        if weight > 0:
            come = np.sort(unscramble_ids(np.flatnonzero(has_come), vocab_size))
            words[pending] = self.among_unigrams(left / rest, come)
        return words

    def among_unigrams(self, uniform: np.ndarray, come: np.ndarray) -> np.ndarray:
        """(Q,) the words that `uniform` (Q,) falls on among all but those that have `come` (S,)."""
        gone = np.exp(self.orders[0].log_prob_at(come), dtype=np.float64).cumsum()  # (S,)
        until = self.unigram_sums[come] - gone  # (S,) of the other words up to each of these
        target = uniform * (self.unigram_sums[-1] - gone[-1:].sum())
        before = np.append(0, gone)[np.searchsorted(until, target, "right")]
        return place(self.unigram_sums, target + before)


def place(sums: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The first of `sums`, which rise, above each `target`; for a target beyond the last, where the
    sum rises last."""
    below_end = np.minimum(target, np.nextafter(sums[-1], 0))
    places: np.ndarray = np.searchsorted(sums, below_end, "right")
    return places.clip(max=len(sums) - 1)  # all may be 0
