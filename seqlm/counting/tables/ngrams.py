"""The counted n-grams of one order."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from seqlm.models.ngram.table import NGramTable


class NGrams(NamedTuple):
    """U distinct n-grams, which continue the H n-grams of the order below, and their counts.

    They are sorted as the rows of an `NGramTable`. Those of order 1 are the whole vocabulary by id,
    seen or not, and continue the one empty context.
    """

    words: Tensor  # (U,) int32, the last word, scrambled; of order 1 the ids
    first: Tensor  # (H + 1,) int32, context h has the rows first[h] to first[h + 1]
    suffix: Tensor  # (U,) int32, row of the suffix in the order below
    counts: Tensor  # (U,) int32, or int64 if they need it: occurrences, or adjusted counts
    pruned_count: Tensor | None = None
    """(H,) int64, the counts of the continuations that were cut off; None if none were."""

    @property
    def table(self) -> NGramTable:
        """The rows of an order k ≥ 2, to find and to spell them."""
        return NGramTable(self.first, self.words)
