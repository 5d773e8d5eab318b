"""Counting co-occurrences: word by word, and in pieces where the text is larger than memory.

The positions of a piece are sorted by the word that stands there. A slice of them has the windows
of some occurrences of one word, or of a few. Every pair in a window becomes a number

    |  word  |  word near it  |  distance  |        (`TaggedKeys`)

and when these are sorted, equal pairs are neighbors, and their weights are summed. The numbers of a
slice stay in the cache, and slices are counted in threads.

A pair is a bigram that may leave out words in between, and its sum of weights is what its count is
to an n-gram. So the pairs of a piece are a table of order 2, and the tables of pieces are merged as
those of n-grams are (`merge_tables.py`).

    N tokens of the text · P those of a piece · V vocabulary · U pairs that occur · w window
    B positions of a slice · O places in a window · M pairs in the windows of a slice
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from seqlm.counting.cooccurrences.cooccurrences import (
    Cooccurrences,
    DistanceWeight,
    weights_of_distances,
)
from seqlm.counting.tables.merge_tables import PieceTable, merge_ngrams
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import DataError
from seqlm.machine.memory import IN_MEMORY, Memory, trim_heap
from seqlm.machine.threads import prefetch_map
from seqlm.models.ngram.ngram_order import context_blocks
from seqlm.models.ngram.sort_keys import TaggedKeys, first_of_equals
from seqlm.progress import Progress, silent
from seqlm.text.vocabulary import EOS, UNK, count_ids, split_into_chunks

Sides = Literal["both", "left"]
"""Where the words near a word stand: to its left and right, or to its left alone."""
SIDES: tuple[Sides, ...] = get_args(Sides)

BYTES_PER_TOKEN = 512
"""Memory that counting takes at its height, for each token of a piece."""
SLICE = 1 << 17
"""Places in the windows of a slice, at most."""

Sums = tuple[np.ndarray, np.ndarray]
"""Pairs in rising order, (U,) int64, and the sum of each, (U,) int64."""


def count_cooccurrences(
    ids: np.ndarray,
    vocab_size: int,
    window: int,
    weights: DistanceWeight = "harmonic",
    sides: Sides = "both",
    memory: Memory = IN_MEMORY,
    progress: Progress = silent,
    tokens: int | None = None,
) -> Cooccurrences:
    """The co-occurrences of a text of `ids` (N,) int32, within the limit of `memory`.

    `tokens` is the length of a piece, by default as many tokens as there is memory for. Errors:
    DataError where there are more pairs than 31 bits number; SeqlmError if the disk is full.

    >>> counts = count_cooccurrences(np.array([2, 3, 0, 4, 1, 2, 1]), vocab_size=5, window=2)
    >>> [(int(i), int(j), float(x)) for block in counts.blocks() for i, j, x in zip(*block)]
    [(2, 3, 1.0), (2, 4, 0.5), (3, 2, 1.0), (3, 4, 1.0), (4, 2, 0.5), (4, 3, 1.0)]
    """
    text = memory.concatenate(chunk[chunk != UNK] for chunk in split_into_chunks(ids))
    if tokens is None:
        is_small = memory.limit is None
        tokens = len(text) if is_small else max(1 << 16, memory.available() // BYTES_PER_TOKEN)
    starts = range(0, max(1, len(text)), max(1, tokens))
    weight = np.append(0, weights_of_distances(weights, window))
    tables = []
    for number, start in enumerate(starts):
        report = partial(report_piece, progress, number, len(starts))
        piece = Windows.of(text, start, min(start + tokens, len(text)), window, vocab_size)
        pairs = piece.count_pairs(weight, sides, report)
        del piece
        if len(starts) == 1:
            return Cooccurrences(pairs.first, pairs.words, pairs.counts)
        tables.append(PieceTable.of(pairs, memory))
        del pairs
        trim_heap()
        memory.release_pages()
    words = [every_word(vocab_size)] * len(tables)
    report = partial(progress, "merging co-occurrences")
    merged = merge_ngrams(words, tables, vocab_size, np.dtype(np.int64), memory, report)
    return Cooccurrences(merged.first, merged.words, merged.counts)


def report_piece(progress: Progress, number: int, pieces: int, done: float) -> None:
    progress("counting co-occurrences", (number + done) / pieces)


def every_word(vocab_size: int) -> PieceTable:
    """The table of order 1 of every piece: its rows are the ids, as in the whole."""
    ids, nothing = np.arange(vocab_size, dtype=np.int32), np.zeros(vocab_size, np.int32)
    return PieceTable(ids, np.array([0, vocab_size], np.int32), nothing, nothing, ids)


class Windows(NamedTuple):
    """The positions of a piece, sorted by their words, and the words around each."""

    around: np.ndarray  # (P, 2w + 1) int32, a view of the text
    before: np.ndarray  # (P,) int16, how many words of its line come before a position, at most w
    after: np.ndarray  # (P,) int16
    positions: np.ndarray  # those of words, not of </s>, by word and then from left to right
    first: np.ndarray  # (V + 1,) int64, word i is at positions[first[i] : first[i + 1]]

    @classmethod
    def of(cls, text: np.ndarray, start: int, stop: int, window: int, vocab_size: int) -> Windows:
        """Those of text[start:stop], which reach beyond it. The text has no unknown words."""
        margin = np.full(window, EOS, np.int32)
        piece = slice(window, window + stop - start)  # after a window's width of words before it
        tokens = np.concatenate(
            [margin[min(start, window) :], text[max(0, start - window) : stop + window], margin]
        )
        here, is_end = np.arange(len(tokens), dtype=np.int32), tokens == EOS
        last_end = np.maximum.accumulate(np.where(is_end, here, -1))
        next_end = np.minimum.accumulate(np.where(is_end, here, len(tokens))[::-1])[::-1]
        counts = count_ids(tokens[piece], vocab_size)
        by_word = np.argsort(tokens[piece], kind="stable")  # first all </s>, the lowest id
        positions, counts[EOS] = by_word[counts[EOS] :], 0
        return cls(
            sliding_window_view(tokens, 2 * window + 1)[: stop - start],
            np.minimum(here - last_end - 1, window)[piece].astype(np.int16),
            np.minimum(next_end - here - 1, window)[piece].astype(np.int16),
            positions,
            np.append(0, counts.cumsum()),
        )

    def count_pairs(
        self, weights: np.ndarray, sides: Sides, progress: Callable[[float], None]
    ) -> NGrams:
        """The pairs, as bigrams, with their sums. `weights` (w + 1,) are those of distances."""
        vocab_size, window = len(self.first) - 1, len(weights) - 1
        last = window if sides == "both" else -1
        offsets = np.arange(-window, last + 1, dtype=np.int16)  # (O,)
        layout = TaggedKeys.of(vocab_size, len(weights))
        size = max(1, SLICE // len(offsets))  # B

        def count_words(block: tuple[slice, slice]) -> Sums:
            """The pairs of a few words, or of one with many positions."""
            words, part = block
            runs = []
            for start in range(part.start, part.stop, size):
                at = self.positions[start : min(start + size, part.stop)]
                keys = self.keys(at, offsets, words.start, layout)
                keys.sort()
                runs.append(sum_equals(keys >> layout.tag_bits, weights[layout.tags(keys)]))
            return runs[0] if len(runs) == 1 else merge_runs(runs)

        sizes = np.zeros(vocab_size + 1, np.int64)
        columns, sums = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        blocks = [b for b in context_blocks(self.first, size) if b[1].start < b[1].stop]
        for (words, part), (pairs, pair_sums) in prefetch_map(count_words, blocks):
            rows, of_block = np.divmod(pairs, 1 << layout.word_bits)
            sizes[words.start + 1 : words.stop + 1] = np.bincount(
                rows, minlength=words.stop - words.start
            )
            columns.append(of_block.astype(np.int32))
            sums.append(pair_sums)
            progress(part.stop / len(self.positions))
        joined = np.concatenate(columns)
        if len(joined) > 2**31 - 1:
            raise DataError("more than 2^31 pairs of words: use a higher `min_count`")
        return NGrams(
            words=joined,
            first=sizes.cumsum().astype(np.int32),
            suffix=joined,  # the bigram of a pair ends in its column, whose row is its id
            counts=np.concatenate(sums),
        )

    def keys(
        self, at: np.ndarray, offsets: np.ndarray, first_word: int, layout: TaggedKeys
    ) -> np.ndarray:
        """(M,) int64, the pairs in the windows of positions `at` (B,), with their distances."""
        window = self.around.shape[1] // 2
        around = self.around[at]  # (B, 2w + 1)
        is_inside = (offsets >= -self.before[at, None]) & (offsets <= self.after[at, None])
        is_inside &= offsets != 0
        words = around[:, window].astype(np.int64) - first_word
        keys = around[:, : len(offsets)].astype(np.int64)
        keys <<= layout.tag_bits
        keys |= np.abs(offsets)
        keys |= (words << layout.word_bits + layout.tag_bits)[:, None]
        pairs: np.ndarray = keys[is_inside]
        return pairs


def sum_equals(pairs: np.ndarray, weights: np.ndarray) -> Sums:
    """The sums of sorted `pairs` (M,) that come several times, each with one of `weights` (M,).

    >>> [part.tolist() for part in sum_equals(np.array([3, 3, 5]), np.array([1, 10, 100]))]
    [[3, 5], [11, 100]]
    """
    begins = np.flatnonzero(first_of_equals(pairs))
    return pairs[begins], np.add.reduceat(weights, begins) if len(begins) else weights


def merge_runs(runs: list[Sums]) -> Sums:
    """The sums of all pairs of several runs."""
    pairs, sums = (np.concatenate(parts) for parts in zip(*runs))
    order = np.argsort(pairs, kind="stable")  # merges what is sorted already
    return sum_equals(pairs[order], sums[order])
