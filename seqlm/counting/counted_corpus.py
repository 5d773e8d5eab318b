"""A counted corpus: its n-grams with their counts, and what is known of the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from seqlm.counting.counting_settings import Context
from seqlm.counting.estimation.counts_of_counts import Correction
from seqlm.counting.estimation.prepare_counts import PreparedCounts, prepare_counts
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.counting.tables.ngrams import NGrams
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.text.tokenizer import Tokenizer


class CountedCorpus(NamedTuple):
    tables: list[NGrams]
    """The n-grams of orders 1 … n and their occurrences. With `counts_of_counts`, the counts are
    adjusted and cut off already."""
    tokenizer: Tokenizer
    context: Context
    tokens: int
    lines: int
    digest: str | None = None
    """SHA-256 of the text; None if only a cluster has read it."""
    corrections: Sequence[Correction] = ()
    """Those of `lmplz_corrections`; empty if the order of the text is not known."""
    counts_of_counts: list[list[int]] | None = None
    """n_0 … n_9 of each order, if a cluster has prepared the tables for smoothing; else None."""

    @property
    def summary(self) -> str:
        types = len(self.tokenizer)
        return f"corpus: {self.tokens:,} tokens in {self.lines:,} lines, {types:,} types"

    def prepare(self, smoothing: Smoothing, memory: Memory = IN_MEMORY) -> PreparedCounts:
        """What smoothing starts from; the tables are changed in place."""
        if self.counts_of_counts is not None:
            return PreparedCounts(self.tables, self.counts_of_counts)
        return prepare_counts(self.tables, smoothing, self.corrections, memory)
