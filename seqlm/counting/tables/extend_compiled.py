"""The functions of `extend_ngrams.py` as compiled loops, with the same letters."""

from __future__ import annotations

import numpy as np

from seqlm.counting.tables.extend_ngrams import FOLLOWING, NO_WORD, ROW, Ends, Rows, starts_of
from seqlm.machine.compilation import compiled
from seqlm.machine.memory import in_usual_pages
from seqlm.models.ngram.sort_keys import TaggedKeys


def group_by_word(cells: np.ndarray, vocab_size: int) -> Ends:
    """The places of a text by word, whose ids are the rows in `cells` (N, 2)."""
    counts = np.zeros(vocab_size, np.int32)
    _count(cells, counts)
    start = starts_of(counts)
    places, following = (in_usual_pages(len(cells), np.int32) for _ in range(2))
    _place(cells, start.copy(), places, following)
    return Ends(places, following, start, counts)


@compiled
def _count(cells: np.ndarray, counts: np.ndarray) -> None:
    for place in range(len(cells)):
        counts[cells[place, ROW]] += 1


@compiled
def _place(
    cells: np.ndarray, next_at: np.ndarray, places: np.ndarray, following: np.ndarray
) -> None:
    """A counting sort: `next_at` (V,) is where the next place of each word goes."""
    for place in range(len(cells)):
        word = cells[place, ROW]
        at = next_at[word]
        places[at], following[at] = place, cells[place, FOLLOWING]
        next_at[word] = at + 1


@compiled
def pack(ends: Ends, is_over: np.ndarray, low: int, high: int, layout: TaggedKeys) -> np.ndarray:
    """(M,) int64 keys of what continues the contexts low … high, whose places are `ends`."""
    places, following, start, counts = ends
    word_bits, tag_bits = layout.word_bits, layout.tag_bits
    keys = np.empty(start[high - 1] + counts[high - 1] - start[low], np.int64)
    m = 0
    for context in range(low, high):
        if not is_over[context]:
            above = np.int64(context - low) << word_bits
            for i in range(start[context], start[context] + counts[context]):
                if following[i] != NO_WORD:
                    keys[m] = (above | following[i]) << tag_bits | (places[i] + 1)
                    m += 1
    return keys[:m]


@compiled
def unpack(keys: np.ndarray, places: np.ndarray, rows: np.ndarray, layout: TaggedKeys) -> int:
    """How many n-grams sorted `keys` (M,) have; writes `places` (M,) and `rows` (high - low,)."""
    tag_bits, word_bits = layout.tag_bits, layout.word_bits
    place_bits = (1 << tag_bits) - 1
    before, context, ngrams = np.int64(-1), 0, 0
    for i in range(len(keys)):
        ngram = keys[i] >> tag_bits
        place = keys[i] & place_bits
        if ngram != before:
            while context < ngram >> word_bits:  # the contexts before it are done
                rows[context] = ngrams
                context += 1
            ngrams += 1
            place |= -(1 << 31)
            before = ngram
        places[i] = place
    rows[context:] = ngrams
    return ngrams


@compiled
def number(
    cells: np.ndarray,
    places: np.ndarray,
    following: np.ndarray,
    begin: int,
    end: int,
    row: int,
    rows: Rows,
) -> None:
    """Fills in the `rows` from `row` on, of the n-grams at `places` (N,) begin … end."""
    words, suffix, counts, start = rows
    u, count = row - 1, 0
    for i in range(begin, end):
        place = places[i]
        if place < 0:
            place &= 0x7FFFFFFF
            places[i] = place
            if count:
                counts[u] = count
            u, count = u + 1, 0
            words[u] = cells[place - 1, FOLLOWING]
            suffix[u] = cells[place, ROW]
            if len(start):
                start[u] = i
        count += 1
        if len(start):
            following[i] = cells[place, FOLLOWING]
            cells[place, ROW] = u
    if count:
        counts[u] = count
