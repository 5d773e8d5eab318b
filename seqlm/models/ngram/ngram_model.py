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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from math import log
from typing import Any, NamedTuple, Self

import numpy as np

from seqlm.errors import ModelError
from seqlm.machine.compilation import is_compiled
from seqlm.machine.threads import num_threads, parallel_map
from seqlm.models.config.ngram_config import STUPID_BACKOFF, NGramConfig
from seqlm.models.ngram.compact.compact_order import CompactLayout
from seqlm.models.ngram.drawing import Drawing
from seqlm.models.ngram.ngram_order import NGramOrder, RecordLayout
from seqlm.models.ngram.scrambling import unscramble_ids
from seqlm.models.ngram.walk import UNSEEN, Matches, Walked, match_ngrams, start_rows, walk

CHUNK = 1 << 16
"""Tokens scored at a time: enough that an operation takes longer than the call."""
LARGE_TEXT = 1_000_000
"""Tokens from which the walk is compiled: that saves a third of a second, and costs twice that."""

Verify = Callable[[int, np.ndarray | None], None]
"""What is called before rows of an order are read."""


class NGramState(NamedTuple):
    rows: np.ndarray  # (B, n-1) int32, the row of the last k tokens in order k, or < 0


class NGramModel:
    normalized: bool
    """False where the model gives scores that are not probabilities."""
    resets_at_eos: bool
    """Whether the state after `</s>` is the start state, so that lines never see each other."""
    context_length = None
    """A state may have consumed any number of tokens."""

    def __init__(self, config: NGramConfig, orders: Sequence[np.ndarray | NGramOrder]) -> None:
        """`orders` are 1 … n, each as it is or as its records (U + 1,)."""
        self.config = config
        self.orders = [
            order if isinstance(order, NGramOrder) else NGramOrder(order) for order in orders
        ]
        self.resets_at_eos = config.context == "sentence"
        self.normalized = config.smoothing != "stupid-backoff"
        self.unseen_backoff = 0.0 if self.normalized else log(STUPID_BACKOFF)

    # -- what is stored

    def settings(self) -> dict[str, Any]:
        """The configuration as plain names and values, ready for YAML."""
        return asdict(self.config)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name, as `from_arrays` takes them."""
        return {
            f"orders.{k}.{name}": array
            for k, order in enumerate(self.orders)
            for name, array in order.arrays().items()
        }

    @classmethod
    def from_arrays(cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """The model of `settings()` and `arrays()`, of which nothing is copied.

        The records of an order are (U + 1, 4) int32, of the highest (U + 1, 2); what a compact
        order has instead is in `compact_order.py`. Errors: TypeError on an unknown setting;
        ValueError where an array has not the name, the shape or the type that the settings need.
        """
        config = NGramConfig(**{**settings, "rows": tuple(settings["rows"])})
        layouts = list(layouts_of(config))
        types = {
            f"orders.{k}.{name}": type_
            for k, layout in enumerate(layouts)
            for name, type_ in layout.types().items()
        }
        check_types(arrays, types)
        return cls(
            config,
            [
                layout.order({name: arrays[f"orders.{k}.{name}"] for name in layout.types()})
                for k, layout in enumerate(layouts)
            ],
        )

    def order(self, k: int) -> NGramOrder:
        return self.orders[k - 1]

    @property
    def verify(self) -> Verify | None:
        """Is called with an order k, and with rows of it that are about to be read, or None for
        all, where they are in a file that nobody has looked at yet; it raises an error where one of
        them is damaged."""
        return self._verify

    @verify.setter
    def verify(self, verify: Verify | None) -> None:
        self._verify = verify
        for k, order in enumerate(self.orders, 1):
            order.verify = None if verify is None else partial(verify, k)

    _verify: Verify | None = None

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
        scores, _, rows = self._ask(state, tokens)
        return scores, NGramState(rows)

    def ngram_length(self, state: NGramState, tokens: np.ndarray) -> np.ndarray:
        """(B, T) int64, the order of the n-gram that each token is scored with."""
        return self._ask(state, tokens).lengths.astype(np.int64)

    def score_and_length(
        self, state: NGramState, tokens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, NGramState]:
        """The answers of `score` and `ngram_length` at once, in the time of one of them."""
        scores, lengths, rows = self._ask(state, tokens)
        return scores, lengths.astype(np.int64), NGramState(rows)

    def _ask(self, state: NGramState, tokens: np.ndarray) -> Walked:
        """What a walk says of `tokens` (B, T), in threads, and in chunks that stay in the cache."""
        walk, chunk = self._way_to_walk(tokens.size)
        scores, lengths = np.empty(tokens.shape, np.float32), np.empty(tokens.shape, np.uint8)

        def ask(part: slice) -> None:
            # Parts need no scores of each other: what precedes a part is its last n-1 words.
            rows = self.advance(state, tokens[:, : part.start]).rows
            for columns in parts_of(part, len(tokens), chunk):
                scores[:, columns], lengths[:, columns], rows = walk(
                    self.orders, rows, tokens[:, columns], self.unseen_backoff, self.resets_at_eos
                )

        whole = slice(0, tokens.shape[1])
        threads = num_threads() if tokens.size > chunk else 1
        parallel_map(ask, parts_of(whole, len(tokens), -(-tokens.size // threads)))
        return Walked(scores, lengths, self.advance(state, tokens).rows)

    def _way_to_walk(self, size: int) -> tuple[Callable[..., Walked], int]:
        """How `size` tokens are walked over, and how many at a time."""
        if self.config.order == 1 or not is_compiled(size, LARGE_TEXT):
            return walk, CHUNK
        from seqlm.models.ngram import compiled_walk

        for order in self.orders:
            order.verify_all()
        return compiled_walk.walk, compiled_walk.CHUNK

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

    def drawing(self) -> Callable[[NGramState, np.ndarray], np.ndarray] | None:
        """A way to draw the next token without all its log-probabilities; None of scores."""
        if not self.normalized:
            return None
        draw = Drawing(self.orders)
        return lambda state, uniform: draw(state.rows, uniform)

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


def layouts_of(config: NGramConfig) -> Iterator[RecordLayout | CompactLayout]:
    """Those of orders 1 … n. Of a compact model unigrams are records."""
    above: list[int | None] = [*config.rows[1:], None]
    for k, (rows, rows_above) in enumerate(zip(config.rows, above), 1):
        if config.compact and k > 1:
            yield CompactLayout.of(rows, rows_above, config.vocab_size)
        else:
            yield RecordLayout(rows, is_highest=rows_above is None)


def check_types(
    arrays: Mapping[str, np.ndarray], types: Mapping[str, tuple[tuple[int, ...], str]]
) -> None:
    """Errors: ModelError where names, shapes or types are others."""
    if arrays.keys() != types.keys():
        odd = min(arrays.keys() ^ types.keys())
        raise ModelError(f"{odd} is {'missing' if odd in types else 'no array of n-grams'}")
    for name, (shape, type_) in types.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != type_:
            raise ModelError(f"{name} is {array.dtype} {array.shape}, not {type_} {shape}")


def parts_of(columns: slice, rows: int, most: int) -> list[slice]:
    """Some columns of tokens, of which there are so many rows, in parts of at most about `most`
    tokens.

    >>> parts_of(slice(10, 60), 3, 60)
    [slice(10, 30, None), slice(30, 50, None), slice(50, 60, None)]
    """
    width = max(1, most // max(1, rows))
    starts = range(columns.start, columns.stop, width)
    return [slice(start, min(start + width, columns.stop)) for start in starts]
