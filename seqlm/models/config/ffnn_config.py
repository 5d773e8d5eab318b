"""Options of the feed-forward language model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from seqlm.errors import UsageError
from seqlm.models.config.network_config import (
    NetworkConfig,
    embedding_option,
    width_option,
)
from seqlm.settings import setting

recurrent_option = partial(setting, section="Feed-forward and recurrent networks")


@dataclass(frozen=True)
class FFNNConfig(NetworkConfig):
    training_defaults: ClassVar = {"dropout_input": 0.1, "dropout_output": 0.2}

    order: int = recurrent_option(
        5, "Order n: a word is predicted from the n-1 words before it.", low=2, high=10**4
    )
    width: int = width_option()
    embedding: int | None = embedding_option()
    direct: bool = recurrent_option(
        False, "Connect the embeddings to the output layer directly, too."
    )

    def __post_init__(self) -> None:
        """Errors: UsageError where there is no word before the predicted one."""
        if self.order < 2:
            raise UsageError(
                f"`order={self.order}` reads no words; a feed-forward model needs at least 2"
            )
