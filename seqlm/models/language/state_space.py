"""What state-space language models share: a stack of layers, each a linear recurrence inside.

    x_t = A_t x_{t-1} + B_t u_t        the state: linear in what was before
    y_t = C_t x_t + D u_t              what is read from it

Linear, it need not be run step by step: x_t is a sum over all inputs before, each decayed by what
lies between. A layer therefore has a parallel form for segments and a step form for one token, and
they agree. In `s4d.py` A, B, C are the same at every step and the sum is a convolution; in
`mamba.py` they are functions of the input, and it is a product of matrices.

Around the layers stands the residual stack (He et al. 2016, the norm inside the branch):

    r_0 = sqrt(D) E[tokens]
    r_i = r_{i-1} + layer_i(norm_i(r_{i-1}))
    features = norm(r_N)

E is drawn from U(+-0.1) and read times sqrt(D), so that r_0 is about as large as a layer's output.
Dropout is locked over time.
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
from seqlm.models.layers.dropout import embed, locked
from seqlm.models.output import make_output_layer
from seqlm.models.output.output_layer import init_embedding


class Layer(nn.Module, ABC):
    """A recurrence and what surrounds it; the state is that of the recurrence."""

    @abstractmethod
    def initial_state(self, rows: int) -> Any:
        """The state before anything is read, rows on axis 0."""

    @abstractmethod
    def forward(self, u: Tensor, state: Any) -> tuple[Tensor, Any]:
        """(B, T, D) -> (B, T, D), and the state after it."""


class StateSpace(LanguageNetwork):
    """The residual stack; a subclass brings layers and norms."""

    config: StateSpaceConfig

    def __init__(
        self,
        config: StateSpaceConfig,
        layers: Iterable[Layer],
        norm: Callable[[int], nn.Module],
    ) -> None:
        """`norm` is made of a width: one before each layer, one behind the last."""
        super().__init__(config)
        self.output_layer = make_output_layer(config, config.width)
        if not config.tied:
            self.embedding = init_embedding(config.vocab_size, config.width)
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(norm(config.width) for _ in range(config.layers))
        self.norm = norm(config.width)

    def initial_cache(self, rows: int) -> tuple[State, ...]:
        return tuple(cast(Layer, layer).initial_state(rows) for layer in self.layers)

    def forward(self, tokens: Tensor, cache: tuple[State, ...]) -> NetworkOutput:
        config = self.config
        r = embed(
            tokens, self.input_embedding(), config.dropout_embedding, self.training
        )  # (B, T, D)
        r = locked(math.sqrt(config.width) * r, config.dropout_input, self.training)
        after = []
        for layer, norm, state in zip(self.layers, self.norms, cache):
            y, state = layer(norm(r), state)
            r = r + locked(y, config.dropout_hidden, self.training)
            after.append(state)
        features = locked(self.norm(r), config.dropout_output, self.training)
        return NetworkOutput(features, tuple(after))


def exactly(x: Tensor) -> torch.autocast:
    """A context without autocast: recurrences decay by numbers too near 1 for half precision."""
    return torch.autocast(x.device.type, enabled=False)
