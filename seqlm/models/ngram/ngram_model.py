"""n-gram models: the next word given the last n-1, with backoff (Katz, 1987).

    p(w | h)  =  p*(w | h)           if the model has the n-gram hw
                 β(h) p(w | h')      otherwise; h' is h without its first word

    log p*   `log_prob`  of every n-gram, orders 1 to n (interpolated models fold the lower orders
                         into it, so that this one form serves them all)
    log β    `backoff`   of every n-gram as a context; 0 where the model does not have it, or it is
                         none (stupid backoff: log 0.4 where the model does not have it)

How n-grams are sorted and found is in `ngram_order.py` and `walk.py`. All is arrays of numpy, which
may be memory-mapped; `ngram_language_model.py` answers the same questions in tensors.

    V vocabulary · n order of the model · k order of n-grams · U their number
    B, T rows and columns of tokens · Q tokens still to score
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from math import log
from typing import Any, NamedTuple, Self

import numpy as np

from seqlm.models.config.ngram_config import STUPID_BACKOFF, NGramConfig
from seqlm.models.ngram.ngram_order import HIGHEST, RECORD, NGramOrder
from seqlm.models.ngram.scrambling import unscramble_ids
from seqlm.models.ngram.walk import UNSEEN, Matches, match_ngrams, start_rows

CHUNK = 1 << 16
"""Tokens scored at a time: enough that an operation takes longer than the call."""


class NGramState(NamedTuple):
    rows: np.ndarray  # (B, n-1) int32, the row of the last k tokens in order k, or < 0


class NGramModel:
    normalized: bool
    """False where the model gives scores that are not probabilities."""
    resets_at_eos: bool
    """Whether the state after `</s>` is the start state, so that lines never see each other."""
    context_length = None
    """A state may have consumed any number of tokens."""

    def __init__(self, config: NGramConfig, orders: Sequence[np.ndarray]) -> None:
        """`orders` are the records (U + 1,) of orders 1 … n."""
        self.config = config
        self.orders = [NGramOrder(records) for records in orders]
        self.resets_at_eos = config.context == "sentence"
        self.normalized = config.smoothing != "stupid-backoff"
        self.unseen_backoff = 0.0 if self.normalized else log(STUPID_BACKOFF)

    # -- what is stored

    def settings(self) -> dict[str, Any]:
        """The configuration as plain names and values, ready for YAML."""
        return asdict(self.config)

    def arrays(self) -> dict[str, np.ndarray]:
        """The records by name, each (U + 1, 4) int32, in the highest order (U + 1, 2)."""
        return {
            f"orders.{k}.records": order.records.view(np.int32).reshape(len(order) + 1, -1)
            for k, order in enumerate(self.orders)
        }

    @classmethod
    def from_arrays(cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """The model of `settings()` and `arrays()`, of which nothing is copied.

        Errors: TypeError on an unknown setting; ValueError where an array has not the name, the
        shape or the type that the settings need.
        """
        config = NGramConfig(**{**settings, "rows": tuple(settings["rows"])})
        shapes = {
            f"orders.{k}.records": (rows + 1, 4 if k < config.order - 1 else 2)
            for k, rows in enumerate(config.rows)
        }
        if arrays.keys() != shapes.keys():
            odd = min(arrays.keys() ^ shapes.keys())
            raise ValueError(f"{odd} is {'missing' if odd in shapes else 'no array of n-grams'}")
        for name, shape in shapes.items():
            if arrays[name].shape != shape or arrays[name].dtype != np.int32:
                found = f"{arrays[name].dtype} {arrays[name].shape}"
                raise ValueError(f"{name} is {found}, not int32 {shape}")
        kinds = [RECORD] * (config.order - 1) + [HIGHEST]
        return cls(config, [arrays[name].view(kind)[:, 0] for name, kind in zip(shapes, kinds)])

    def order(self, k: int) -> NGramOrder:
        return self.orders[k - 1]

    @property
    def verify(self) -> Callable[[int, np.ndarray], None] | None:
        """Is called with an order k and rows of it that are about to be read, where the records are
        a file that nobody has looked at yet; it raises an error where one of them is damaged."""
        return self._verify

    @verify.setter
    def verify(self, verify: Callable[[int, np.ndarray], None] | None) -> None:
        self._verify = verify
        for k, order in enumerate(self.orders, 1):
            order.verify = None if verify is None else partial(verify, k)

    _verify: Callable[[int, np.ndarray], None] | None = None

    # -- the verbs

    def start(self, rows: int) -> NGramState:
        """The state of `rows` rows, each at the beginning of a text."""
        return NGramState(start_rows(rows, self.config.order))

    def advance(self, state: NGramState, tokens: np.ndarray) -> NGramState:
        """The state after consuming `tokens` (B, T)."""
        # No context is longer than n-1 words: earlier tokens do not matter.
        return self._walk(state, tokens[:, -max(1, self.config.order - 1) :])[1]

    def score(self, state: NGramState, tokens: np.ndarray) -> tuple[np.ndarray, NGramState]:
        """(B, T) float32 log p(tokens[:, t] | state, tokens[:, :t]), and the state after them."""
        scores = np.empty(tokens.shape, np.float32)
        for part in parts_of(tokens):
            matches, state = self._walk(state, tokens[:, part])
            scores[:, part] = self._score_matches(matches, tokens[:, part])
        return scores, state

    def _score_matches(self, matches: Sequence[Matches], tokens: np.ndarray) -> np.ndarray:
        """(B, T) the scores of `tokens` (B, T) with these matches of orders 2 … n."""
        score = np.zeros(tokens.size, np.float32)
        pending = np.arange(tokens.size)  # (Q,) tokens not matched yet
        for k in range(self.config.order, 1, -1):
            context, row = (of.ravel()[pending] for of in matches[k - 2])
            hit = row >= 0
            # The model has the n-gram: p*.
            score[pending[hit]] += self.order(k).log_prob_at(row[hit])
            pending, context = pending[~hit], context[~hit]
            # It has not: β.
            seen = context >= 0
            score[pending[seen]] += self.order(k - 1).backoff_at(context[seen])
            if self.unseen_backoff:
                score[pending[context == UNSEEN]] += np.float32(self.unseen_backoff)
        score[pending] += self.order(1).log_prob_at(tokens.ravel()[pending])
        return score.reshape(tokens.shape)

    def ngram_length(self, state: NGramState, tokens: np.ndarray) -> np.ndarray:
        """(B, T) int64, the order of the n-gram that each token is scored with."""
        lengths = np.ones(tokens.shape, np.int64)
        for part in parts_of(tokens):
            matches, state = self._walk(state, tokens[:, part])
            for k, match in enumerate(matches, 2):
                lengths[:, part][match.rows >= 0] = k
        return lengths

    def log_probs(self, state: NGramState) -> np.ndarray:
        """(B, V) float32 natural-log probabilities of the next token."""
        log_probs = np.tile(self.order(1).log_prob, (len(state.rows), 1))  # (B, V)
        # Longer contexts overwrite shorter ones, so that the longest match remains.
        for k, (below, order) in enumerate(pairwise(self.orders), 2):
            log_probs[state.rows[:, k - 2] == UNSEEN] += np.float32(self.unseen_backoff)
            batch_rows = np.flatnonzero(state.rows[:, k - 2] >= 0)  # (K,)
            contexts = state.rows[batch_rows, k - 2]
            log_probs[batch_rows] += below.backoff_at(contexts)[:, None]
            rows, sizes = below.continuations(contexts)  # (C,) and (K,)
            ids = unscramble_ids(order.words_at(rows), self.config.vocab_size)
            log_probs[batch_rows.repeat(sizes), ids] = order.log_prob_at(rows)
        return log_probs

    def states_before(self, state: NGramState, tokens: np.ndarray) -> NGramState:
        """The state before each of `tokens` (B, T), as B·T rows."""
        matches, _ = self._walk(state, tokens)
        if not matches:  # a unigram model has no contexts
            return NGramState(state.rows.repeat(tokens.shape[1], 0))
        return NGramState(np.stack([match.contexts.ravel() for match in matches], 1))

    def _walk(self, state: NGramState, tokens: np.ndarray) -> tuple[list[Matches], NGramState]:
        """The matches of orders 2 … n for `tokens` (B, T), and the state after them."""
        matches, rows = match_ngrams(self.orders, state.rows, tokens, self.resets_at_eos)
        return matches, NGramState(rows)


def parts_of(tokens: np.ndarray) -> list[slice]:
    """The columns of `tokens` (B, T) in parts of about CHUNK tokens."""
    width = max(1, CHUNK // max(1, len(tokens)))
    return [slice(start, start + width) for start in range(0, tokens.shape[1], width)]
