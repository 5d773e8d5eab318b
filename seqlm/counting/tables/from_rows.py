"""n-grams as rows of ids with their counts, in any order <-> the tables of `count_ngrams`.

    the cat  2                first   0 0 0 2 3       of <unk> </s> cat the, and the end
    cat cat  1       <->      words   cat the cat     scrambled, each after its context
    cat the  1                counts  1   1   2

Such rows come from counts that were made elsewhere: read from files, or collected from a cluster.
Order by order, the row of each n-gram's context is looked up in the tables below, and the order is
sorted by its keys, (row of the context, word). The suffix s(u) of an n-gram u, its words but the
first, takes one look-up more:

    row(s(w₁ … wₖ))  =  row( s(w₁ … wₖ₋₁), wₖ )

    U n-grams of an order, k words each · V vocabulary · H n-grams of the order below · Q queries
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from seqlm.counting.tables.ngrams import NGrams, orders_of
from seqlm.errors import DataError
from seqlm.models.ngram.ngram_order import words_of_range
from seqlm.models.ngram.scrambling import scramble_ids, unscramble_ids
from seqlm.models.ngram.sort_keys import find_sorted, first_of_equals, pack_keys, unpack_keys

STRETCH = 1 << 20
"""N-grams looked up at a time."""


class IncompleteNGram(DataError):
    """An n-gram without the shorter one it continues, its context, or backs off to, its suffix."""

    def __init__(self, ids: list[int], part: str) -> None:
        """`ids` are the n-gram's, `part` is 'context' or 'suffix'."""
        super().__init__(f"the n-gram of the ids {' '.join(map(str, ids))} lacks its {part}")
        self.ids, self.part = ids, part


def from_rows(orders: Iterable[tuple[np.ndarray, np.ndarray]], vocab_size: int) -> list[NGrams]:
    """The tables of orders 1, 2, … as `count_ngrams` makes them.

    Each of `orders` are ids (U, k) int32 and their counts (U,) int64, in any order; the counts of
    equal n-grams are added up. Errors: IncompleteNGram where a context or suffix of two words or
    more is missing.
    """
    scrambled = _scrambled(vocab_size)
    tables: list[NGrams] = []
    for ids, counts in orders:
        if tables:
            tables.append(_next_order(tables, ids, counts, scrambled))
        else:
            tables.append(_unigrams(ids[:, 0], counts, vocab_size))
        del ids, counts  # before the next are made
    return tables


def to_rows(
    tables: Sequence[NGrams], vocab_size: int, k: int, rows: slice = slice(None)
) -> np.ndarray:
    """(U, k) int32, the ids of the n-grams of order k, or of those in a stretch of `rows`."""
    start, stop, _ = rows.indices(len(tables[k - 1].words))
    ids = np.empty((max(stop - start, 0), k), np.int32)
    ids[:, 0], *words = words_of_range(orders_of(tables[:k]), start, stop)
    id_of = unscramble_ids(np.arange(vocab_size), vocab_size).astype(np.int32)
    for j, column in enumerate(words, 1):
        ids[:, j] = id_of.take(column)
    return ids


def find_rows(tables: Sequence[NGrams], ids: np.ndarray, vocab_size: int) -> np.ndarray:
    """(Q,) int64, the rows of the n-grams `ids` (Q, k), or -1."""
    return _find_rows(tables, ids, _scrambled(vocab_size))


def _scrambled(vocab_size: int) -> np.ndarray:
    """(V,) int32, the scrambled word of every id."""
    return scramble_ids(np.arange(vocab_size), vocab_size)


def _unigrams(ids: np.ndarray, counts: np.ndarray, vocab_size: int) -> NGrams:
    """Every entry of the vocabulary has a row, its id."""
    total = np.zeros(vocab_size, np.int64)
    np.add.at(total, ids, counts)
    return _table(np.arange(vocab_size), np.array([0, vocab_size]), np.zeros(vocab_size), total)


def _next_order(
    below: Sequence[NGrams], ids: np.ndarray, counts: np.ndarray, scrambled: np.ndarray
) -> NGrams:
    """The table of `ids` (U, k), k ≥ 2, with `counts` (U,)."""
    keys = np.empty(len(ids), np.int64)
    for part in _stretches(len(ids)):
        contexts = _find_contexts(below, ids[part], scrambled)
        if len(missing := np.flatnonzero(contexts < 0)):
            raise IncompleteNGram(ids[part][missing[0]].tolist(), "context")
        keys[part] = pack_keys(contexts, scrambled[ids[part, -1]])
    order = keys.argsort()
    keys.sort()
    new = np.flatnonzero(first_of_equals(keys))
    counts = np.add.reduceat(counts[order], new) if len(new) else counts
    contexts, words = unpack_keys(keys[new])
    order = order[new]
    suffix = np.empty(len(words), np.int32)
    for part in _stretches(len(words)):
        last_ids = ids[order[part], -1]
        suffix[part] = _find_suffixes(below, contexts[part], words[part], last_ids)
        if len(missing := np.flatnonzero(suffix[part] < 0)):
            raise IncompleteNGram(ids[order[part][missing[0]]].tolist(), "suffix")
    sizes = np.bincount(contexts, minlength=len(below[-1].words))  # (H,)
    return _table(words, np.append(0, sizes.cumsum()), suffix, counts)


def _stretches(size: int) -> Iterator[slice]:
    for start in range(0, size, STRETCH):
        yield slice(start, min(start + STRETCH, size))


def _find_suffixes(
    below: Sequence[NGrams],
    contexts: np.ndarray,
    words: np.ndarray,
    last_ids: np.ndarray,
) -> np.ndarray:
    """(U,) the row of each suffix or -1; `last_ids` (U,) are the ids of the last words."""
    if len(below) == 1:
        return last_ids
    shorter = below[-1].suffix.take(contexts)  # the suffix of the context
    return _find(below[-1], shorter, words)


def _find_contexts(below: Sequence[NGrams], ids: np.ndarray, scrambled: np.ndarray) -> np.ndarray:
    """(U,) int64, the row of each context or -1; if neighbors share one, it is looked up once."""
    new = np.ones(len(ids), bool)
    new[1:] = (ids[1:, :-1] != ids[:-1, :-1]).any(axis=1)
    return _find_rows(below, ids[new, :-1], scrambled).take(new.cumsum() - 1)


def _find_rows(tables: Sequence[NGrams], ids: np.ndarray, scrambled: np.ndarray) -> np.ndarray:
    rows = ids[:, 0].astype(np.int64)
    for j in range(1, ids.shape[1]):
        rows = _find(tables[j], rows, scrambled[ids[:, j]])
    return rows


def _find(ngrams: NGrams, contexts: np.ndarray, words: np.ndarray) -> np.ndarray:
    """(Q,) int64 rows of `contexts` (Q,), rows or -1, with the scrambled `words` (Q,), or -1."""
    keys = pack_keys(contexts.astype(np.int64), words)
    order = keys.argsort()
    sorted_rows, is_found = find_sorted(ngrams.first, ngrams.words, keys[order])
    rows = np.empty(len(keys), np.int64)
    rows[order] = np.where(is_found, sorted_rows, -1)
    return rows


def _table(words: np.ndarray, first: np.ndarray, suffix: np.ndarray, counts: np.ndarray) -> NGrams:
    assert len(words) < 2**31, "rows are numbered with 31 bits"
    small = counts.max(initial=0) < 2**31
    return NGrams(
        words.astype(np.int32),
        first.astype(np.int32),
        suffix.astype(np.int32),
        counts.astype(np.int32 if small else np.int64),
    )
