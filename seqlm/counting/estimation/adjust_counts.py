"""Adjusted counts: the number of different words before an n-gram (Kneser & Ney, 1995).

    a(w₁ … wₖ) = number of different words w₀ for which w₀ w₁ … wₖ was seen

A word before a k-gram makes a (k+1)-gram, of which the k-gram is the suffix. The highest order
keeps its occurrences, and so does an n-gram that nothing ever precedes, because it begins a line
(Chen & Goodman, 1998).

    U n-grams of an order
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from seqlm.counting.tables.array_passes import blocks
from seqlm.counting.tables.ngrams import NGrams
from seqlm.machine.compilation import is_compiled
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.machine.threads import parallel_map


def adjust_counts(tables: list[NGrams], memory: Memory = IN_MEMORY) -> None:
    """Replaces the counts of all `tables` but the last, orders 1 … n, by adjusted counts."""

    def adjusted(pair: tuple[NGrams, NGrams]) -> NGrams:
        below, above = pair
        before = occurrences_of(above.suffix, len(below.counts), below.counts.dtype, memory)
        for part in blocks(before):
            np.copyto(before[part], below.counts[part], where=before[part] == 0)
            memory.release_pages()
        return below._replace(counts=before)

    tables[:-1] = parallel_map(adjusted, pairwise(tables))


def occurrences_of(
    rows: np.ndarray, size: int, dtype: np.dtype, memory: Memory = IN_MEMORY
) -> np.ndarray:
    """(size,) how often each row is in `rows` (U,).

    >>> occurrences_of(np.array([2, 0, 2]), 4, np.dtype(np.int32)).tolist()
    [1, 0, 2, 0]
    """
    occurrences = memory.zeros(size, dtype)
    if is_compiled(len(rows)):
        from seqlm.counting.estimation.compiled_estimation import add_occurrences
    else:
        add_occurrences = add_ones
    for part in blocks(rows):
        add_occurrences(occurrences, rows[part])
        memory.release_pages()
    return occurrences


def add_ones(occurrences: np.ndarray, rows: np.ndarray) -> None:
    np.add.at(occurrences, rows, 1)
