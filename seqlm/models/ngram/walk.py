"""The walk over the orders of an n-gram model: which of its n-grams the words of a text end.

    row(w₁ … wₖ)  is the row of wₖ among the continuations of row(w₁ … wₖ₋₁)

All words of a text take a step together: first their bigrams are found, each from the row of the
word before, then their trigrams from the rows of the bigrams before, and so on. So does the score
of a word, from that of its unigram: in every order it becomes log p* of the n-gram, where there is
one, and else grows by the backoff of the context.

    V vocabulary · n order of the model · k order of n-grams · B, T rows and columns of tokens
    Q queries
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from seqlm.models.ngram.interpolation_search import interpolation_search
from seqlm.models.ngram.ngram_order import NGramOrder
from seqlm.models.ngram.scrambling import scramble_ids
from seqlm.text.vocabulary import EOS

UNSEEN, BEFORE_START = -1, -2
"""Rows of n-grams that a model does not have: the text has such an n-gram; it would begin before
the text (or the line), so that there is none."""


class Walked(NamedTuple):
    """What a walk says of tokens (B, T)."""

    scores: np.ndarray  # (B, T) float32, log p of each token after those before it
    lengths: np.ndarray  # (B, T) uint8, the order of the n-gram that each is scored with
    rows: np.ndarray  # (B, n-1) int32, the state after them


class Matches(NamedTuple):
    """The n-grams of one order k that end with tokens (B, T)."""

    contexts: np.ndarray  # (B, T) int32, row of the k-1 words before each token, or < 0
    rows: np.ndarray  # (B, T) int32, row of these words and the token, or < 0


def start_rows(rows: int, order: int) -> np.ndarray:
    """(B, n-1) int32, the state of `match_ngrams` at the start of a text: after one `</s>`."""
    start = np.full((rows, order - 1), BEFORE_START, np.int32)
    start[:, :1] = EOS
    return start


def match_ngrams(
    orders: Sequence[NGramOrder], rows: np.ndarray, tokens: np.ndarray, resets_at_eos: bool
) -> tuple[list[Matches], np.ndarray]:
    """The matches of orders 2 … n for `tokens` (B, T), and the state after them.

    The state is `rows` (B, n-1) int32: the row of the last k tokens in order k, or UNSEEN or
    BEFORE_START, for k = 1 … n-1. `orders` are all of the model. With `resets_at_eos` no n-gram
    contains `</s>` but as its first or last word.

    >>> matches, rows = match_ngrams(
    ...     [UNIGRAMS, BIGRAMS], start_rows(1, 2), np.array([[2, 4, 3]]), resets_at_eos=True
    ... )  # the dog cat
    >>> matches[0].rows.tolist(), rows.tolist()
    ([[0, 2, -1]], [[3]])
    """
    if tokens.shape[1] == 0:
        return [], rows
    vocab_size = len(orders[0])
    words = scramble_ids(tokens, vocab_size)  # (B, T)
    row = tokens.astype(np.int32)  # (B, T) of the k-gram that ends with each token
    matches, last = [], []
    for k, (below, order) in enumerate(pairwise(orders), 2):
        last.append(row[:, -1])
        contexts = np.concatenate([rows[:, k - 2 : k - 1], row[:, :-1]], 1)
        row = find(below, order, contexts.ravel(), words.ravel(), vocab_size).reshape(tokens.shape)
        row = np.where(contexts == BEFORE_START, contexts, row)
        matches.append(Matches(contexts, row))
        if resets_at_eos:
            row = np.where(tokens == EOS, np.int32(BEFORE_START), row)
    return matches, np.stack(last, 1) if last else rows


def walk(
    orders: Sequence[NGramOrder],
    rows: np.ndarray,
    tokens: np.ndarray,
    unseen_backoff: float,
    resets_at_eos: bool,
) -> Walked:
    """The scores of `tokens` (B, T) after the state `rows` (B, n-1); `match_ngrams` says what those
    are. `unseen_backoff` is log β of contexts that the model does not have."""
    matches, after = match_ngrams(orders, rows, tokens, resets_at_eos)
    scores = orders[0].log_prob_at(tokens.ravel())  # (B·T,)
    lengths = np.ones(tokens.size, np.uint8)
    for k, (below, order, match) in enumerate(zip(orders, orders[1:], matches), 2):
        context, row = match.contexts.ravel(), match.rows.ravel()
        found = np.flatnonzero(row >= 0)
        seen = np.flatnonzero((context >= 0) & (row < 0))
        scores[seen] += below.backoff_at(context[seen])
        if unseen_backoff:
            scores[context == UNSEEN] += np.float32(unseen_backoff)
        scores[found] = order.log_prob_at(row[found])
        lengths[found] = k
    return Walked(scores.reshape(tokens.shape), lengths.reshape(tokens.shape), after)


def find(
    below: NGramOrder, order: NGramOrder, contexts: np.ndarray, words: np.ndarray, vocab_size: int
) -> np.ndarray:
    """(Q,) int32 rows of the n-grams of `contexts` (Q,) and scrambled `words` (Q,), or UNSEEN.

    A context is a row of the order `below`, or negative, which nothing continues.

    >>> the, cat, sat = np.array([[2], [3], [5]], np.int32)
    >>> find(UNIGRAMS, BIGRAMS, the, cat, 6).item(), find(UNIGRAMS, BIGRAMS, the, sat, 6).item()
    (1, -1)
    """
    rows = np.full(len(contexts), UNSEEN, np.int32)
    seen = np.flatnonzero(contexts >= 0)
    of_seen = contexts[seen]
    low, high = below.first_at(of_seen), below.first_at(of_seen + 1)
    rows[seen] = interpolation_search(order.words_at, low, high, words[seen], vocab_size)
    return rows
