"""What state-space language models share: a stack of layers, each with a linear recurrence inside.

    x_t = A_t x_{t-1} + B_t u_t        the state, linear in the state before
    y_t = C_t x_t + D u_t              the output

Since the recurrence is linear, it need not run step by step: x_t is a sum over all earlier inputs,
each decayed by the A between. A layer therefore has a parallel form for segments and a step form
for one token, and the two agree. In `s4d.py` A, B and C are the same at every step and the sum is a
convolution. In `mamba.py` they are functions of the input and the sum is a scan; in `mamba2.py` A
is one number for many channels and the scan becomes a product of matrices.

The layers stand in a residual stack (He et al. 2016) with the norm inside the branch:

    r_0 = s E[tokens]
    r_i = r_{i-1} + layer_i(norm_i(r_{i-1}))
    features = norm(r_N)

E is drawn from U(+-0.1). The scale s makes r_0 about as large as the output of a fresh layer: it is
sqrt(D), except in Mamba, whose layers begin with small outputs. Dropout masks are the same at all
steps (locked).

B rows · T tokens · D width
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from seqlm.models.base import LanguageNetwork, NetworkOutput, State
from seqlm.models.config.state_space_config import StateSpaceConfig
from seqlm.models.layers.dropout import embed, locked_dropout
from seqlm.models.output import make_output_layer
from seqlm.models.output.output_layer import init_embedding
from seqlm.models.stored_model import ParameterGroup


class StateSpaceLayer(nn.Module, ABC):
    """A recurrence and the projections around it; its state is that of the recurrence."""

    @abstractmethod
    def initial_state(self, rows: int) -> Any:
        """The state before the first token, rows on axis 0."""

    @abstractmethod
    def forward(self, u: Tensor, state: Any) -> tuple[Tensor, Any]:
        """u (B, T, D) and the state before it -> (B, T, D) and the state after it."""


class StateSpaceModel(LanguageNetwork):
    """The residual stack; a subclass chooses the layers and norms."""

    config: StateSpaceConfig

    def __init__(
        self,
        config: StateSpaceConfig,
        layers: Iterable[StateSpaceLayer],
        make_norm: Callable[[int], nn.Module],
    ) -> None:
        """`make_norm(width)` makes the norm before each layer, and the one after the last."""
        super().__init__(config)
        self.output_layer = make_output_layer(config, config.width)
        if not config.tied:
            self.embedding = init_embedding(config.vocab_size, config.width)
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(make_norm(config.width) for _ in range(config.layers))
        self.norm = make_norm(config.width)

    def initial_cache(self, rows: int) -> tuple[State, ...]:
        layers = cast(Iterable[StateSpaceLayer], self.layers)
        return tuple(layer.initial_state(rows) for layer in layers)

    def embedding_scale(self) -> float:
        """s, by which embeddings are multiplied."""
        return math.sqrt(self.config.width)

    def forward(self, tokens: Tensor, cache: tuple[State, ...]) -> NetworkOutput:
        """`cache`: the state of each layer."""
        config, embedding = self.config, self.input_embedding()
        r = embed(tokens, embedding, config.dropout_embedding, self.training)  # (B, T, D)
        r = locked_dropout(self.embedding_scale() * r, config.dropout_input, self.training)
        states = []
        for layer, norm, state in zip(self.layers, self.norms, cache):
            y, state = layer(norm(r), state)
            r = r + locked_dropout(y, config.dropout_hidden, self.training)
            states.append(state)
        features = locked_dropout(self.norm(r), config.dropout_output, self.training)
        return NetworkOutput(features, tuple(states))

    def layer_outputs(self, tokens: Tensor, cache: tuple[State, ...]) -> list[Tensor]:
        r = self.embedding_scale() * self.input_embedding()[tokens]  # (B, T, D)
        outputs = [r]
        for layer, norm, state in zip(self.layers, self.norms, cache):
            y, _ = layer(norm(r), state)
            r = r + y
            outputs.append(r)
        return [*outputs[:-1], self.norm(r)]


def full_precision(x: Tensor) -> torch.autocast:
    """A context without autocast: the factors by which a state decays are too near 1 for half
    precision."""
    return torch.autocast(x.device.type, enabled=False)


def move_parameters(
    groups: Iterable[ParameterGroup], new_group: ParameterGroup
) -> list[ParameterGroup]:
    """The groups without the parameters of `new_group`, and last `new_group`."""
    moved = {id(parameter) for parameter in new_group.parameters}
    remaining = [
        group._replace(parameters=[p for p in group.parameters if id(p) not in moved])
        for group in groups
    ]
    return [*remaining, new_group]
