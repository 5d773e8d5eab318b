"""The settings of tests of word vectors. This module imports no numpy, as the command line makes
its flags from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqlm.settings import check_fields, setting


@dataclass(frozen=True)
class VectorTestSettings:
    """Which words a test may use, and how analogies are solved. Errors: UsageError for a value out
    of range."""

    vocabulary: int = setting(
        300_000, "Number of the first words of the vectors that are used, which are the most"
        " frequent; what has another word is skipped.",
        low=1, section="Metrics",
    )  # fmt: skip
    case: Literal["lower", "keep"] = setting(
        "lower", "Compare words in lower case, where the most frequent of equal words stands for"
        " them all, or as they are.",
        section="Metrics",
    )  # fmt: skip
    formula: Literal["add", "mul"] = setting(
        "add", "How an analogy is solved: by the sum of cosines (3CosAdd), or by their product"
        " (3CosMul).",
        section="Metrics",
    )  # fmt: skip
    unseen: Literal["compose", "skip"] = setting(
        "compose", "Pairs of words with one that is not among the vectors: compose its vector of"
        " character n-grams, where the model has them, or skip the pair.",
        section="Metrics",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
