"""The shape of an n-gram model, and how it was estimated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from seqlm.errors import UsageError, shown

STUPID_BACKOFF = 0.4
"""What stupid backoff multiplies scores by for each word that it leaves out of the history."""


@dataclass(frozen=True)
class NGramConfig:
    vocab_size: int
    order: int
    smoothing: str
    context: str
    """"sentence": every line starts afresh. "carried": `</s>` is a word like any other."""
    rows: tuple[int, ...]
    """The n-grams of each order, from 1 to `order`."""
    compact: bool = False
    """Whether probabilities have 8 bits (`models/ngram/compact`)."""
    largest_error: float = 0.0
    """By how much a natural logarithm of a probability is wrong at most, as it is compact."""
    mean_error: float = 0.0
    """The mean of these errors."""

    def with_rows(self, rows: tuple[int, ...]) -> NGramConfig:
        """The shape of a plain model of so many n-grams, the same in all else."""
        plain: dict[str, Any] = {"compact": False, "largest_error": 0.0, "mean_error": 0.0}
        return replace(self, vocab_size=rows[0], order=len(rows), rows=rows, **plain)

    def __post_init__(self) -> None:
        """Errors: UsageError where numbers do not fit together."""
        if self.order < 1 or len(self.rows) != self.order or self.rows[0] != self.vocab_size:
            raise UsageError(
                f"rows {shown(self.rows)} are not of {self.order} orders over"
                f" {self.vocab_size} types"
            )
        if self.context not in ("sentence", "carried"):
            raise UsageError(f"`context` is {shown(self.context)}")
