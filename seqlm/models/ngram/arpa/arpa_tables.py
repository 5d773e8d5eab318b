"""The n-grams of an ARPA file, in any order -> the sorted tables of a model.

The row of an n-gram follows from the row of its context, and that from the row of *its* context.
So the lines of an order are sorted word by word: by the first; then, within each row of order 1, by
the second, which makes them rows of order 2; and so on. Keys that carry the number of the line
(`TaggedKeys` of `sort_keys.py`) are sorted in place.

A file may lack the context of an n-gram that it has, if SRILM has pruned it. The context is
inserted, with backoff 1 and the probability that the rest of the model gives it. This changes no
other probability:

    -0.3  the old frog            a file without `the old`
    ->  p(the old frog) as it is,  p(old | the) = β(the) p(old),  β(the old) = 1

    U lines, or rows of a table · k their order · V vocabulary · Q rows that are looked up
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlm.models.config.ngram_config import NGramConfig
from seqlm.models.ngram.derived.backing_off import fill_in_probabilities, suffix_rows
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.ngram_order import make_records
from seqlm.models.ngram.scrambling import scramble_ids
from seqlm.models.ngram.sort_keys import (
    TaggedKeys,
    find_sorted,
    first_of_equals,
    pack_keys,
    unpack_keys,
)


class RepeatedNGram(Exception):
    """Two lines hold the same n-gram."""

    def __init__(self, first: int, second: int) -> None:
        """The numbers of the two lines among those of their order."""
        self.first, self.second = first, second


class OrderArrays:
    """The columns of one order, as in `NGramOrder`, while rows can still be inserted."""

    def __init__(self, words: np.ndarray, log_prob: np.ndarray, backoff: np.ndarray) -> None:
        self.words = words  # (U,) int32, scrambled
        self.log_prob = log_prob  # (U,) float32, natural; NaN where the row was inserted
        self.backoff = backoff  # (U,) float32, natural
        self.first = np.zeros(len(words) + 1, np.int64)  # of the order above

    def continue_with(self, contexts: np.ndarray) -> None:
        """Counts one more row of the order above for each of `contexts`."""
        self.first[1:] += np.cumsum(np.bincount(contexts, minlength=len(self.words)))


class TableBuilder:
    """The tables of orders 1, 2, … as they are added."""

    def __init__(self, log_prob: np.ndarray, backoff: np.ndarray) -> None:
        """The unigrams (V,) by id."""
        self.vocab_size = len(log_prob)
        ids = np.arange(self.vocab_size)
        self.scrambled = scramble_ids(ids, self.vocab_size)  # (V,)
        self.orders = [OrderArrays(ids, log_prob, backoff)]
        self.inserted = 0
        """How many contexts were in no line."""

    def add(self, words: Sequence[np.ndarray], log_prob: np.ndarray, backoff: np.ndarray) -> None:
        """Adds the next order k: the k columns `words`, (U,) int32 ids each, log p and log β.

        Errors: RepeatedNGram.
        """
        lines = np.arange(len(log_prob), dtype=np.int32)
        contexts, lines = self._sort(np.zeros_like(lines), words[0], lines)
        for j, word in enumerate(words[1:], 2):
            # `contexts` are rows of order j-1 and rise; sorted by word too, they give rows of j.
            scrambled, lines = self._sort(contexts, self.scrambled.take(word.take(lines)), lines)
            keys = pack_keys(contexts.astype(np.int64), scrambled)
            new = first_of_equals(keys)
            if j < len(words):
                rows = self._find_or_insert(j, keys[new])
                contexts = rows.astype(np.int32).take(np.cumsum(new) - 1)
        if not new.all():
            second = int(new.argmin())
            raise RepeatedNGram(int(lines[second - 1]), int(lines[second]))
        self.orders[-1].continue_with(contexts)
        self.orders.append(OrderArrays(scrambled, log_prob[lines], backoff[lines]))

    def _sort(
        self, contexts: np.ndarray, words: np.ndarray, lines: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`words` and `lines` (U,), whose `contexts` (U,) rise, sorted by word in each context."""
        layout = TaggedKeys.of(self.vocab_size, len(lines))
        keys = layout.pack(contexts.astype(np.int64), words, lines)
        for chunk in layout.chunks(contexts):
            keys[chunk].sort()
        return layout.words(keys).astype(np.int32), layout.tags(keys).astype(np.int32)

    def _find_or_insert(self, k: int, keys: np.ndarray) -> np.ndarray:
        """(Q,) int64 rows in order k of `keys` (Q,), which rise, each once.

        Those that are in no row are inserted.
        """
        below, order = self.orders[k - 2 : k]
        rows, is_found = find_sorted(below.first, order.words, keys)
        missing = ~is_found
        if missing.any():
            self._insert(k, keys[missing], rows[missing])
            rows += np.cumsum(missing) - missing  # those inserted before each
        return rows

    def _insert(self, k: int, keys: np.ndarray, rows: np.ndarray) -> None:
        """Inserts n-grams before `rows` of order k."""
        below, order = self.orders[k - 2 : k]
        contexts, words = unpack_keys(keys)
        longer = OrderArrays(
            np.insert(order.words, rows, words),
            np.insert(order.log_prob, rows, np.nan),
            np.insert(order.backoff, rows, 0),
        )
        longer.first = np.insert(order.first, rows, order.first[rows])
        self.orders[k - 1] = longer
        below.continue_with(contexts)
        self.inserted += len(keys)

    def model(self) -> NGramModel:
        *lower, highest = self.orders
        orders = [make_records(o.words, o.log_prob, o.backoff, o.first) for o in lower]
        orders.append(make_records(highest.words, highest.log_prob))
        rows = tuple(len(order.words) for order in self.orders)
        config = NGramConfig(self.vocab_size, len(rows), "arpa", "sentence", rows)
        model = NGramModel(config, orders)
        for k, suffixes in enumerate(suffix_rows(model) if self.inserted else (), 2):
            fill_in_probabilities(model, k, suffixes)
        return model
