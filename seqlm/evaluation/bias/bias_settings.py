"""The settings of the measures of bias, and of what removes it. This module imports no numpy, as
the command line makes its flags from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqlm.settings import check_fields, setting


@dataclass(frozen=True)
class WeatSettings:
    """The choices that published figures of WEAT differ in; `weat.py` has the formulas.

    Errors: UsageError for a value that is none of these.
    """

    std: Literal["sample", "population"] = setting(
        "sample", "Standard deviation that divides the effect size: of a sample (N - 1), or of the"
        " population (N).", section="Metrics",
    )  # fmt: skip
    sided: Literal["one", "two"] = setting(
        "one", "Count for p the partitions that are as far apart as X and Y in the same direction"
        " (one), or in either direction (two).", section="Metrics",
    )  # fmt: skip
    ties: Literal["counted", "excluded"] = setting(
        "counted", "Partitions exactly as far apart as X and Y, and X and Y themselves: count them"
        " for p, as permutation tests do, or leave them out, as the paper writes p.",
        section="Metrics",
    )  # fmt: skip
    samples: int = setting(
        100_000, "Partitions to draw for p, where there are more than 200,000; fewer are all"
        " enumerated.", low=1, high=10**8, section="Metrics",
    )  # fmt: skip
    missing: Literal["drop", "balance", "refuse"] = setting(
        "drop", "Words without a vector: leave them out (drop), and then as many of the last words"
        " of the larger target set (balance); or make them an error (refuse).", section="Metrics",
    )  # fmt: skip
    seed: int = setting(
        1, "Seed for drawing partitions, and the folds of a probe.", low=0, section="Metrics"
    )

    def __post_init__(self) -> None:
        check_fields(self)


DirectionMethod = Literal["pca", "difference"]
"""How pairs of words make a direction (`bias_direction.py`)."""
Whitening = Literal["all", "labeled"]
"""The words whose change LEACE keeps smallest (`leace.py`)."""
