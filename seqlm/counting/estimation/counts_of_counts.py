"""Counts of counts: how many n-grams of an order have the count j. Discounts are made of them.

KenLM's `lmplz` (Heafield et al., 2013) reads n-grams in suffix order, the last word first, words by
their first appearance in the text. It knows the adjusted count of one when the next one differs,
and after the last one of all enters the suffixes of it with their occurrences instead. That one
n-gram an order shows in the third digit of a discount of the Penn Treebank, so it is done here
too: a model agrees with lmplz to five digits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.counting.tables.arrays import BLOCK, blocks
from seqlm.memory import IN_MEMORY, Memory
from seqlm.text.vocabulary import EOS

LARGEST = 9


class Change(NamedTuple):
    """An n-gram that is entered under another count than it has."""

    adjusted: int
    occurrences: int


def frequencies(counts: Tensor, memory: Memory = IN_MEMORY) -> list[int]:
    """n_0 … n_9: how many of `counts` (U,) are j."""
    n = torch.zeros(LARGEST + 2, dtype=torch.int64, device=counts.device)
    for part in blocks(counts):
        n += torch.bincount(counts[part].clamp(max=LARGEST + 1), minlength=LARGEST + 2)
        memory.release_pages()
    return n[:-1].tolist()


def changed(n: list[int], change: Change) -> list[int]:
    n = list(n)
    if change.adjusted <= LARGEST:
        n[change.adjusted] -= 1
    if change.occurrences <= LARGEST:
        n[change.occurrences] += 1
    return n


def last_suffixes(ids: np.ndarray, vocab_size: int, order: int) -> list[Change]:
    """Of the last n-gram in suffix order, its suffixes of orders 1 … `order` - 1.

    `ids` (N,) is a text in sentence context. The list ends with the last suffix that does not begin
    with `<s>`, whose counts are not adjusted.
    """
    rank = appearance(ids, vocab_size)
    rank[EOS] = -1  # `<s>`, before a word, comes before all that are
    at = _positions(ids, int(rank.argmax()))  # of the last words of all that may be the last n-gram
    changes = []
    for k in range(1, order):
        before = np.where(at >= k, ids[at - k], EOS)  # (P,) the word k places back
        changes.append(Change(len(np.unique(before)), len(at)))
        last = before[rank[before].argmax()]
        at = at[before == last]
        if last == EOS:
            break
    return changes


def appearance(ids: np.ndarray, vocab_size: int) -> np.ndarray:
    """(V,) int64, when each type is first seen; -2 for one that never is."""
    rank = np.full(vocab_size, -2, np.int64)
    for start in range(0, len(ids), BLOCK):
        block = ids[start : start + BLOCK]
        new = np.flatnonzero(rank[block] < 0)[::-1]
        rank[block[new]] = start + new  # of equal words the first one is written last
    return rank


def _positions(ids: np.ndarray, id: int) -> np.ndarray:
    """Where `id` is in `ids`."""
    found = [
        np.flatnonzero(ids[start : start + BLOCK] == id) + start
        for start in range(0, len(ids), BLOCK)
    ]
    return np.concatenate(found)
