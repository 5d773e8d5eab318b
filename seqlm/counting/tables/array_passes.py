"""Passes over big arrays: in blocks that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from seqlm.models.ngram.ngram_order import context_blocks

BLOCK = 1 << 17
"""Entries a pass handles at a time, so that its temporaries are small and stay in the cache."""


def blocks(array: np.ndarray) -> Iterator[slice]:
    """The stretches in which a pass goes over an array.

    >>> len(list(blocks(np.zeros(BLOCK + 1))))
    2
    """
    for start in range(0, len(array), BLOCK):
        yield slice(start, min(start + BLOCK, len(array)))


def history_blocks(first: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Whole histories with about BLOCK n-grams in all: the histories, and the n-grams.

    History h (H,) has the n-grams first[h] to first[h + 1].
    """
    yield from context_blocks(first, BLOCK)


def ranges_of(starts: np.ndarray, end: int, size: int, most: int) -> list[tuple[int, int]]:
    """Ranges of groups with about `size` entries each, in at most `most` groups.

    Group g (G,) has the entries from starts[g] on, and the last one ends before `end`.

    >>> ranges_of(np.array([0, 3, 4, 9]), end=12, size=4, most=100)
    [(0, 2), (2, 3), (3, 4)]
    """
    targets = np.arange(size, end, size, dtype=np.int64)
    groups = np.arange(0, len(starts), most)
    cuts = np.unique([*np.searchsorted(starts, targets.astype(starts.dtype)), *groups, len(starts)])
    return [*pairwise(cuts.tolist())]
