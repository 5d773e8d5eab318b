"""Options of word vectors that are made from co-occurrence counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from seqlm.models.config.vectors_config import WordVectorConfig, vectors_option, window_option


@dataclass(frozen=True)
class CountVectorConfig(WordVectorConfig):
    """Options of all vectors from counts."""

    window: int = window_option(15)
    distance_weight: Literal["harmonic", "dynamic", "flat"] = vectors_option(
        "harmonic", "What two words d apart in a window of w count: 1/d, (w-d+1)/w, or 1."
    )


@dataclass(frozen=True)
class GloVeConfig(CountVectorConfig):
    training_defaults: ClassVar = {
        "optimizer": "adagrad", "schedule": "constant", "epochs": 25, "batch_size": 1 << 17
    }  # fmt: skip

    sides: Literal["both", "left"] = vectors_option(
        "both", "Where the words near a word stand: on both sides, or to its left alone."
    )
    x_max: float = vectors_option(
        100.0, "Co-occurrences from which a pair of words has the full weight.",
        low=1e-6, high=1e12,
    )  # fmt: skip
    alpha: float = vectors_option(
        0.75, "Power of the weight of a pair with fewer co-occurrences.", low=0, high=10
    )


@dataclass(frozen=True)
class PPMIConfig(CountVectorConfig):
    training_defaults: ClassVar = {
        "optimizer": "orthogonal-iteration", "schedule": "constant", "epochs": 10,
        "window": 5, "distance_weight": "dynamic",
    }  # fmt: skip

    shift: float = vectors_option(
        1.0,
        "The k of PMI - log k, which stands for k negative samples of skip-gram.",
        low=1e-6,
        high=1e6,
    )
    context_smoothing: float = vectors_option(
        0.75, "Power of the counts of contexts; below 1, rare contexts are less surprising.",
        low=0, high=2,
    )  # fmt: skip
    eigenvalue_weight: float = vectors_option(
        0.5, "Power of the singular values that scale the numbers of a vector.", low=0, high=2
    )
    oversampling: int = vectors_option(
        20, "Columns beside those of the vectors, with which these converge faster.",
        low=0, high=10_000,
    )  # fmt: skip
