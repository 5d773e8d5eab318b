"""Rows of ids and their counts, in any order, <-> the tables of `counting/ngrams.py`.

    row(w₁ … wₖ)  =  rank of  ( row(w₁ … wₖ₋₁), mixed wₖ )        row(w₁) = id of w₁

Rows come from counts that were made elsewhere: read from files, or collected from a cluster. Order
by order, the row of each n-gram's context is looked up in the tables below, and (row, word), packed
into one integer, is what the order is sorted by. With s(u) the suffix of u, its words but the
first, the suffix of the whole needs one look-up more:

    row(s(w₁ … wₖ))  =  row( s(w₁ … wₖ₋₁), wₖ )

Look-ups are made in sorted order, so that they go through a table once from end to end.

    U rows given · V vocabulary · H n-grams of the order below · Q questions
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from seqlm.counting.tables.arrays import histories
from seqlm.counting.tables.in_memory import NGrams
from seqlm.errors import DataError
from seqlm.models.ngram.ngram_model import scramble_ids, unscramble_ids

WORD_BITS = 32
WORD = (1 << WORD_BITS) - 1
"""The low bits of a packed key; the row of the context stands above them."""
STRETCH = 1 << 20
"""N-grams looked up at a time."""


class Incomplete(DataError):
    """An n-gram without the shorter one it continues, its context, or falls back on, its suffix."""

    def __init__(self, ids: list[int], part: str) -> None:
        """`ids` are the n-gram's, `part` is 'context' or 'suffix'."""
        super().__init__(f"the n-gram of the ids {' '.join(map(str, ids))} lacks its {part}")
        self.ids, self.part = ids, part


def from_rows(orders: Iterable[tuple[np.ndarray, np.ndarray]], vocab_size: int) -> list[NGrams]:
    """The tables of orders 1, 2, … as `count_ngrams` makes them.

    Of each order ids (U, k) int32 and counts (U,) int64, in any order; the counts of equal rows are
    added up. Errors: Incomplete where a context or suffix of two words or more has no row.
    """
    mixed = _mixed(vocab_size)
    tables: list[NGrams] = []
    for ids, counts in orders:
        if tables:
            tables.append(_next_order(tables, ids, counts, mixed))
        else:
            tables.append(_unigrams(ids[:, 0], counts, vocab_size))
        del ids, counts  # before the next are made
    return tables


def to_rows(
    tables: Sequence[NGrams], vocab_size: int, k: int, rows: slice = slice(None)
) -> np.ndarray:
    """(U, k) int32, the ids of the n-grams of order k, or of those in a stretch of `rows`."""
    start, stop, _ = rows.indices(len(tables[k - 1].words))
    levels = [(of.first.cpu().numpy(), of.words.cpu().numpy()) for of in tables[:k]]
    ids = spell(levels, start, stop)
    unmixed = unscramble_ids(torch.arange(vocab_size), vocab_size).int().numpy()
    ids[:, 1:] = unmixed.take(ids[:, 1:])
    return ids


def spell(levels: Sequence[tuple[np.ndarray, np.ndarray]], start: int, stop: int) -> np.ndarray:
    """(U, k) int32, the words of the n-grams in rows `start` to `stop` of order k.

    `levels` are `first` (H + 1,) and `words` (U,) of the orders 1 … k. Contexts of neighbours are
    neighbours, so that those of a stretch are a stretch one order down.
    """
    words = np.empty((max(stop - start, 0), len(levels)), np.int32)
    if words.size:
        first, last = levels[-1]
        low, high = np.searchsorted(first, [start, stop - 1], side="right") - 1
        sizes = np.diff(first[low : high + 2].clip(start, stop))  # of the contexts low … high
        words[:, :-1] = spell(levels[:-1], low, high + 1).repeat(sizes, axis=0)
        words[:, -1] = last[start:stop]
    return words


def find_rows(tables: Sequence[NGrams], ids: np.ndarray, vocab_size: int) -> np.ndarray:
    """(Q,) int64, the rows of the n-grams `ids` (Q, k), or -1."""
    return _find_rows(tables, ids, _mixed(vocab_size))


def _mixed(vocab_size: int) -> np.ndarray:
    """(V,) int64, every id mixed."""
    return scramble_ids(torch.arange(vocab_size), vocab_size).long().numpy()


