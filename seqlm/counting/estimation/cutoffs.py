"""Count cutoffs: n-grams seen too rarely are left out of the tables, and their counts remembered.

A cutoff drops what occurs at most so often. Cutoffs never fall from one order to the next, and a
part of an n-gram occurs at least as often as the whole, so whatever is kept has its context and its
suffix kept. What was lost after a history still counts in its total: its share goes to the words
that are not listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from seqlm.counting.tables.arrays import histories, sums
from seqlm.counting.tables.in_memory import NGrams
from seqlm.errors import UsageError


def per_order(cutoffs: Sequence[int], order: int) -> list[int]:
    """A cutoff for each order, the last one given for all above.

    Errors: UsageError where they fall, or cut off single words, which is what a vocabulary does.
    """
    cut = [*cutoffs[:order], *[cutoffs[-1]] * (order - len(cutoffs))] if cutoffs else [0] * order
    if cut[0] > 0:
        raise UsageError("--cutoffs begin with 0: for single words there is --min-count")
    if min(cut) < 0 or any(b < a for a, b in pairwise(cut)):
        raise UsageError(f"--cutoffs {','.join(map(str, cutoffs))}: from order to order they rise")
    return [min(most, 1 << 62) for most in cut]  # more than anything occurs


def cut_off(tables: list[NGrams], occurrences: Sequence[Tensor], cutoffs: Sequence[int]) -> None:
    """Leaves in `tables`, whose counts may be adjusted, what occurs more often than its cutoff.

    `occurrences` (U,) an order are the raw counts, `cutoffs` those of `per_order`. A table replaces
    the longer one as soon as it is made.
    """
    kept_below = torch.ones_like(occurrences[0], dtype=torch.bool)  # the vocabulary is not cut
    for k in range(1, len(tables)):
        most = min(cutoffs[k], torch.iinfo(occurrences[k].dtype).max)
        table, kept = tables[k], occurrences[k] > most  # (U,)
        if not kept.all() or not kept_below.all():
            tables[k] = _select(table, kept, kept_below)
        kept_below = kept


def _select(table: NGrams, kept: Tensor, kept_below: Tensor) -> NGrams:
    """The rows `kept` (U,), whose contexts and suffixes are the rows `kept_below` (H,)."""
    renumbered = kept_below.cumsum(0, dtype=torch.int32) - 1  # (H,)
    sizes = torch.zeros(len(table.first) - 1, dtype=torch.int32, device=kept.device)
    lost = torch.zeros(len(sizes), dtype=torch.int64, device=kept.device)
    for owners, grams in histories(table.first):
        bounds = table.first[owners.start : owners.stop + 1].long() - grams.start
        there, counts = kept[grams], table.counts[grams]
        sizes[owners] = sums(there.long(), bounds).int()
        lost[owners] = sums(torch.where(there, 0, counts), bounds)
    first = torch.zeros(int(kept_below.sum()) + 1, dtype=torch.int32, device=kept.device)
    first[1:] = sizes[kept_below].cumsum(0)
    suffix = renumbered.index_select(0, table.suffix[kept])
    return NGrams(table.words[kept], first, suffix, table.counts[kept], lost[kept_below])
