"""Count cutoffs: n-grams seen too rarely are left out of the tables.

A cutoff drops n-grams that occur at most so often. Cutoffs never fall from one order to the next,
and a part of an n-gram occurs at least as often as the n-gram itself, so that the context and the
suffix of an n-gram that is kept are kept too. The counts dropped after a history stay in its total:
their probability goes to the words that are not listed.

    U n-grams of an order · H histories, the n-grams of the order below
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from seqlm.counting.tables.array_passes import history_blocks
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import UsageError
from seqlm.models.ngram.ngram_order import segment_sum


def cutoffs_by_order(cutoffs: Sequence[int], order: int) -> list[int]:
    """A cutoff for each order 1 … `order`; the last one given serves all higher orders.

    Errors: UsageError if they fall, or drop single words, which a smaller vocabulary does.
    """
    if not cutoffs:
        return [0] * order
    by_order = [*cutoffs[:order], *[cutoffs[-1]] * (order - len(cutoffs))]
    if by_order[0] > 0:
        raise UsageError("`cutoffs` must begin with 0: for single words there is `min_count`")
    if min(by_order) < 0 or any(b < a for a, b in pairwise(by_order)):
        raise UsageError(
            f"`cutoffs={','.join(map(str, cutoffs))}` must not fall from one order to the next"
        )
    return [min(cutoff, 1 << 62) for cutoff in by_order]  # more than anything occurs


def apply_cutoffs(
    tables: list[NGrams], occurrences: Sequence[np.ndarray], cutoffs: Sequence[int]
) -> None:
    """Keeps in `tables`, whose counts may be adjusted, what occurs more often than its cutoff.

    `occurrences`, (U,) for each order, are the raw counts, and `cutoffs` those of
    `cutoffs_by_order`. A table replaces the longer one as soon as it is made.
    """
    kept_below = np.ones(len(occurrences[0]), np.bool_)  # the vocabulary is not cut
    for k in range(1, len(tables)):
        cutoff = min(cutoffs[k], np.iinfo(occurrences[k].dtype).max)
        table, kept = tables[k], occurrences[k] > cutoff  # (U,)
        if not kept.all() or not kept_below.all():
            tables[k] = _select(table, kept, kept_below)
        kept_below = kept


def _select(table: NGrams, kept: np.ndarray, kept_below: np.ndarray) -> NGrams:
    """The rows `kept` (U,), whose contexts and suffixes are the rows `kept_below` (H,)."""
    new_row = kept_below.cumsum(dtype=np.int32) - np.int32(1)  # (H,)
    sizes = np.zeros(len(table.first) - 1, np.int32)
    pruned_count = np.zeros(len(sizes), np.int64)
    for owners, grams in history_blocks(table.first):
        bounds = table.first[owners.start : owners.stop + 1] - grams.start
        kept_part, counts = kept[grams], table.counts[grams]
        sizes[owners] = segment_sum(kept_part, bounds)
        pruned_count[owners] = segment_sum(np.where(kept_part, 0, counts), bounds)
    first = np.zeros(int(kept_below.sum()) + 1, np.int32)
    first[1:] = sizes[kept_below].cumsum()
    suffix = new_row[table.suffix[kept]]
    return NGrams(table.words[kept], first, suffix, table.counts[kept], pruned_count[kept_below])
