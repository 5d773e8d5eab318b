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

GRU (Cho et al. 2014, in the form of cuDNN):

    r_t, z_t = sigma(W_{r,z} x_t + U_{r,z} h_{t-1} + b_{r,z})
    n_t = tanh(W_n x_t + b_n + r_t * (U_n h_{t-1} + b_u))
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}

A stack feeds each layer's h to the next; the last one's h is the feature the softmax takes. With
tied weights (Press & Wolf 2017) the softmax's matrix is the embedding's, and the last layer has the
embedding's width. Dropout is locked over time between all of them (Gal & Ghahramani 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from seqlm.models.base import Network, Output
from seqlm.models.dropout import embed, locked
from seqlm.models.softmax import Softmax

READ = 4.0
"""What an embedding is multiplied by when it is read. It is drawn from U(+-0.1), as a softmax likes
its matrix; a layer wants a larger input, without which an LSTM is slow to leave the unigrams (on
`corpora/brackets` it stays near chance for the epochs in which this one gets every line right)."""


@dataclass(frozen=True)
class RecurrentConfig:
    vocab_size: int
    width: int = 256
    """Hidden units of a layer."""
    layers: int = 2
    embedding: int | None = None
    """Width of the embedding; by default that of the layers."""
    tied: bool = True
    """The softmax shares the embedding's weight."""
    dropout_embedding: float = 0.0
    """Share of word types dropped from a segment."""
    dropout_input: float = 0.0
    dropout_hidden: float = 0.0
    """Between the layers."""
    dropout_output: float = 0.0

    def sizes(self) -> list[int]:
        """The embedding's width, then each layer's."""
        embedding = self.embedding or self.width
        last = embedding if self.tied else self.width
        return [embedding, *[self.width] * (self.layers - 1), last]


class Recurrent(Network):
    """What the three have in common; a subclass names its cell and its state."""

    config_class = RecurrentConfig
    cell: ClassVar[type[nn.RNN | nn.LSTM | nn.GRU]]

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        sizes = config.sizes()
        self.head = Softmax(config.vocab_size, sizes[-1])
        if not config.tied:
            drawn = torch.empty(config.vocab_size, sizes[0]).uniform_(-0.1, 0.1)
            self.embedding = nn.Parameter(drawn)
        self.layers = nn.ModuleList(
            self.cell(size, into, batch_first=True) for size, into in pairwise(sizes)
        )
        for layer in self.layers:
            self.initialise(layer)

    def initialise(self, layer: Any) -> None:
        """Torch draws from U(+-1/sqrt(width)); subclasses change what their paper changes."""

    def forward(self, tokens: Tensor, inner: tuple[Any, ...]) -> Output:
        config = self.config
        embedding = self.head.weight if config.tied else self.embedding
        x = embed(tokens, embedding, config.dropout_embedding, self.training)  # (B, T, D)
        x = locked(READ * x, config.dropout_input, self.training)
        after = []
        for depth, (layer, state) in enumerate(zip(self.layers, inner)):
            if depth > 0:
                x = locked(x, config.dropout_hidden, self.training)
            x, state = self.run(layer, x, state)
            after.append(state)
        return Output(locked(x, config.dropout_output, self.training), tuple(after))

    def run(self, layer: nn.Module, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One layer over (B, T, D), from and to a state of (B, D) tensors."""
        x, h = layer(x, state[None])  # torch wants (1, B, D)
        return x, h[0]

    def initial(self, rows: int) -> tuple[Any, ...]:
        return tuple(self.head.weight.new_zeros(rows, size) for size in self.config.sizes()[1:])


class Elman(Recurrent):
    cell = nn.RNN

    def initialise(self, layer: Any) -> None:
        """An orthogonal U keeps the gradient's norm over the first steps (Saxe et al. 2014)."""
        nn.init.orthogonal_(layer.weight_hh_l0)


class GRU(Recurrent):
    cell = nn.GRU


class Cell(NamedTuple):
    h: Tensor  # (B, D)
    c: Tensor  # (B, D)


class LSTM(Recurrent):
    cell = nn.LSTM

    def initialise(self, layer: Any) -> None:
        """b_f = 1. Torch orders the gates i, f, g, o and adds two biases: one of them is 0."""
        width = layer.hidden_size
        with torch.no_grad():
            layer.bias_ih_l0[width : 2 * width] = 1.0
            layer.bias_hh_l0[width : 2 * width] = 0.0

    def run(self, layer: nn.Module, x: Tensor, state: Cell) -> tuple[Tensor, Cell]:
        x, (h, c) = layer(x, (state.h[None], state.c[None]))
        return x, Cell(h[0], c[0])

    def initial(self, rows: int) -> tuple[Cell, ...]:
        return tuple(Cell(h, torch.zeros_like(h)) for h in super().initial(rows))
