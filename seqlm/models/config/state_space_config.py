"""Options of the state-space language models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from seqlm.errors import UsageError
from seqlm.models.config.network_config import (
    LANGUAGE_MODEL_DROPOUT,
    HiddenDropout,
    NetworkConfig,
    layers_option,
    width_option,
)
from seqlm.settings import setting

STATE_SPACE_DEFAULTS = {**LANGUAGE_MODEL_DROPOUT, "seq_length": 64, "clip": 1.0}
state_space_option = partial(setting, section="State-space models")

MAX_HEAD_WIDTH = 64
"""The most channels of a head of Mamba-2 where `head_width` sets no other number."""


@dataclass(frozen=True)
class StateSpaceConfig(HiddenDropout, NetworkConfig):
    """Options of S4D, Mamba and Mamba-2."""

    width: int = width_option()  # D, of the residual stream
    layers: int = layers_option(4)


@dataclass(frozen=True)
class S4DConfig(StateSpaceConfig):
    training_defaults: ClassVar = {**STATE_SPACE_DEFAULTS, "lr": 8e-3}

    state_size: int = state_space_option(
        64, "N, numbers that a channel keeps; even in S4D.", low=1, high=10**6
    )

    def __post_init__(self) -> None:
        """Errors: UsageError where N is not even."""
        if self.state_size < 2 or self.state_size % 2:
            raise UsageError(
                f"S4D's states come in conjugate pairs; `state_size={self.state_size}` is not even"
            )


@dataclass(frozen=True)
class SelectiveConfig(StateSpaceConfig):
    """Options of Mamba and Mamba-2."""

    training_defaults: ClassVar = {**STATE_SPACE_DEFAULTS, "lr": 6e-3}

    expand: int = state_space_option(
        2, "Inner channels for each unit of `width`.", low=1, high=10**3
    )
    state_size: int = state_space_option(
        16, "N, numbers that a channel keeps; even in S4D.", low=1, high=10**6
    )
    conv_kernel: int = state_space_option(
        4, "K, tokens that the convolution sees.", low=1, high=10**4
    )

    @property
    def inner_width(self) -> int:
        """I, all inner channels."""
        return self.expand * self.width


@dataclass(frozen=True)
class MambaConfig(SelectiveConfig):
    dt_rank: int | None = state_space_option(
        None, "R, rank of the projection that gives the step Δ.",
        none_text="`width` / 16", low=1, high=10**6,
    )  # fmt: skip

    @property
    def rank(self) -> int:
        """R, the rank of the projection that gives Δ."""
        return self.dt_rank or math.ceil(self.width / 16)


@dataclass(frozen=True)
class Mamba2Config(SelectiveConfig):
    head_width: int | None = state_space_option(
        None, "Inner channels that share one decay (P, the width of a head).",
        none_text=f"the largest divisor of the inner channels up to {MAX_HEAD_WIDTH}",
        low=1, high=10**6,
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Errors: UsageError where the heads do not share the channels evenly."""
        if self.inner_width % self.channels_per_head:
            raise UsageError(
                f"`head_width={self.head_width}` does not divide the {self.inner_width} inner"
                " channels"
            )

    @property
    def channels_per_head(self) -> int:
        """P, the channels of a head."""
        at_most = range(min(MAX_HEAD_WIDTH, self.inner_width), 0, -1)
        return self.head_width or next(P for P in at_most if self.inner_width % P == 0)
