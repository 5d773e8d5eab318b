"""What smoothing starts from: counts adjusted and cut off, and the counts of counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from seqlm.counting.estimation.adjust_counts import adjust_counts
from seqlm.counting.estimation.counts_of_counts import Correction, corrected, counts_of_counts
from seqlm.counting.estimation.cutoffs import apply_cutoffs, cutoffs_by_order
from seqlm.counting.smoothing.smoothing_methods import method_of
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.counting.tables.ngrams import NGrams
from seqlm.machine.memory import IN_MEMORY, Memory


class PreparedCounts(NamedTuple):
    tables: list[NGrams]
    """Orders 1 … n, after the cutoffs; with adjusted counts if the method takes those."""
    counts_of_counts: list[list[int]]
    """n_0 … n_9 of each order, before the cutoffs."""


def prepare_counts(
    tables: list[NGrams],
    smoothing: Smoothing,
    corrections: Sequence[Correction] = (),
    memory: Memory = IN_MEMORY,
) -> PreparedCounts:
    """Counts as `smoothing` takes them, from tables of occurrences, which are changed in place.

    `corrections` are those of `lmplz_corrections`, used only where counts are adjusted.
    """
    adjusts = method_of(smoothing).adjusts_counts
    cutoffs = cutoffs_by_order(smoothing.cutoffs, len(tables))
    occurrences = [table.counts for table in tables] if any(cutoffs) else []
    if adjusts:
        adjust_counts(tables, memory)
    by_order = [counts_of_counts(table.counts, memory) for table in tables]
    if adjusts:
        by_order[: len(corrections)] = map(corrected, by_order, corrections)
    if any(cutoffs):
        apply_cutoffs(tables, occurrences, cutoffs)
    return PreparedCounts(tables, by_order)
