"""The tables of the pieces of a text -> the tables of the whole text.

Each order is merged after the one below. Rows of a piece get the numbers they have in the whole,
and since both are sorted in the same way, by (row of the context, word), the numbers only rise:

    row(u) in piece s  ->  row(u) in the whole        rising in u, for every order

So the n-grams of a range of contexts are neighbors in every piece, and an order is merged by going
through the ranges once: read the range of each piece, sort, and add up the counts of equal n-grams.

    piece 1   the cat 2, the dog 1
    piece 2   the cat 1, the frog 1       ->   the cat 3, the dog 1, the frog 1

    S pieces · U_s n-grams of an order in piece s, H_s of the order below · U, H those of the whole
    M n-grams of all pieces in a range
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from seqlm.counting.tables.array_passes import blocks
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import DataError
from seqlm.machine.memory import Memory
from seqlm.models.ngram.sort_keys import first_of_equals, pack_keys, unpack_keys

BLOCK = 1 << 20  # n-grams merged at a time, at most
BYTES_PER_NGRAM = 256
"""Memory that merging takes at its height, for each n-gram of a block and its pages of files."""


class PieceTable(NamedTuple):
    """The table of one order of one piece."""

    words: np.ndarray  # (U_s,) int32, scrambled
    first: np.ndarray  # (H_s + 1,) int32
    suffix: np.ndarray  # (U_s,) int32, rows of the piece
    counts: np.ndarray  # (U_s,) int32
    merged_rows: np.ndarray  # (U_s,) int32, the rows in the whole, once they are known

    @classmethod
    def of(cls, table: NGrams, memory: Memory) -> PieceTable:
        """The table in the files of `memory`."""
        words, first, suffix, counts = (memory.copy(column) for column in table[:4])
        memory.release_pages()
        return cls(words, first, suffix, counts, memory.empty(len(counts), np.int32))


def merge_unigrams(tables: list[PieceTable], counts_dtype: np.dtype) -> NGrams:
    """The table of order 1, whose rows are the ids, in every piece."""
    counts = np.zeros(len(tables[0].counts), counts_dtype)
    for table in tables:
        counts += table.counts
        table.merged_rows[:] = table.words
    words, first, suffix = tables[0][:3]
    return NGrams(words, first, suffix, counts)


def merge_ngrams(
    contexts: list[PieceTable],
    tables: list[PieceTable],
    size: int,
    counts_dtype: np.dtype,
    memory: Memory,
    progress: Callable[[float], None],
) -> NGrams:
    """The table of an order from the `tables` of the pieces, whose `merged_rows` are filled in.

    `contexts` are the pieces' tables of the order below, of which the whole has `size`, H.
    Errors: DataError if there are more n-grams than 31 bits number.
    """
    for below, table in zip(contexts, tables):
        for block in blocks(table.suffix):
            table.suffix[block] = below.merged_rows[table.suffix[block]]
            memory.release_pages()
    most = sum(len(table.counts) for table in tables)
    words, suffix = memory.empty(most, np.int32), memory.empty(most, np.int32)
    counts = memory.empty(most, counts_dtype)
    first = memory.zeros(size + 1, np.int32)
    done = 0
    most_at_once = min(BLOCK, max(1 << 16, memory.available() // BYTES_PER_NGRAM))
    for start, stop, parts in _ranges(contexts, tables, size, most_at_once):
        of_pieces = list(zip(contexts, tables, parts, strict=True))
        keys = np.concatenate([_keys(*piece, start) for piece in of_pieces])  # (M,)
        order = np.argsort(keys, kind="stable")  # merges what is sorted already
        keys = keys[order]
        new = first_of_equals(keys)
        begins = np.flatnonzero(new)
        block = slice(done, done + len(begins))
        if block.stop > 2**31 - 1:
            raise DataError("more than 2^31 different n-grams of one order: use a lower `order`")
        key_contexts, key_words = unpack_keys(keys[begins])
        words[block] = key_words
        suffixes = np.concatenate([table.suffix[part.rows] for _, table, part in of_pieces])
        suffix[block] = suffixes[order[begins]]
        if len(begins):
            piece_counts = np.concatenate([table.counts[part.rows] for _, table, part in of_pieces])
            counts[block] = np.add.reduceat(piece_counts[order], begins, dtype=np.int64)
        sizes = np.bincount(key_contexts, minlength=stop - start)
        first[start + 1 : stop + 1] = done + sizes.cumsum()
        merged_rows = np.empty(len(keys), np.int32)
        merged_rows[order] = np.cumsum(new, dtype=np.int32) + np.int32(done - 1)
        ends = np.cumsum([part.rows.stop - part.rows.start for part in parts])
        for table, part, rows in zip(tables, parts, np.split(merged_rows, ends[:-1])):
            table.merged_rows[part.rows] = rows
        done = block.stop
        progress(stop / size)
        memory.release_pages()
    return NGrams(words[:done], first, suffix[:done], counts[:done])


class _Part(NamedTuple):
    """What one piece has in a range of contexts."""

    contexts: slice
    rows: slice


def _ranges(
    contexts: list[PieceTable], tables: list[PieceTable], size: int, most: int
) -> Iterator[tuple[int, int, list[_Part]]]:
    """Ranges start … stop of the contexts of the whole, with about `most` n-grams in all pieces."""
    merged_rows = [below.merged_rows for below in contexts]  # (H_s,)
    firsts = [table.first for table in tables]  # (H_s + 1,)
    begins = [0] * len(tables)  # the first context of each piece in the range
    start = 0
    while start < size:
        stop = size
        for rows, first, begin in zip(merged_rows, firsts, begins):
            full = int(first[begin]) + most // len(tables)
            end = int(np.searchsorted(first, full, side="right")) - 1
            if end < len(rows):
                stop = min(stop, max(int(rows[end]), start + 1))
        ends = [int(np.searchsorted(rows, stop)) for rows in merged_rows]
        parts = [
            _Part(slice(low, high), slice(int(first[low]), int(first[high])))
            for low, high, first in zip(begins, ends, firsts)
        ]
        yield start, stop, parts
        start, begins = stop, ends


def _keys(below: PieceTable, table: PieceTable, part: _Part, start: int) -> np.ndarray:
    """(U,) int64, what a piece has in a range: keys with contexts counted from `start`."""
    contexts = below.merged_rows[part.contexts].astype(np.int64) - start
    first = table.first[part.contexts.start : part.contexts.stop + 1]
    contexts = contexts.repeat(np.diff(first))
    return pack_keys(contexts, table.words[part.rows])
