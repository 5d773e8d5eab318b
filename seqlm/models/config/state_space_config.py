"""Options of the state-space language models."""

from __future__ import annotations

from dataclasses import dataclass

from seqlm.errors import UsageError
from seqlm.models.config.network_config import HiddenDropout, NetworkConfig

MAX_HEAD_WIDTH = 64
"""The most channels of a head of Mamba-2 where `head_width` sets no other number."""


@dataclass(frozen=True)
class StateSpaceConfig(HiddenDropout, NetworkConfig):
    """Options of S4D and Mamba-2."""

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
class Mamba2Config(StateSpaceConfig):
    expand: int = 2
    """Inner channels for each of `width`."""
    head_width: int | None = None
    """P, the inner channels that forget together; by default the most up to 64 that divide them."""
    state: int = 16
    """N, the numbers that each inner channel keeps."""
    conv: int = 4
    """K, the tokens that the convolution sees."""

    def __post_init__(self) -> None:
        """Errors: UsageError where the heads do not share the channels evenly."""
        if self.inner % self.channels:
            raise UsageError(
                f"{self.inner} inner channels cannot be cut into heads of {self.head_width}"
            )

    @property
    def inner(self) -> int:
        """I, all inner channels."""
        return self.expand * self.width

    @property
    def channels(self) -> int:
        """P, those of a head."""
        at_most = range(min(MAX_HEAD_WIDTH, self.inner), 0, -1)
        return self.head_width or next(P for P in at_most if self.inner % P == 0)
