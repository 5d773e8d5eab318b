"""Recurrent language models: stacks of Elman, LSTM or GRU layers (`recurrent_layers.py`).

    x_t   embedding of the token read at t          h_t   output of the last layer
    U     recurrent weights of a layer              h~_t  the features: h_t after dropout

Each layer's outputs are the next one's inputs; the last one's are the features for the softmax.
With tied weights (Press & Wolf 2017) the softmax's matrix is the embedding's, and the last layer
has the embedding's width.

Regularized as in Merity, Keskar & Socher (2018, "AWD-LSTM"), in training only: dropout between all
layers, locked over time (Gal & Ghahramani 2016); *weight-drop*, one dropout mask on each U for all
steps of a segment; and two penalties on the last layer's output,

    AR   alpha mean(h~_t^2)
    TAR  beta  mean((h_t - h_{t-1})^2)

B rows · T tokens · D width of the last layer
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seqlm.models.base import LanguageNetwork, NetworkOutput
from seqlm.models.config.recurrent_config import ElmanConfig, LSTMConfig, RecurrentConfig
from seqlm.models.layers.dropout import embed, locked_dropout
from seqlm.models.layers.recurrence.recurrent_layers import (
    EMBEDDING_SCALE,
    LSTMState,
    elman_layer,
    gru_layer,
    lstm_layer,
    run_layer,
)
from seqlm.models.output import make_output_layer
from seqlm.models.output.output_layer import init_embedding


class Recurrent(LanguageNetwork):
    """What the three have in common; a subclass makes its layers and their first states."""

    config_class: ClassVar[type] = RecurrentConfig
    config: RecurrentConfig

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        sizes = config.sizes()
        self.output_layer = make_output_layer(config, sizes[-1])
        if not config.tied:
            self.embedding = init_embedding(config.vocab_size, sizes[0])
        self.layers = nn.ModuleList(
            self.make_layer(input_width, width) for input_width, width in pairwise(sizes)
        )

    @abstractmethod
    def make_layer(self, input_width: int, width: int) -> nn.Module:
        """A layer (B, T, input_width) -> (B, T, width)."""

    def forward(self, tokens: Tensor, cache: tuple[Any, ...]) -> NetworkOutput:
        """`cache`: the state of each layer."""
        config, embedding = self.config, self.input_embedding()
        x = embed(tokens, embedding, config.dropout_embedding, self.training)  # (B, T, E)
        x = locked_dropout(EMBEDDING_SCALE * x, config.dropout_input, self.training)
        states = []
        for depth, (layer, state) in enumerate(zip(self.layers, cache)):
            if depth > 0:
                x = locked_dropout(x, config.dropout_hidden, self.training)
            x, state = run_layer(layer, x, state, self.weight_drop(layer))
            states.append(state)
        features = locked_dropout(x, config.dropout_output, self.training)
        return NetworkOutput(features, tuple(states), self.penalty(features, x))

    def layer_outputs(self, tokens: Tensor, cache: tuple[Any, ...]) -> list[Tensor]:
        x = EMBEDDING_SCALE * self.input_embedding()[tokens]  # (B, T, E)
        outputs = [x]
        for layer, state in zip(self.layers, cache):
            x, _ = run_layer(layer, x, state)  # (B, T, D)
            outputs.append(x)
        return outputs

    def weight_drop(self, layer: Any) -> Tensor | None:
        """U with a dropout mask on it, or None where there is no weight-drop."""
        p = self.config.dropout_weight
        if not self.training or p == 0:
            return None
        return nn.functional.dropout(layer.weight_hh_l0, p)  # (gates D, D)

    def penalty(self, features: Tensor, output: Tensor) -> Tensor | None:
        """AR and TAR, of the features (B, T, D) and the `output` (B, T, D) before dropout."""
        config = self.config
        if not self.training or not (config.ar or config.tar):
            return None
        penalty = features.new_zeros(())
        if config.ar:
            penalty = penalty + config.ar * features.square().mean()
        if config.tar and output.shape[1] > 1:
            penalty = penalty + config.tar * output.diff(dim=1).square().mean()
        return penalty

    def initial_cache(self, rows: int) -> tuple[Any, ...]:
        sizes = self.config.sizes()[1:]
        return tuple(self.output_layer.weight.new_zeros(rows, size) for size in sizes)


class Elman(Recurrent):
    config_class = ElmanConfig
    config: ElmanConfig

    def make_layer(self, input_width: int, width: int) -> nn.Module:
        return elman_layer(input_width, width, self.config.activation)


class GRU(Recurrent):
    def make_layer(self, input_width: int, width: int) -> nn.Module:
        return gru_layer(input_width, width)


class LSTM(Recurrent):
    config_class = LSTMConfig
    config: LSTMConfig

    def make_layer(self, input_width: int, width: int) -> nn.Module:
        return lstm_layer(input_width, width, self.config.peephole, self.config.coupled_gates)

    def initial_cache(self, rows: int) -> tuple[LSTMState, ...]:
        return tuple(LSTMState(h, torch.zeros_like(h)) for h in super().initial_cache(rows))