def _unigrams(ids: np.ndarray, counts: np.ndarray, vocab_size: int) -> NGrams:
    """Every entry of the vocabulary has a row, its id."""
    total = np.zeros(vocab_size, np.int64)
    np.add.at(total, ids, counts)
    return _table(np.arange(vocab_size), np.array([0, vocab_size]), np.zeros(vocab_size), total)


def _next_order(
    below: Sequence[NGrams], ids: np.ndarray, counts: np.ndarray, mixed: np.ndarray
) -> NGrams:
    """The table of `ids` (U, k), k >= 2, with `counts` (U,)."""
    keys = np.empty(len(ids), np.int64)
    for part in _stretches(len(ids)):
        contexts = _contexts(below, ids[part], mixed)
        if len(missing := np.flatnonzero(contexts < 0)):
            raise Incomplete(ids[part][missing[0]].tolist(), "context")
        keys[part] = contexts << WORD_BITS | mixed[ids[part, -1]]
    order = keys.argsort()
    keys.sort()
    new = np.flatnonzero(np.diff(keys, prepend=-1))  # where another n-gram begins
    counts = np.add.reduceat(counts[order], new) if len(new) else counts
    keys, order = keys[new], order[new]
    suffix = np.empty(len(keys), np.int32)
    for part in _stretches(len(keys)):
        suffix[part] = _suffixes(below, keys[part], ids[order[part], -1])
        if len(missing := np.flatnonzero(suffix[part] < 0)):
            raise Incomplete(ids[order[part][missing[0]]].tolist(), "suffix")
    first = np.searchsorted(keys, np.arange(len(below[-1].words) + 1) << WORD_BITS)
    return _table(keys & WORD, first, suffix, counts)


def _stretches(size: int) -> Iterator[slice]:
    for start in range(0, size, STRETCH):
        yield slice(start, min(start + STRETCH, size))


def _suffixes(below: Sequence[NGrams], keys: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(U,) the row of each suffix or -1; `last` (U,) are the ids of the last words."""
    if len(below) == 1:
        return last
    shorter = below[-1].suffix.cpu().numpy().take(keys >> WORD_BITS)
    return _find(below[-1], shorter, keys & WORD)


def _contexts(below: Sequence[NGrams], ids: np.ndarray, mixed: np.ndarray) -> np.ndarray:
    """(U,) int64, the row of each context or -1; where neighbours share one, it is found once."""
    new = np.ones(len(ids), bool)
    new[1:] = (ids[1:, :-1] != ids[:-1, :-1]).any(axis=1)
    return _find_rows(below, ids[new, :-1], mixed).take(new.cumsum() - 1)


def _find_rows(tables: Sequence[NGrams], ids: np.ndarray, mixed: np.ndarray) -> np.ndarray:
    rows = ids[:, 0].astype(np.int64)
    for j in range(1, ids.shape[1]):
        rows = _find(tables[j], rows, mixed[ids[:, j]])
    return rows


def _find(table: NGrams, contexts: np.ndarray, words: np.ndarray) -> np.ndarray:
    """(Q,) int64 rows of `contexts` (Q,), rows or -1, with the mixed `words` (Q,), or -1."""
    keys = contexts.astype(np.int64) << WORD_BITS | words
    order = keys.argsort()
    keys = keys[order]
    rows = np.full(len(keys), -1)
    first, last = table.first.cpu().numpy(), table.words.cpu().numpy()
    for owners, grams in histories(table.first.cpu()):
        low, high = np.searchsorted(keys, [owners.start << WORD_BITS, owners.stop << WORD_BITS])
        if low == high or grams.start == grams.stop:
            continue
        sizes = np.diff(first[owners.start : owners.stop + 1])
        there = np.arange(owners.start, owners.stop).repeat(sizes) << WORD_BITS | last[grams]
        at = np.searchsorted(there, keys[low:high]).clip(max=len(there) - 1)
        hit = there[at] == keys[low:high]
        rows[order[low:high][hit]] = grams.start + at[hit]
    return rows


def _table(words: np.ndarray, first: np.ndarray, suffix: np.ndarray, counts: np.ndarray) -> NGrams:
    assert len(words) < 2**31, "rows are numbered with 31 bits"
    small = counts.max(initial=0) < 2**31
    return NGrams(
        torch.from_numpy(words.astype(np.int32)),
        torch.from_numpy(first.astype(np.int32)),
        torch.from_numpy(suffix.astype(np.int32)),
        torch.from_numpy(counts.astype(np.int32 if small else np.int64)),
    )
