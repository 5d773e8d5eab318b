"""Counting a text larger than memory: in pieces, whose tables are merged.

Each piece is counted by itself and its tables, which are sorted, go to disk. Then they are merged
order by order. Rows of a piece are renumbered to those of the whole, and since both are sorted the
same way, by (row of the context, mixed word), the numbers only ever rise:

    row(u of piece s)  ->  row(u of the whole)        rising in u, for every order

So the n-grams of a range of contexts lie together in every piece, and an order is merged by going
through the ranges once: read the range of each piece, sort, add up what is equal.

    S pieces · U_s n-grams of an order in piece s, H_s of the order below · U, H those of the whole
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.counting.tables.arrays import blocks
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import DataError
from seqlm.memory import Memory
from seqlm.models.ngram.table import first_of_equals, pack_keys, unpack_keys
from seqlm.progress import Progress, silent
from seqlm.text.vocabulary import EOS

BYTES = 96  # that counting takes for each token of a piece, at its height
BLOCK = 1 << 20  # n-grams merged at a time


def count_in_pieces(
    ids: np.ndarray,
    vocab_size: int,
    order: int,
    context: str,
    memory: Memory,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
    tokens: int | None = None,
) -> list[NGrams]:
    """What `count_ngrams` says of `ids` (N,), in the bounds of `memory`; the tables lie there too.

    `tokens` is the length of a piece; by default as much as there is memory for.
    """
    tokens = tokens or max(1 << 16, memory.available() // BYTES)
    found = list(pieces(ids, tokens, order, context))
    runs: list[list[_Run]] = []
    for number, (piece, before) in enumerate(found):
        progress(f"counting in {len(found)} pieces", number / len(found))
        tables = count_ngrams(piece, vocab_size, order, context, device, before=before)
        runs.append([_Run.of(tables.pop(0), memory) for _ in range(order)])
        memory.release_pages()
    kind = torch.int32 if len(ids) < 2**31 else torch.int64  # of counts
    whole = [_unigrams(runs, kind)]
    for k in range(2, order + 1):
        contexts = [run.pop(0) for run in runs]  # of order k-1
        longer = [run[0] for run in runs]
        tell = partial(progress, f"merging {k}-grams")
        whole.append(_merge(contexts, longer, len(whole[-1].counts), kind, memory, tell))
    return whole


def pieces(
    ids: np.ndarray, tokens: int, order: int, context: str
) -> Iterator[tuple[np.ndarray, list[int]]]:
    """The text in pieces of at most about `tokens`, and what stands before each.

    In sentence context a piece is whole lines, a longer line a piece of its own.
    """
    start = 0
    while start < len(ids):
        stop = min(start + tokens, len(ids))
        if context == "sentence" and stop < len(ids):
            stop = _line_end(ids, start, stop)
        reach = start - max(1, order - 1)
        before = [EOS]
        if context == "carried" and start > 0:
            before = ids[reach:start].tolist() if reach >= 0 else [EOS, *ids[:start].tolist()]
        yield ids[start:stop], before
        start = stop


def _line_end(ids: np.ndarray, start: int, stop: int) -> int:
    """Behind the last `</s>` in start … stop, else behind the next one."""
    ends = np.flatnonzero(ids[start:stop] == EOS)
    if len(ends):
        return start + int(ends[-1]) + 1
    while ids[stop - 1] != EOS:
        stop += 1
    return stop


class _Run(NamedTuple):
    """The table of one order of one piece."""

    words: Tensor  # (U_s,) int32, mixed
    first: Tensor  # (H_s + 1,) int32
    suffix: Tensor  # (U_s,) int32, rows of the piece
    counts: Tensor  # (U_s,) int32
    rows: Tensor  # (U_s,) int32, the rows of the whole, once they are known

    @classmethod
    def of(cls, table: NGrams, memory: Memory) -> _Run:
        words, first, suffix, counts = (memory.copy(column.cpu()) for column in table[:4])
        memory.release_pages()
        return cls(words, first, suffix, counts, memory.empty(len(counts), torch.int32))


def _unigrams(runs: list[list[_Run]], kind: torch.dtype) -> NGrams:
    """Rows of order 1 are ids, in every piece."""
    tables = [run[0] for run in runs]
    counts = torch.zeros(len(tables[0].counts), dtype=kind)
    for table in tables:
        counts += table.counts
        table.rows.copy_(table.words)
    like = tables[0]
    return NGrams(like.words, like.first, like.suffix, counts)


def _merge(
    contexts: list[_Run],
    tables: list[_Run],
    owners: int,
    kind: torch.dtype,
    memory: Memory,
    progress: Callable[[float], None],
) -> NGrams:
    """The table of an order from those of the pieces, and the rows of the pieces in it.

    `contexts` are the pieces' tables of the order below, of which the whole has `owners`.
    """
    for below, table in zip(contexts, tables):
        for block in blocks(table.suffix):
            table.suffix[block] = below.rows.index_select(0, table.suffix[block])
            memory.release_pages()
    most = sum(len(table.counts) for table in tables)
    words, suffix = memory.empty(most, torch.int32), memory.empty(most, torch.int32)
    counts = memory.empty(most, kind)
    first = memory.zeros(owners + 1, torch.int32)
    done = 0
    for start, stop, parts in _ranges(contexts, tables, owners):
        keys = np.concatenate(
            [_keys(*each, start) for each in zip(contexts, tables, parts, strict=True)]
        )
        order = np.argsort(keys, kind="stable")  # merges what is sorted already
        keys = keys[order]
        new = first_of_equals(keys)
        begins = np.flatnonzero(new)
        key_contexts, key_words = unpack_keys(keys[begins])
        block = slice(done, done + len(begins))
        if block.stop > 2**31 - 1:
            raise DataError("more than 2^31 different n-grams of one order: use a lower `order`")
        told = torch.cat([table.suffix[part.grams] for table, part in zip(tables, parts)])
        often = torch.cat([table.counts[part.grams] for table, part in zip(tables, parts)])
        words[block] = torch.from_numpy(key_words.astype(np.int32))
        suffix[block] = told[order[begins]]
        if len(begins):
            sums = np.add.reduceat(often.numpy()[order], begins, dtype=np.int64)
            counts[block] = torch.from_numpy(sums).to(kind)
        sizes = np.bincount(key_contexts, minlength=stop - start)
        first[start + 1 : stop + 1] = done + torch.from_numpy(sizes.cumsum())
        rows = torch.empty(len(keys), dtype=torch.int32)
        rows[order] = torch.from_numpy(np.cumsum(new, dtype=np.int32) + np.int32(done - 1))
        lengths = [part.grams.stop - part.grams.start for part in parts]
        for table, part, row in zip(tables, parts, rows.split(lengths)):
            table.rows[part.grams] = row
        done = block.stop
        progress(stop / owners)
        memory.release_pages()
    return NGrams(words[:done], first, suffix[:done], counts[:done])


class _Part(NamedTuple):
    """What one piece has in a range of contexts."""

    owners: slice
    grams: slice


def _ranges(
    contexts: list[_Run], tables: list[_Run], owners: int
) -> Iterator[tuple[int, int, list[_Part]]]:
    """Ranges of contexts of the whole, with about BLOCK n-grams in all pieces together."""
    rows = [below.rows.numpy() for below in contexts]  # (H_s,)
    firsts = [table.first.numpy() for table in tables]  # (H_s + 1,)
    at = [0] * len(tables)
    start = 0
    while start < owners:
        stop = owners
        for row, first, owner in zip(rows, firsts, at):
            full = int(first[owner]) + BLOCK // len(tables)
            end = int(np.searchsorted(first, full, side="right")) - 1
            if end < len(row):
                stop = min(stop, max(int(row[end]), start + 1))
        ends = [int(np.searchsorted(row, stop)) for row in rows]
        yield (
            start,
            stop,
            [
                _Part(slice(low, high), slice(int(first[low]), int(first[high])))
                for low, high, first in zip(at, ends, firsts)
            ],
        )
        start, at = stop, ends


def _keys(below: _Run, table: _Run, part: _Part, start: int) -> np.ndarray:
    """(U,) int64, (context row - start) above the mixed word, of what a piece has in a range."""
    owner = below.rows[part.owners].long() - start
    first = table.first[part.owners.start : part.owners.stop + 1]
    contexts = owner.repeat_interleave(first.diff())
    return pack_keys(contexts, table.words[part.grams]).numpy()
