"""n-grams in any order -> the sorted tables of a model.

The row of an n-gram follows from the row of its context, and that from the row of *its* context.
So the lines of an order are sorted word by word: by the first; then, within each row of order 1, by
the second, which makes them rows of order 2; and so on. A sort key packs all there is to know into
one integer, so that values are sorted in place and no index is moved along:

    63                                                         0
     |  row of the context, its low bits  |  word  |  line  |

Lines come grouped by context already; whole groups are cut into chunks in which the low bits of the
row suffice.

A file may lack the context of an n-gram that it has: SRILM prunes so. The context is put in, with
backoff 1 and the probability that the rest of the model gives it, which changes no other one.

    U lines, or rows of a table · k their order · V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from seqlm.models.config.ngram_config import NGramConfig
from seqlm.models.ngram.ngram_model import (
    NGramModel,
    NGramState,
    scramble_ids,
    unscramble_ids,
)

KEY_BITS = 63  # of a signed 64-bit integer


class Repeated(Exception):
    """Two lines tell the same n-gram."""

    def __init__(self, first: int, second: int) -> None:
        self.first, self.second = first, second


class Table:
    """The rows of one order, as in `models.ngram.Table`."""

    def __init__(self, words: np.ndarray, log_prob: np.ndarray, backoff: np.ndarray) -> None:
        self.words = words  # (U,) int32, mixed
        self.log_prob = log_prob  # (U,) float32, natural; NaN where it was put in
        self.backoff = backoff  # (U,) float32
        self.first = np.zeros(len(words) + 1, np.int64)

    def owners(self) -> np.ndarray:
        """(U of the order above,) the row here that each row there continues."""
        return np.repeat(np.arange(len(self.words), dtype=np.int32), np.diff(self.first))

    def continue_with(self, contexts: np.ndarray) -> None:
        """`first` makes room for one more row above for each of `contexts`."""
        self.first[1:] += np.cumsum(np.bincount(contexts, minlength=len(self.words)))


class Tables:
    """The tables of orders 1, 2, … as they are added."""

    def __init__(self, log_prob: np.ndarray, backoff: np.ndarray) -> None:
        """The unigrams (V,) by id."""
        self.vocab_size = len(log_prob)
        ids = torch.arange(self.vocab_size)
        self.mixed = scramble_ids(ids, self.vocab_size).numpy()
        self.orders = [Table(ids.numpy(), log_prob, backoff)]
        self.put_in = 0
        """Contexts that no line told."""

    def add(self, words: Sequence[np.ndarray], log_prob: np.ndarray, backoff: np.ndarray) -> None:
        """The next order k: k `words` (U,) int32 ids each, log p and log β. Errors: Repeated."""
        lines = np.arange(len(log_prob), dtype=np.int32)
        context, lines = self.sort(np.zeros_like(lines), words[0], lines)
        for j, word in enumerate(words[1:], 2):
            mixed, lines = self.sort(context, self.mixed.take(word.take(lines)), lines)
            keys = self.keys(context, mixed)
            new = changes(keys)
            if j < len(words):
                rows = self.rows(j, keys[new])
                context = rows.take(np.cumsum(new, dtype=np.int32) - 1)
        if not new.all():
            again = int(new.argmin())
            raise Repeated(int(lines[again - 1]), int(lines[again]))
        self.orders[-1].continue_with(context)
        self.orders.append(Table(mixed, log_prob[lines], backoff[lines]))

    def keys(self, context: np.ndarray, words: np.ndarray) -> np.ndarray:
        """(U,) int64, what n-grams are sorted by: row of the context · V + mixed word."""
        keys = context.astype(np.int64)
        keys *= self.vocab_size
        keys += words
        return keys

    def sort(
        self, context: np.ndarray, words: np.ndarray, lines: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`words` and `lines` (U,), whose `context` (U,) rises, sorted by word in each context."""
        line_bits, word_bits = len(lines).bit_length(), self.vocab_size.bit_length()
        row_bits = KEY_BITS - line_bits - word_bits
        assert row_bits >= 0, "keys too narrow for a word and a line"
        keys = context.astype(np.int64)
        keys &= (1 << row_bits) - 1
        for part, bits in ((words, word_bits), (lines, line_bits)):
            keys <<= bits
            keys |= part
        cuts = np.flatnonzero(np.diff(context >> min(row_bits, 31))) + 1
        for start, end in pairwise([0, *cuts.tolist(), len(keys)]):
            keys[start:end].sort()
        lines = (keys & ((1 << line_bits) - 1)).astype(np.int32)
        keys >>= line_bits
        keys &= (1 << word_bits) - 1
        return keys.astype(np.int32), lines

    def rows(self, k: int, wanted: np.ndarray) -> np.ndarray:
        """(Q,) int32 rows in order k of the keys `wanted` (Q,), which rise, each once.

        Those that are not there are put in.
        """
        below, table = self.orders[k - 2 : k]
        merged = np.concatenate([self.keys(below.owners(), table.words), wanted])
        merged <<= 1
        merged[len(table.words) :] |= 1
        merged.sort(kind="stable")  # two runs that are sorted
        is_wanted = (merged & 1).astype(bool)
        merged >>= 1
        new = changes(merged)
        row = np.cumsum(new, dtype=np.int32) - 1
        lacking = new & is_wanted
        if lacking.any():
            self.insert(k, merged[lacking], row[lacking])
        found: np.ndarray = row[is_wanted]
        return found

    def insert(self, k: int, keys: np.ndarray, rows: np.ndarray) -> None:
        """Puts in n-grams that will be at `rows`."""
        below, table = self.orders[k - 2 : k]
        contexts, words = np.divmod(keys, self.vocab_size)
        at = rows - np.arange(len(rows))  # among the old ones
        first = np.insert(table.first, at, table.first[at])
        log_prob = np.insert(table.log_prob, at, np.nan)
        backoff = np.insert(table.backoff, at, 0)
        self.orders[k - 1] = table = Table(np.insert(table.words, at, words), log_prob, backoff)
        table.first = first
        below.continue_with(contexts)
        self.put_in += len(keys)

    def model(self) -> NGramModel:
        order = len(self.orders)
        tensors: dict[str, Tensor] = {}
        for k, table in enumerate(self.orders, 1):
            named = {"log_prob": table.log_prob}
            if k > 1:
                named["words"] = table.words
            if k < order:
                named |= {"backoff": table.backoff, "first": table.first.astype(np.int32)}
            tensors |= {f"orders.{k - 1}.{n}": torch.from_numpy(a) for n, a in named.items()}
        rows = tuple(len(table.words) for table in self.orders)
        config = NGramConfig(self.vocab_size, order, "arpa", "sentence", rows)
        model = NGramModel.from_tensors(asdict(config), tensors)
        for k in range(2, order if self.put_in else 0):
            give_probability(model, k)
        return model


def changes(keys: np.ndarray) -> np.ndarray:
    """(U,) bool, where sorted `keys` (U,) are not what they were before."""
    new = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return new


def give_probability(model: NGramModel, k: int) -> None:
    """p(w | h) = β(h) p(w | h') for the rows of order k without one."""
    log_prob = model.order(k).log_prob
    rows = log_prob.isnan().nonzero()[:, 0]
    if len(rows) == 0:
        return
    words, owner = [], rows
    for j in range(k, 1, -1):
        words.append(unscramble_ids(model.order(j).words[owner], model.config.vocab_size))
        owner = torch.searchsorted(model.order(j - 1).first, owner.int(), right=True) - 1
        if j == k:
            context = owner
    opening = torch.full((len(rows), model.config.order - 1), -1, dtype=torch.int32)
    scores, _ = model.score(NGramState(opening), torch.stack(words[::-1], 1))  # (B, k-1)
    log_prob[rows] = model.order(k - 1).backoff[context] + scores[:, -1]
