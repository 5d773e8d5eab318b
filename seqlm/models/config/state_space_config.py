"""Options of the state-space language models."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqlm.errors import UsageError
from seqlm.models.config.network_config import HiddenDropout, NetworkConfig

MAX_HEAD_WIDTH = 64
"""The most channels of a head of Mamba-2 where `head_width` sets no other number."""


@dataclass(frozen=True)
class StateSpaceConfig(HiddenDropout, NetworkConfig):
    """Options of S4D, Mamba and Mamba-2."""

    width: int = 256
    """D, of the residual stream."""
    layers: int = 4


@dataclass(frozen=True)
class S4DConfig(StateSpaceConfig):
    state: int = 64
    """N, the numbers that each channel keeps, in pairs; even."""

    def __post_init__(self) -> None:
        """Errors: UsageError where N is not even."""
        if self.state < 2 or self.state % 2:
            raise UsageError(f"S4D's states come in conjugate pairs; {self.state} is not even")


@dataclass(frozen=True)
class SelectiveConfig(StateSpaceConfig):
    """Options of Mamba and Mamba-2."""

    expand: int = 2
    """Inner channels for each of `width`."""
    state: int = 16
    """N, the numbers that each inner channel keeps."""
    conv: int = 4
    """K, the tokens that the convolution sees."""

    @property
    def inner(self) -> int:
        """I, all inner channels."""
        return self.expand * self.width


@dataclass(frozen=True)
class MambaConfig(SelectiveConfig):
    dt_rank: int | None = None
    """R, the rank of the projection that gives Δ; by default width / 16, rounded up."""

    @property
    def rank(self) -> int:
        """R."""
        return self.dt_rank or math.ceil(self.width / 16)


@dataclass(frozen=True)
class Mamba2Config(SelectiveConfig):
    head_width: int | None = None
    """P, the inner channels that forget together; by default the most up to 64 that divide them."""

    def __post_init__(self) -> None:
        """Errors: UsageError where the heads do not share the channels evenly."""
        if self.inner % self.channels:
            raise UsageError(
                f"{self.inner} inner channels cannot be cut into heads of {self.head_width}"
            )

    @property
    def channels(self) -> int:
        """P, those of a head."""
        at_most = range(min(MAX_HEAD_WIDTH, self.inner), 0, -1)
        return self.head_width or next(P for P in at_most if self.inner % P == 0)
