"""Options of word vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from seqlm.models.config.bag_of_ngrams_config import BUCKETS_HELP, HIERARCHICAL_SOFTMAX_HELP
from seqlm.models.config.network_config import WIDTH_HELP, WINDOW_HELP
from seqlm.settings import setting

vectors_option = partial(setting, section="Word vectors")


def window_option(default: int) -> Any:
    return vectors_option(default, WINDOW_HELP, low=1, high=1000)


@dataclass(frozen=True)
class WordVectorConfig:
    """Options of all word vectors; those of an architecture extend it."""

    vocab_size: int
    """V, which the text decides."""
    width: int = vectors_option(100, WIDTH_HELP, low=1, high=10**6)


@dataclass(frozen=True)
class PredictionConfig(WordVectorConfig):
    """Options of vectors that predict the words nearby."""

    window: int = window_option(5)
    negatives: int = vectors_option(
        5, "Noise words that each word is told from (negative sampling).",
        low=1, high=1000, needs=("hierarchical_softmax", (False,)),
    )  # fmt: skip
    noise_exponent: float = vectors_option(
        0.75, "Noise words are drawn in proportion to their counts to this power.",
        low=-10, high=10, needs=("hierarchical_softmax", (False,)),
    )  # fmt: skip
    hierarchical_softmax: bool = vectors_option(False, HIERARCHICAL_SOFTMAX_HELP)
    subsample: float = vectors_option(
        1e-3, "Frequency from which words are left out at random; 0 leaves out none.",
        low=0, high=1,
    )  # fmt: skip


@dataclass(frozen=True)
class SkipGramConfig(PredictionConfig):
    training_defaults: ClassVar = {"lr": 0.075}


@dataclass(frozen=True)
class CBOWConfig(PredictionConfig):
    training_defaults: ClassVar = {"lr": 0.2}


@dataclass(frozen=True)
class FastTextConfig(PredictionConfig):
    training_defaults: ClassVar = {"lr": 0.1, "noise_exponent": 0.5, "subsample": 1e-4}

    ngram_rows: int = 0
    """Buckets that hold an n-gram of a word of the vocabulary."""
    ngram_terms: int = 0
    """N-grams of all words of the vocabulary, each word with its own."""

    predict: Literal["skipgram", "cbow"] = vectors_option(
        "skipgram", "What is predicted: the words around a word, or a word from those around it."
    )
    ngram_min: int = vectors_option(
        3, "Characters of the shortest n-grams of a word that have vectors.", low=1, high=64
    )
    ngram_max: int = vectors_option(
        6, "Characters of the longest n-grams of a word that have vectors.", low=1, high=64
    )
    buckets: int = vectors_option(2_000_000, BUCKETS_HELP, low=1, high=2**31 - 2**24)
