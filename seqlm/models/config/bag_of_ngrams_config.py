"""Options of the bag of n-grams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from seqlm.models.config.labeler_config import LabelerSizes, labeler_option
from seqlm.models.config.network_config import WIDTH_HELP, option

HIERARCHICAL_SOFTMAX_HELP = (
    "Predict labels or words along the paths of a Huffman tree, which is quicker where there are"
    " many."
)
BUCKETS_HELP = "Buckets that n-grams are hashed into."


@dataclass(frozen=True)
class BagOfNgramsConfig(LabelerSizes):
    training_defaults: ClassVar = {
        "optimizer": "adagrad", "lr": 0.05, "clip": 0.0, "schedule": "cosine", "epochs": 3,
        "batch_size": 128,
    }  # fmt: skip

    ngram_types: int = 0
    """Buckets of n-grams that have a row of their own, which the text decides too."""

    width: int = option(100, WIDTH_HELP, low=1, high=10**6)
    ngrams: int = labeler_option(2, "Words of the longest n-grams.", low=1, high=100)
    ngram_min_count: int = labeler_option(
        2, "Occurrences that an n-gram needs to have a vector of its own.", low=1, high=2**31
    )
    buckets: int = labeler_option(2_000_000, BUCKETS_HELP, low=1, high=2**31 - 2**24)
    hierarchical_softmax: bool = labeler_option(
        False, HIERARCHICAL_SOFTMAX_HELP,
    )  # fmt: skip
