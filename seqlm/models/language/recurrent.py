"""Recurrent language models: Elman, LSTM and GRU, stacked.

    x_t   embedding of the token read at t          h_t   hidden state, the layer's output
    W, U  input and recurrent weights, b biases     sigma, tanh, and * work elementwise

Elman (1990), trained as a language model by Mikolov et al. (2010):

    h_t = tanh(W x_t + U h_{t-1} + b)

LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000):

    i_t, f_t, o_t = sigma(W_{i,f,o} x_t + U_{i,f,o} h_{t-1} + b_{i,f,o})
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = o_t * tanh(c_t)

    b_f starts at 1 (Jozefowicz et al. 2015): a cell that forgets by default learns nothing old.
    Peepholes and coupled gates are in `gated.py`.

GRU (Cho et al. 2014, in the form of cuDNN):

    r_t, z_t = sigma(W_{r,z} x_t + U_{r,z} h_{t-1} + b_{r,z})
    n_t = tanh(W_n x_t + b_n + r_t * (U_n h_{t-1} + b_u))
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}

A stack feeds each layer's h to the next; the last one's h is the feature the softmax takes. With
tied weights (Press & Wolf 2017) the softmax's matrix is the embedding's, and the last layer has the
embedding's width.

Regularised as in Merity, Keskar & Socher (2018, "AWD-LSTM"), in training only: dropout locked over
time between all layers (Gal & Ghahramani 2016); *weight-drop*, one dropout mask on each U for all
steps of a segment; and two penalties on the last layer's output,

    AR   alpha mean(h~_t^2)            of the dropped output h~
    TAR  beta  mean((h_t - h_{t-1})^2)
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from seqlm.models.base import LanguageNetwork, NetworkOutput
from seqlm.models.config.recurrent_config import ElmanConfig, LSTMConfig, RecurrentConfig
from seqlm.models.layers.dropout import embed, locked
from seqlm.models.layers.gru import GRULayer
from seqlm.models.layers.linear import product
from seqlm.models.layers.lstm_variants import GatedLayer
from seqlm.models.output import make_output_layer
from seqlm.models.output.output_layer import init_embedding
from seqlm.models.tree import S, tree_map

READ = 4.0
"""What an embedding is multiplied by when it is read. It is drawn from U(+-0.1), as a softmax likes
its matrix; a layer wants a larger input, without which an LSTM is slow to leave the unigrams (on
`corpora/brackets` it stays near chance for the epochs in which this one gets every line right)."""


class Recurrent(LanguageNetwork):
    """What the three have in common; a subclass names its layer and its state."""

    config_class: ClassVar[type] = RecurrentConfig
    config: RecurrentConfig

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        sizes = config.sizes()
        self.output_layer = make_output_layer(config, sizes[-1])
        if not config.tied:
            self.embedding = init_embedding(config.vocab_size, sizes[0])
        self.layers = nn.ModuleList(self.layer(size, into) for size, into in pairwise(sizes))

    @abstractmethod
    def layer(self, size: int, width: int) -> nn.Module:
        """A layer that reads (B, T, size) and gives (B, T, width)."""

    def forward(self, tokens: Tensor, cache: tuple[Any, ...]) -> NetworkOutput:
        config = self.config
        x = embed(
            tokens, self.input_embedding(), config.dropout_embedding, self.training
        )  # (B, T, D)
        x = locked(READ * x, config.dropout_input, self.training)
        after = []
        for depth, (layer, state) in enumerate(zip(self.layers, cache)):
            if depth > 0:
                x = locked(x, config.dropout_hidden, self.training)
            x, state = run(layer, x, state, self.dropped(layer))
            after.append(state)
        features = locked(x, config.dropout_output, self.training)
        return NetworkOutput(features, tuple(after), self.penalty(features, x))

    def dropped(self, layer: Any) -> Tensor | None:
        """U with weight-drop, where there is any."""
        p = self.config.dropout_weight
        if not self.training or p == 0:
            return None
        return nn.functional.dropout(layer.weight_hh_l0, p)  # (gates D, D)

    def penalty(self, features: Tensor, output: Tensor) -> Tensor | None:
        """AR and TAR: of `features` (B, T, D), the `output` (B, T, D) after dropout."""
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
        return tuple(
            self.output_layer.weight.new_zeros(rows, size) for size in self.config.sizes()[1:]
        )


# ------------------------------------------------------------------------------------------ layers


class Cell(NamedTuple):
    """The state of an LSTM's layer; that of the others is their h, (B, D)."""

    h: Tensor  # (B, D)
    c: Tensor  # (B, D)


def hidden(state: Any) -> Tensor:
    """(B, D) h of a layer's state, what the layer gave last."""
    return state.h if isinstance(state, Cell) else state


