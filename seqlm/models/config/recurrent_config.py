"""Options of the recurrent language models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from seqlm.models.config.network_config import (
    LANGUAGE_MODEL_DROPOUT,
    HiddenDropout,
    NetworkConfig,
    dropout,
    embedding_option,
    layers_option,
    width_option,
)
from seqlm.settings import setting

penalty = partial(setting, 0.0, low=0, high=10**3, section="Regularization")
recurrent_option = partial(setting, section="Feed-forward and recurrent networks")


@dataclass(frozen=True)
class RecurrentConfig(HiddenDropout, NetworkConfig):
    """Options of all three, and those of the GRU, which has no others."""

    training_defaults: ClassVar = LANGUAGE_MODEL_DROPOUT

    width: int = width_option()
    layers: int = layers_option(2)
    embedding: int | None = embedding_option()
    dropout_weight: float = dropout("Share of each recurrent matrix dropped (weight-drop).")
    ar: float = penalty("Weight alpha of the penalty on the size of the output (AWD-LSTM).")
    tar: float = penalty(
        "Weight beta of the penalty on the change of the output between steps (AWD-LSTM)."
    )

    def sizes(self) -> list[int]:
        """The embedding's width, then each layer's."""
        embedding = self.embedding or self.width
        last = embedding if self.tied else self.width
        return [embedding, *[self.width] * (self.layers - 1), last]


@dataclass(frozen=True)
class ElmanConfig(RecurrentConfig):
    activation: Literal["tanh", "relu"] = recurrent_option("tanh", "Activation function.")


@dataclass(frozen=True)
class LSTMConfig(RecurrentConfig):
    training_defaults: ClassVar = {**LANGUAGE_MODEL_DROPOUT, "lr": 0.012, "epsilon": 1e-4}

    peephole: bool = recurrent_option(
        False, "Gates see the cell, through peepholes (Gers & Schmidhuber 2000)."
    )
    coupled_gates: bool = recurrent_option(
        False, "The input gate is 1 - the forget gate (Greff et al. 2015)."
    )
