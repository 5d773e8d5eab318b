"""The constants with which networks are adapted while they score: given, tuned, or by default.

A size (the window of a neural cache, the segment of dynamic evaluation) switches a method on and
bounds its cost. The other constants are tuned on held-out text where they are not given; their
defaults suit an LSTM of the Penn Treebank. The networks of a mixture share all of them, and models
of other kinds are not adapted.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from seqlm.errors import UsageError
from seqlm.settings import check_fields, setting, settings_of

NEURAL_CACHE_WEIGHT, NEURAL_CACHE_THETA = 0.1, 0.3
DYNAMIC_LR, PLAIN_DYNAMIC_LR, DYNAMIC_DECAY = 0.0003, 0.1, 0.01
"""The defaults; the learning rates are those with gradient statistics and without."""

STDIN = "-"
SECTION = "Adaptation"


@dataclass(frozen=True)
class Adaptation:
    """None is what is off, or to be tuned. Errors: UsageError for a value out of range, or one that
    has no effect."""

    softmax_temperature: float | None = setting(
        None, "Temperature of the softmax of networks: p^(1/T), normalized.",
        none_text="1", above=0, section=SECTION,
    )  # fmt: skip
    neural_cache: int | None = setting(
        None, "Mix in a neural cache of the last WINDOW features of a network; tuning may choose a"
        " smaller window.", low=1, high=10**5, metavar="WINDOW", section=SECTION,
    )  # fmt: skip
    neural_cache_weight: float | None = setting(
        None, "Weight of the neural cache in its mixture with the network.",
        none_text=f"{NEURAL_CACHE_WEIGHT:g}", low=0, below=1, section=SECTION,
    )  # fmt: skip
    neural_cache_theta: float | None = setting(
        None, "Theta of the neural cache: how sharply similar states are preferred (0: all alike).",
        none_text=f"{NEURAL_CACHE_THETA:g}", low=0, section=SECTION,
    )  # fmt: skip
    dynamic: int | None = setting(
        None, "Dynamic evaluation: update the network after every SEGMENT tokens, which are scored"
        " before the update.", low=1, high=10**6, metavar="SEGMENT", section=SECTION,
    )  # fmt: skip
    dynamic_lr: float | None = setting(
        None, "Learning rate of dynamic evaluation.",
        none_text=f"{DYNAMIC_LR:g}; {PLAIN_DYNAMIC_LR:g} without `dynamic_statistics`",
        low=0, section=SECTION,
    )  # fmt: skip
    dynamic_decay: float | None = setting(
        None, "Share of the way back to the trained weights that every update takes.",
        none_text=f"{DYNAMIC_DECAY:g}", low=0, high=1, section=SECTION,
    )  # fmt: skip
    dynamic_statistics: str | None = setting(
        None, "Training text whose gradient statistics scale the updates of dynamic evaluation.",
        metavar="FILE", section=SECTION,
    )  # fmt: skip
    statistics_digest: str | None = None
    """SHA-256 of the text of `dynamic_statistics`."""

    def __post_init__(self) -> None:
        check_fields(self)
        for name, owner in OWNERS.items():
            if getattr(self, name) is not None and getattr(self, owner) is None:
                raise UsageError(f"`{name}` has no effect without `{owner}`")
        if self.dynamic_statistics == STDIN:
            raise UsageError("`dynamic_statistics` names a file: it cannot be standard input")

    @property
    def adapts(self) -> bool:
        """Whether the text that is read changes more than the state of a network."""
        return self.neural_cache is not None or self.dynamic is not None

    def with_defaults(self) -> Adaptation:
        """The same constants, with a default for each one that is on and not given."""
        defaults: dict[str, Any] = {"softmax_temperature": 1.0}
        if self.neural_cache is not None:
            defaults |= {
                "neural_cache_weight": NEURAL_CACHE_WEIGHT,
                "neural_cache_theta": NEURAL_CACHE_THETA,
            }
        if self.dynamic is not None:
            lr = DYNAMIC_LR if self.dynamic_statistics else PLAIN_DYNAMIC_LR
            defaults |= {"dynamic_lr": lr, "dynamic_decay": DYNAMIC_DECAY}
        missing = {name: x for name, x in defaults.items() if getattr(self, name) is None}
        return replace(self, **missing)

    def given(self) -> dict[str, Any]:
        """The settings that are not None, by name, in their order."""
        values = {name: getattr(self, name) for name in settings_of(Adaptation)}
        return {name: value for name, value in values.items() if value is not None}

    def active(self) -> dict[str, Any]:
        """All that a figure depends on, by its name in a signature; {} where nothing is adapted."""
        values = {key: getattr(self, name) for name, key in SIGNATURE_KEYS.items()}
        if self.softmax_temperature == 1:
            del values["temperature"]
        return {key: value for key, value in values.items() if value is not None}

    def digest(self) -> str:
        """The first 8 digits of the SHA-256 of the active constants."""
        return hashlib.sha256(json.dumps(self.active(), sort_keys=True).encode()).hexdigest()[:8]


OWNERS = {
    "neural_cache_weight": "neural_cache",
    "neural_cache_theta": "neural_cache",
    "dynamic_lr": "dynamic",
    "dynamic_decay": "dynamic",
    "dynamic_statistics": "dynamic",
}
"""Constants that have an effect only beside another."""

SIGNATURE_KEYS = {
    "softmax_temperature": "temperature",
    "neural_cache": "window",
    "neural_cache_weight": "weight",
    "neural_cache_theta": "flatness",
    "dynamic": "segment",
    "dynamic_lr": "rate",
    "dynamic_decay": "decay",
    "statistics_digest": "statistics_digest",
}
"""The names of the constants in a signature, whose digest they enter."""


def require(constant: float | None) -> float:
    """The constant, which `Adaptation.with_defaults` has given a value."""
    assert constant is not None, "this constant needs a default first (Adaptation.with_defaults)"
    return constant
