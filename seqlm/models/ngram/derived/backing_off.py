"""What a model of given n-grams backs off to, and the weights with which its histories sum to 1.

    β(h) = N / M,    N = 1 - Σ_v p(v | h),  M = 1 - Σ_v p(v | h'),    sums over the v listed for h

The words that h does not list share N, the probability that is left, in proportion to what h' gives
them: M in all. An n-gram hw backs off to its *suffix* h'w, which most models list too. Its row is
found from that of the suffix of the context:

    row(h'w)  is the row of w among the continuations of row(h'),      h' the suffix of h

    U n-grams of an order k · H histories, the n-grams of the order below · Q some of the n-grams
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from seqlm.machine.threads import prefetch_map
from seqlm.models.ngram.ngram_model import NGramModel, NGramState
from seqlm.models.ngram.ngram_order import (
    NGramOrder,
    context_blocks,
    row_contexts,
    segment_sum,
    words_of_rows,
)
from seqlm.models.ngram.scrambling import unscramble_ids
from seqlm.models.ngram.walk import UNSEEN, find

BLOCK = 1 << 16
"""N-grams looked up at a time."""


def compute_backoffs(model: NGramModel) -> None:
    """Sets all backoff weights of `model`, from its probabilities."""
    # Longer n-grams need the weights of shorter ones.
    for k, suffixes in enumerate(suffix_rows(model), 2):
        below, above = model.order(k - 1), model.order(k)
        first = below.first.astype(np.int64)
        n = remainder(np.exp(above.log_prob, dtype=np.float64), first)
        m = remainder(np.exp(suffix_log_probs(model, k, suffixes)), first)
        below.backoff[:] = np.where(np.diff(first) > 0, np.log(n / m), 0.0)


def remainder(p: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(H,) what the probabilities `p` (U,) of each history leave of 1, at least a little."""
    return (1 - segment_sum(p, first, np.float64)).clip(min=1e-7)


def fill_in_probabilities(model: NGramModel, k: int, suffixes: np.ndarray) -> None:
    """p(w | h) = β(h) p(w | h') for the n-grams of order k ≥ 2 that have no probability: NaN.

    It is at most 1, even where the weights of an ARPA file make it more. `suffixes` (U,) are those
    of `suffix_rows`.
    """
    below, log_prob = model.order(k - 1), model.order(k).log_prob

    def fill_in(rows: np.ndarray) -> None:
        backoff = below.backoff_at(below.contexts_of(rows))
        log_prob[rows] = np.minimum(backoff + lower_log_probs(model, k, rows, suffixes), 0)

    for _ in prefetch_map(fill_in, in_blocks(np.flatnonzero(np.isnan(log_prob)))):
        pass


def in_blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    """`rows` (U,) in parts of at most BLOCK."""
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK]


# ---------------------------------------------------------------------------------------- suffixes


def suffix_rows(model: NGramModel) -> Iterator[np.ndarray]:
    """For orders 2 … n (U,) int32, the row in the order below of the suffix of every n-gram, or
    UNSEEN."""
    size = model.config.vocab_size
    suffixes = np.empty(0, np.int32)
    for k, (below, order) in enumerate(pairwise(model.orders), 2):
        if k == 2:
            suffixes = unscramble_ids(order.words, size).astype(np.int32)  # unigrams' rows are ids
        else:
            suffixes = longer_suffixes(model.order(k - 2), below, order, suffixes, size)
        yield suffixes


def longer_suffixes(
    lowest: NGramOrder,
    below: NGramOrder,
    order: NGramOrder,
    suffixes: np.ndarray,
    vocab_size: int,
) -> np.ndarray:
    """(U,) the suffixes of an order k, from those of the order `below` (H,), which are rows of the
    `lowest`."""
    rows = np.empty(len(order), np.int32)
    first, words = below.first, order.words

    def find_block(block: tuple[slice, slice]) -> None:
        owners, part = block
        contexts = suffixes[owners][row_contexts(first[owners.start : owners.stop + 1])]
        rows[part] = find(lowest, below, contexts, words[part], vocab_size)

    for _ in prefetch_map(find_block, context_blocks(first, BLOCK)):
        pass
    return rows


def suffix_log_probs(model: NGramModel, k: int, suffixes: np.ndarray) -> np.ndarray:
    """(U,) float64 ln p(w | h') of every n-gram hw of order k ≥ 2."""
    log_probs = np.empty(len(suffixes))

    def look_up(rows: np.ndarray) -> None:
        log_probs[rows] = lower_log_probs(model, k, rows, suffixes)

    for _ in prefetch_map(look_up, in_blocks(np.arange(len(suffixes)))):
        pass
    return log_probs


def lower_log_probs(
    model: NGramModel, k: int, rows: np.ndarray, suffixes: np.ndarray
) -> np.ndarray:
    """(Q,) ln p(w | h') of n-grams of order k ≥ 2 by their rows: that of the suffix, or of what it
    backs off to in turn."""
    suffix = suffixes[rows]
    log_probs = model.order(k - 1).log_prob_at(suffix.clip(min=0))
    unlisted = np.flatnonzero(suffix < 0)
    if len(unlisted):
        _, *words = words_of_rows(model.orders[:k], rows[unlisted])
        ids = unscramble_ids(np.stack(words, 1), model.config.vocab_size)  # (Q, k-1), of h'w
        no_history = np.full((len(ids), model.config.order - 1), UNSEEN, np.int32)
        scores, _ = model.score(NGramState(no_history), ids)
        log_probs[unlisted] = scores[:, -1]
    return log_probs
