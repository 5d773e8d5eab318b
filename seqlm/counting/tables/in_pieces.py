"""Counting a text larger than memory: in pieces, whose tables are merged.

Each piece of the text is counted by itself, and its tables go to disk. Then the tables of all
pieces are merged, order by order (`merge_tables.py`).

    N tokens of the text · P words before a piece
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.merge_tables import PieceTable, merge_ngrams, merge_unigrams
from seqlm.counting.tables.ngrams import NGrams
from seqlm.machine.memory import Memory, trim_heap
from seqlm.progress import Progress, silent
from seqlm.text.vocabulary import EOS

BYTES_PER_TOKEN = 96
"""Memory that counting takes at its height, for each token of a piece."""


def count_in_pieces(
    ids: np.ndarray,
    vocab_size: int,
    order: int,
    context: str,
    memory: Memory,
    progress: Progress = silent,
    tokens: int | None = None,
) -> list[NGrams]:
    """The tables that `count_ngrams` makes of `ids` (N,), within the limit of `memory`.

    The tables are in its files. `tokens` is the length of a piece, by default as many tokens as
    there is memory for. Errors: those of `count_ngrams`; SeqlmError if the disk is full.
    """
    tokens = tokens or max(1 << 16, memory.available() // BYTES_PER_TOKEN)
    pieces = list(split_text(ids, tokens, order, context))
    tables: list[list[PieceTable]] = []  # of each piece, orders 1 … n
    for number, (piece, before) in enumerate(pieces):
        progress(f"counting in {len(pieces)} pieces", number / len(pieces))
        counted = count_ngrams(piece, vocab_size, order, context, before=before)
        tables.append([PieceTable.of(counted.pop(0), memory) for _ in range(order)])
        trim_heap()
        memory.release_pages()
    counts_dtype = np.dtype(np.int32 if len(ids) < 2**31 else np.int64)
    merged = [merge_unigrams([orders[0] for orders in tables], counts_dtype)]
    for k in range(2, order + 1):
        contexts = [orders.pop(0) for orders in tables]  # of order k-1
        longer = [orders[0] for orders in tables]
        report = partial(progress, f"merging {k}-grams")
        size = len(merged[-1].counts)
        merged.append(merge_ngrams(contexts, longer, size, counts_dtype, memory, report))
    return merged


def split_text(
    ids: np.ndarray, tokens: int, order: int, context: str
) -> Iterator[tuple[np.ndarray, list[int]]]:
    """The text in pieces of at most `tokens`, each with the P words before it.

    In sentence context a piece is whole lines, unless one line is longer. What stands before a
    piece within a line goes back no further than to its start, the `</s>` before it.

    >>> ids = np.array([5, 1, 6, 7, 1])  # two lines
    >>> [(piece.tolist(), before) for piece, before in split_text(ids, 3, 2, "sentence")]
    [([5, 1], [1]), ([6, 7, 1], [1])]
    >>> [(piece.tolist(), before) for piece, before in split_text(ids, 2, 3, "sentence")]
    [([5, 1], [1]), ([6, 7], [1]), ([1], [6, 7])]
    >>> [(piece.tolist(), before) for piece, before in split_text(ids, 3, 2, "carried")]
    [([5, 1, 6], [1]), ([7, 1], [6])]
    """
    start = 0
    while start < len(ids):
        stop = min(start + tokens, len(ids))
        if context == "sentence" and stop < len(ids):
            ends = np.flatnonzero(ids[start:stop] == EOS)
            stop = start + int(ends[-1]) + 1 if len(ends) else stop
        yield ids[start:stop], words_before(ids, start, max(1, order - 1), context)
        start = stop


def words_before(ids: np.ndarray, start: int, words: int, context: str) -> list[int]:
    """The last `words` before position `start`, or fewer: from the start of the text on, or in
    sentence context from that of the line."""
    before: list[int] = ids[max(0, start - words) : start].tolist()
    if start < words:
        before = [EOS, *before]
    if context == "sentence" and EOS in before:
        before = before[len(before) - 1 - before[::-1].index(EOS) :]
    return before
