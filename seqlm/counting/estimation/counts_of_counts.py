"""Counts of counts: how many n-grams of an order have the count j, to compute discounts from.

KenLM's `lmplz` (Heafield et al., 2013) reads n-grams in suffix order: they are compared from their
last word to their first, and words by their first appearance in the text. The adjusted count of an
n-gram is complete when the next one differs. After the last n-gram of the text, lmplz enters its
suffixes with their occurrences instead of their adjusted counts. This one n-gram of each order
changes the third digit of a discount of the Penn Treebank, so it is corrected here too: a model
agrees with lmplz to five digits.

    U n-grams of an order · N tokens · V vocabulary
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seqlm.counting.tables.array_passes import BLOCK, blocks
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.text.vocabulary import EOS

LARGEST = 9


class Correction(NamedTuple):
    """An n-gram that enters the counts of counts with its occurrences, not its adjusted count."""

    adjusted: int
    occurrences: int


def counts_of_counts(counts: np.ndarray, memory: Memory = IN_MEMORY) -> list[int]:
    """n_0 … n_9: how many of `counts` (U,) are j."""
    n = np.zeros(LARGEST + 2, np.int64)
    for part in blocks(counts):
        n += np.bincount(np.minimum(counts[part], LARGEST + 1), minlength=LARGEST + 2)
        memory.release_pages()
    return [int(n_j) for n_j in n[:-1]]


def corrected(n: list[int], correction: Correction) -> list[int]:
    n = list(n)
    if correction.adjusted <= LARGEST:
        n[correction.adjusted] -= 1
    if correction.occurrences <= LARGEST:
        n[correction.occurrences] += 1
    return n


def lmplz_corrections(ids: np.ndarray, vocab_size: int, order: int) -> list[Correction]:
    """The suffixes, of orders 1 … `order` - 1, of the last n-gram in suffix order.

    `ids` (N,) is a text in sentence context. The list ends with the last suffix that does not begin
    with `<s>`, whose counts are not adjusted.
    """
    rank = first_appearance(ids, vocab_size)
    rank[EOS] = -1  # `<s>`, before a word, comes before all words that appear
    last = _positions(ids, int(rank.argmax()))  # (P,) of the last word of the last n-gram
    corrections = []
    for k in range(1, order):
        before = np.where(last >= k, ids[last - k], EOS)  # (P,) the word k places before
        corrections.append(Correction(len(np.unique(before)), len(last)))
        highest = before[rank[before].argmax()]
        last = last[before == highest]
        if highest == EOS:
            break
    return corrections


def first_appearance(ids: np.ndarray, vocab_size: int) -> np.ndarray:
    """(V,) int64, the position at which each type first appears; -2 if it never does."""
    rank = np.full(vocab_size, -2, np.int64)
    for start in range(0, len(ids), BLOCK):
        block = ids[start : start + BLOCK]
        new = np.flatnonzero(rank[block] < 0)[::-1]
        rank[block[new]] = start + new  # of equal words the first one is written last
    return rank


def _positions(ids: np.ndarray, id: int) -> np.ndarray:
    """(P,) the positions of `id` in `ids` (N,)."""
    positions = [
        np.flatnonzero(ids[start : start + BLOCK] == id) + start
        for start in range(0, len(ids), BLOCK)
    ]
    return np.concatenate(positions)
