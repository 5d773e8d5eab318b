"""Options of the recurrent language models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqlm.models.config.network_config import HiddenDropout, NetworkConfig


@dataclass(frozen=True)
class RecurrentConfig(HiddenDropout, NetworkConfig):
    """Options of all three, and those of the GRU, which has no others."""

    width: int = 256
    """Hidden units of a layer."""
    layers: int = 2
    embedding: int | None = None
    """Width of the embedding; by default that of the layers."""
    dropout_weight: float = 0.0
    """Share of each recurrent matrix U dropped from a segment (weight-drop)."""
    ar: float = 0.0
    """alpha: the weight of the penalty on the size of the output."""
    tar: float = 0.0
    """beta: the weight of the penalty on its change from step to step."""

    def sizes(self) -> list[int]:
        """The embedding's width, then each layer's."""
        embedding = self.embedding or self.width
        last = embedding if self.tied else self.width
        return [embedding, *[self.width] * (self.layers - 1), last]


@dataclass(frozen=True)
class ElmanConfig(RecurrentConfig):
    activation: Literal["tanh", "relu"] = "tanh"


@dataclass(frozen=True)
class LSTMConfig(RecurrentConfig):
    peephole: bool = False
    """Gates see their cell (Gers & Schmidhuber 2000)."""
    coupled_gates: bool = False
    """The input gate is what the forget gate leaves, i = 1 - f (Greff et al. 2015)."""
