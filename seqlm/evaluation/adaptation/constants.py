"""The constants with which networks are adapted while they are scored: given, found, or by default.

A size (the window of a neural cache, the segment of dynamic evaluation) turns a thing on and says
what it may cost. The other constants are found on held-out text where no flag gives them; their
defaults suit an LSTM of the Penn Treebank. The networks of a mixture share them all, and models of
other kinds have none.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Adaptation:
    """None is what is off, or not yet known."""

    temperature: float | None = None
    """Of the softmax."""
    window: int | None = None
    """Tokens that a neural cache remembers."""
    weight: float | None = None
    """λ of the neural cache."""
    flatness: float | None = None
    """θ of the neural cache."""
    segment: int | None = None
    """Tokens between two steps of dynamic evaluation."""
    rate: float | None = None
    """η of dynamic evaluation."""
    decay: float | None = None
    """λ of dynamic evaluation."""
    statistics: str | None = None
    """The text whose gradients scale the steps of dynamic evaluation."""
    statistics_digest: str | None = None
    """SHA-256 of that text."""

    @property
    def adapts(self) -> bool:
        """Whether what is read changes more than the state of a network."""
        return self.window is not None or self.segment is not None

    def settled(self) -> Adaptation:
        """With a default for all that is on and not known."""
        defaults: dict[str, Any] = {"temperature": 1.0}
        if self.window is not None:
            defaults |= {"weight": WEIGHT, "flatness": FLATNESS}
        if self.segment is not None:
            defaults |= {"rate": RATE if self.statistics else PLAIN_RATE, "decay": DECAY}
        return replace(self, **{k: v for k, v in defaults.items() if getattr(self, k) is None})

    def values(self) -> dict[str, Any]:
        """All that a figure depends on; {} where a network speaks as it was trained."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        known.pop("statistics", None)
        if known.get("temperature") == 1:
            del known["temperature"]
        return known

    def digest(self) -> str:
        """The first 8 digits of the SHA-256 of `values`."""
        return hashlib.sha256(json.dumps(self.values(), sort_keys=True).encode()).hexdigest()[:8]

    def flags(self) -> str:
        """What gives the same again on the command line."""
        known = ((flag, getattr(self, name)) for name, flag in FLAGS.items())
        pairs = ([flag, str(value)] for flag, value in known if value is not None)
        return " ".join(map(shlex.join, pairs))


WEIGHT, FLATNESS = 0.1, 0.3
RATE, PLAIN_RATE, DECAY = 0.0003, 0.1, 0.01
"""What `settled` takes; the rates with gradient statistics and without."""

FLAGS = {
    "temperature": "--softmax-temperature",
    "window": "--neural-cache",
    "weight": "--neural-cache-weight",
    "flatness": "--neural-cache-flatness",
    "segment": "--dynamic",
    "rate": "--dynamic-rate",
    "decay": "--dynamic-decay",
    "statistics": "--dynamic-statistics",
}
