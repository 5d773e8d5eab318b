"""Options that all networks share, and the dropout of those that have several layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class NetworkConfig:
    """Options of every network; those of an architecture extend it."""

    vocab_size: int
    tied: bool = True
    """The output layer's matrix is the embedding too (Press & Wolf 2017)."""
    softmax: Literal["full", "adaptive", "sampled"] = "full"
    cutoffs: tuple[int, ...] | None = None
    """Adaptive softmax: the ids at which its clusters begin; by default the cheapest under Zipf's
    law."""
    samples: int = 2048
    """Sampled softmax: the number of words that a batch is trained against."""
    dropout_embedding: float = 0.0
    """Share of word types dropped from a segment, or a translator's batch."""
    dropout_input: float = 0.0
    """Share dropped from the embeddings that the first layer reads."""
    dropout_output: float = 0.0
    """Share dropped from the features that the output layer reads."""


@dataclass(frozen=True)
class HiddenDropout:
    """To be inherited by the options of a network that has several layers."""

    dropout_hidden: float = 0.0
    """Share dropped between the layers: of what a recurrent layer gives the next, and of what each
    sublayer adds to a residual stream."""


@dataclass(frozen=True)
class AttentionDropout:
    """To be inherited by the options of a network that has attention."""

    dropout_attention: float = 0.0
    """Share of attention weights dropped."""
