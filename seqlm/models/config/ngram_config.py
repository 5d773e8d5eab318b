"""The shape of an n-gram model, and how it was estimated."""

from __future__ import annotations

from dataclasses import dataclass

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