def elman(size: int, width: int, activation: str = "tanh") -> nn.Module:
    """A layer that reads (B, T, size) and gives (B, T, width), as the next two.

    An orthogonal U keeps the gradient's norm over the first steps (Saxe et al. 2014); with relu it
    is the identity (Le, Jaitly & Hinton 2015).
    """
    layer = nn.RNN(size, width, nonlinearity=activation, batch_first=True)
    start: Any = nn.init.orthogonal_ if activation == "tanh" else nn.init.eye_
    start(layer.weight_hh_l0)
    return layer


def gru(size: int, width: int) -> nn.Module:
    return GRULayer(size, width)


def lstm(size: int, width: int, peephole: bool = False, coupled: bool = False) -> nn.Module:
    """b_f = 1. Torch orders the gates i, f, g, o and adds two biases: one of them is 0."""
    layer: nn.Module
    if peephole or coupled:
        layer = GatedLayer(size, width, peephole, coupled)
    else:
        layer = nn.LSTM(size, width, batch_first=True)
    f = slice(0, width) if coupled else slice(width, 2 * width)
    with torch.no_grad():
        layer.get_parameter("bias_ih_l0")[f] = 1.0
        layer.get_parameter("bias_hh_l0")[f] = 0.0
    return layer


def run(layer: Any, x: Tensor, state: S, weight: Tensor | None = None) -> tuple[Tensor, S]:
    """One layer over x (B, T, E), from and to its state; `weight` stands in place of its U."""
    one = x.shape[1] == 1 and x.device.type == "cpu" and not isinstance(layer, GatedLayer)
    if one and weight is None:
        state = cell(layer, product(x[:, 0], layer.weight_ih_l0, layer.bias_ih_l0), state)
        return hidden(state)[:, None], state
    before = tree_map(lambda part: part[None], state)  # torch wants (1, B, D)
    if weight is None:
        x, after = layer(x, before)
    else:
        x, after = with_recurrent_weight(layer, weight, x, before)
    if isinstance(state, Cell):
        after = Cell(*after)
    return x, tree_map(lambda part: part[0], after)


def cell(layer: Any, into: Tensor, state: S) -> S:
    """The state after one step, given `into` (B, G D), what the token adds to the gates: W x_t + b.

    oneDNN's layers prepare their weights anew in every call, which costs ten times what one token
    does; and a decoder that looks at its source has to step.
    """
    h = hidden(state)
    back = product(h, layer.weight_hh_l0, layer.bias_hh_l0)  # (B, G D)
    after: Any
    if layer.mode == "GRU":
        width = h.shape[1]
        (rz_x, n_x), (rz_h, n_h) = (z.split([2 * width, width], 1) for z in (into, back))
        r, z = (rz_x + rz_h).sigmoid().chunk(2, 1)
        n = torch.tanh(n_x + r * n_h)
        after = n + z * (h - n)
    elif isinstance(state, Cell):
        i, f, g, o = (into + back).chunk(4, 1)
        c = f.sigmoid() * state.c + i.sigmoid() * g.tanh()
        after = Cell(o.sigmoid() * c.tanh(), c)
    else:
        after = (into + back).tanh() if layer.mode == "RNN_TANH" else (into + back).relu()
    return cast(S, after)


TORCH: dict[str, Any] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}
"""What nn.LSTM and its like call, by their `mode`."""


def with_recurrent_weight(layer: Any, weight: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    """`layer(x, state)` with `weight` in place of its U."""
    if isinstance(layer, GatedLayer):
        h, c = state
        x, h, c = layer.run(x, h[0], c[0], weight)
        return x, (h[None], c[None])
    weights = [layer.weight_ih_l0, weight, layer.bias_ih_l0, layer.bias_hh_l0]
    with warnings.catch_warnings():  # cuDNN's, that these lie apart and are copied together
        warnings.filterwarnings("ignore", "RNN module weights")
        # has biases, layers, dropout between them, training, bidirectional, batch first
        x, *after = TORCH[layer.mode](x, state, weights, True, 1, 0.0, True, False, True)
    return x, after[0] if len(after) == 1 else tuple(after)


# ------------------------------------------------------------------------------------------ models


class Elman(Recurrent):
    config_class = ElmanConfig
    config: ElmanConfig

    def layer(self, size: int, width: int) -> nn.Module:
        return elman(size, width, self.config.activation)


class GRU(Recurrent):
    def layer(self, size: int, width: int) -> nn.Module:
        return gru(size, width)


class LSTM(Recurrent):
    config_class = LSTMConfig
    config: LSTMConfig

    def layer(self, size: int, width: int) -> nn.Module:
        return lstm(size, width, self.config.peephole, self.config.coupled_gates)

    def initial_cache(self, rows: int) -> tuple[Cell, ...]:
        return tuple(Cell(h, torch.zeros_like(h)) for h in super().initial_cache(rows))
