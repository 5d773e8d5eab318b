"""The output layers, by name: what `--softmax` chooses, with the options all networks share.

    full       softmax.py             every logit, the exact distribution
    adaptive   adaptive_softmax.py    frequent words first, the rest in clusters: exact and cheaper
    sampled    sampled_softmax.py     trained against a sample of words, asked in full

All keep one matrix, a row a type, which may be the embedding too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqlm.models.output.adaptive_softmax import AdaptiveSoftmax
from seqlm.models.output.sampled_softmax import SampledSoftmax
from seqlm.models.output.softmax import Head, Softmax


@dataclass(frozen=True)
class HeadConfig:
    """Options of every network; those of an architecture extend it."""

    vocab_size: int
    tied: bool = True
    """The output layer's matrix is the embedding too (Press & Wolf 2017)."""
    softmax: Literal["full", "adaptive", "sampled"] = "full"
    cutoffs: tuple[int, ...] | None = None
    """Adaptive: the ids at which its clusters begin; by default the cheapest under Zipf's law."""
    samples: int = 2048
    """Sampled: the words that a batch is trained against."""


@dataclass(frozen=True)
class TranslationConfig(HeadConfig):
    """Options of every translator; `vocab_size` is that of its target."""

    source_vocab_size: int | None = None
    """Types of the source; by default those of the target, in one vocabulary."""
    share_embedding: bool = True
    """With one vocabulary, the source is read by the target's embedding."""

    @property
    def shares(self) -> bool:
        return self.share_embedding and self.source_vocab_size is None

    @property
    def source_types(self) -> int:
        """V_s."""
        return self.source_vocab_size or self.vocab_size


def make_head(config: HeadConfig, width: int) -> Head:
    """The output layer of a network whose features are `width` wide."""
    if config.softmax == "adaptive":
        return AdaptiveSoftmax(config.vocab_size, width, config.cutoffs)
    if config.softmax == "sampled":
        return SampledSoftmax(config.vocab_size, width, config.samples)
    return Softmax(config.vocab_size, width)
