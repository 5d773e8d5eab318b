"""Adjusted counts: the number of different words before an n-gram (Kneser & Ney, 1995).

    a(w₁ … wₖ) = number of different words w₀ for which w₀ w₁ … wₖ was seen

A word before a k-gram makes a (k+1)-gram, of which the k-gram is the suffix. The highest order
keeps its occurrences, and so does an n-gram that nothing ever precedes, because it begins a line
(Chen & Goodman, 1998).

    U n-grams of an order
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from seqlm.counting.tables.array_passes import blocks
from seqlm.counting.tables.ngrams import NGrams
from seqlm.memory import IN_MEMORY, Memory
from seqlm.threads import parallel_map


def adjust_counts(
    tables: list[NGrams], memory: Memory = IN_MEMORY, threads: int | None = None
) -> None:
    """Replaces the counts of all `tables` but the last, orders 1 … n, by adjusted counts."""

    def adjusted(pair: tuple[NGrams, NGrams]) -> NGrams:
        below, above = pair
        before = _occurrences(above.suffix, len(below.counts), memory)
        for part in blocks(before):
            before[part] = torch.where(before[part] > 0, before[part], below.counts[part])
            memory.release_pages()
        return below._replace(counts=before)

    device = tables[0].counts.device
    tables[:-1] = parallel_map(adjusted, pairwise(tables), device, threads)


def _occurrences(rows: Tensor, size: int, memory: Memory) -> Tensor:
    """(size,) int32, how often each row is in `rows` (U,)."""
    if memory.limit is None:
        return torch.bincount(rows, minlength=size).int()
    occurrences = memory.zeros(size, torch.int32)
    for part in blocks(rows):
        occurrences.index_add_(0, rows[part], torch.ones_like(rows[part]))
        memory.release_pages()
    return occurrences
