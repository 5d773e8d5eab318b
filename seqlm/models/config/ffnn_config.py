"""Options of the feed-forward language model."""

from __future__ import annotations

from dataclasses import dataclass

from seqlm.errors import UsageError
from seqlm.models.config.network_config import NetworkConfig


@dataclass(frozen=True)
class FFNNConfig(NetworkConfig):
    order: int = 5
    """n: a word is predicted from the n-1 words before it."""
    width: int = 256
    """Hidden units."""
    embedding: int | None = None
    """Width of the embedding; by default that of the hidden layer."""
    direct: bool = False
    """Direct connections from the embeddings to the output layer, past the hidden layer."""

    def __post_init__(self) -> None:
        """Errors: UsageError where there is no word before the predicted one."""
        if self.order < 2:
            raise UsageError(
                f"order {self.order} reads no words; a feed-forward model needs at least 2"
            )
