"""The settings of labeling text. This module imports no torch, as the command line makes its flags
from it."""

from __future__ import annotations

from dataclasses import dataclass

from seqlm.settings import check_fields, setting


@dataclass(frozen=True)
class LabelingSettings:
    """What is to be found, and how. Errors: UsageError for a value out of range."""

    nbest: int | None = setting(
        None, "Print the N most probable label sequences of each sentence, or labels of each text.",
        none_text="only the best one", low=1, section="Output",
    )  # fmt: skip
    probabilities: bool = setting(
        False, "Print the probability of each label: of a tagger, given the whole sentence.",
        section="Output",
    )  # fmt: skip
    batch_size: int = setting(
        64, "Number of records to compute together; it changes no label.", low=1, section="Machine",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)
