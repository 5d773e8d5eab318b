"""How networks are adapted while they score: the flags of `eval` that say so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from seqlm.cli.console import flag, say
from seqlm.cli.options.mixture_options import listed
from seqlm.errors import UsageError

if TYPE_CHECKING:
    from seqlm.evaluation.adaptation.constants import Adaptation
    from seqlm.evaluation.mixture_scoring import Mix

TEMPERATURE = flag("--softmax-temperature", help="Of the networks: p^(1/T). [default: 1]")
NEURAL_CACHE = flag(
    "--neural-cache",
    help="Remember the last WINDOW features of a network; --tune may take fewer.",
    metavar="WINDOW",
    min=1,
    max=10**5,
)
CACHE_WEIGHT = flag("--neural-cache-weight", help="What it weighs in the sum. [default: 0.1]")
CACHE_FLATNESS = flag(
    "--neural-cache-flatness", help="How far likeness counts; 0 is not at all. [default: 0.3]"
)
DYNAMIC = flag(
    "--dynamic",
    help="Dynamic evaluation: a step of learning after every SEGMENT tokens, which are scored"
    " before it.",
    metavar="SEGMENT",
    min=1,
    max=10**6,
)
DYNAMIC_STATISTICS = flag(
    "--dynamic-statistics",
    help="The training text: its gradients scale the steps, which are plain without.",
    metavar="TEXT",
)
DYNAMIC_RATE = flag("--dynamic-rate", help="Of learning. [default: 0.0003; of plain steps 0.1]")
DYNAMIC_DECAY = flag(
    "--dynamic-decay", help="Share of the way back to the trained network. [default: 0.01]"
)

OWNERS = {
    "weight": ("window", "what a --neural-cache weighs"),
    "flatness": ("window", "how a --neural-cache weighs likeness"),
    "rate": ("segment", "how fast --dynamic learns"),
    "decay": ("segment", "how --dynamic forgets"),
    "statistics": ("segment", "what scales the steps of --dynamic"),
}
"""Constants that mean something beside a size alone."""
BOUNDS = {
    "temperature": ("above 0", lambda value: 0 < value < math.inf),
    "weight": ("at least 0 and below 1", lambda value: 0 <= value < 1),
    "flatness": ("0 or more", lambda value: 0 <= value < math.inf),
    "rate": ("0 or more", lambda value: 0 <= value < math.inf),
    "decay": ("between 0 and 1", lambda value: 0 <= value <= 1),
}


def requested(**constants: Any) -> Adaptation:
    """Checked, before anything heavy is imported. Errors: UsageError."""
    from seqlm.evaluation.adaptation.constants import FLAGS, Adaptation

    given = {name: value for name, value in constants.items() if value is not None}
    for name, (owner, meaning) in OWNERS.items():
        if name in given and owner not in given:
            raise UsageError(f"{FLAGS[name]} is {meaning}")
    for name, (range_, holds) in BOUNDS.items():
        if name in given and not holds(given[name]):
            raise UsageError(f"{FLAGS[name]} must be {range_}, not {given[name]}")
    if given.get("statistics") == "-":
        raise UsageError("--dynamic-statistics names a file: standard input is read for a text")
    return Adaptation(**given)


def flags(mix: Mix) -> str:
    """All that `--tune` has found, and what it was given, as the command line takes it."""
    weights = [f"--mix {listed(mix)}"] if len(mix.models) > 1 else []
    return " ".join([*filter(None, [mix.adaptation.flags()]), *weights])


def adapted(mix: Mix, adaptation: Adaptation, errors: str) -> Mix:
    """The mix whose networks are adapted so. Errors: UsageError, DataError."""
    if adaptation.statistics is None:
        return mix.adapted(adaptation)
    from dataclasses import replace

    from seqlm.evaluation.tuning import read_text

    mix.adapted(adaptation)  # refuses before anything is read
    ids, digest = read_text(mix, adaptation.statistics, errors)
    say(f"gradient statistics of {adaptation.statistics}")
    return mix.adapted(replace(adaptation, statistics_digest=digest), ids)
