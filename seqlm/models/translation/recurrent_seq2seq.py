"""Recurrent encoder-decoders, with and without attention.

    x_j, y_i   embeddings of source token j and target token i
    h_j        what the encoder says of position j        s_i   the decoder's state
    c_i        context: what it saw of the source         h~_i  feature, from which y_i is predicted
    a_ij       attention of step i on position j          cell  of `recurrent_layers.py`

The encoder reads the source from both ends (Schuster & Paliwal 1997), and where its two halves end
the decoder begins:

    h>_j = cell(x_j, h>_{j-1})      h<_j = cell(x_j, h<_{j+1})      h_j = [h>_j; h<_j]
    s_0  = tanh(B [h>_S; h<_1] + b)                                 an LSTM's c_0 without the tanh

of each layer: as many in the decoder as in the encoder, each half D / 2 wide. With
`bidirectional` off, h_j = h>_j. The decoders:

    none          s_i  = cell(y_{i-1}, s_{i-1})
                  h~_i = tanh(W_h s_i)
    dot, general, scaled-dot
                  s_i  = cell(y_{i-1}, s_{i-1})
                  c_i  = sum_j a_ij h_j,  a_i = attention(s_i)
                  h~_i = tanh(W_h [s_i; c_i])
    the same with input feeding
                  s_i  = cell([y_{i-1}; h~_{i-1}], s_{i-1})                     h~_0 = 0
    additive      c_i  = sum_j a_ij h_j,  a_i = attention(s_{i-1})
                  s_i  = cell([y_{i-1}; c_i], s_{i-1})
                  h~_i = tanh(W_h [s_i; c_i; y_{i-1}])

`none` is the fixed vector of Sutskever, Vinyals & Le (2014) and Cho et al. (2014): all that is
known of the source is s_0. The next three and input feeding are Luong, Pham & Manning's (2015),
additive is Bahdanau, Cho & Bengio's (2015); their scores are in `attention.py`. Of several layers
the last one's s_i is meant, but additive attention asks with the first one's, into which the
context goes (Wu et al. 2016, section 3), so that it alone has to step.

Whatever needs no h~ or c of the step before it reads the whole target in one call.

B rows · S source positions · T target tokens · D width · E of the embeddings · G gates
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seqlm.models.base import NetworkOutput, NetworkState, TranslationNetwork
from seqlm.models.config.translator_config import RecurrentTranslatorConfig
from seqlm.models.layers.attention import SourceAttention
from seqlm.models.layers.dropout import embed, locked_dropout
from seqlm.models.layers.linear import Linear, linear
from seqlm.models.layers.recurrent_layers import (
    EMBEDDING_SCALE,
    LSTMState,
    elman_layer,
    gru_layer,
    hidden_state,
    lstm_layer,
    recurrent_step,
    run_layer,
)
from seqlm.models.output import make_output_layer
from seqlm.models.output.output_layer import init_embedding
from seqlm.models.translation.encoder_memory import Source, inside


class Encoder(nn.Module):
    """Layers that read from the left, and as many that read from the right."""

    def __init__(self, translator: RecurrentTranslator) -> None:
        super().__init__()
        config = translator.config
        self.dropout = config.dropout_hidden
        half = config.width // 2 if config.bidirectional else config.width
        sizes = [config.embedding_width, *[config.width] * (config.layers - 1)]
        self.rightward = nn.ModuleList(translator.make_layer(size, half) for size in sizes)
        self.bidirectional = config.bidirectional
        if config.bidirectional:
            self.leftward = nn.ModuleList(translator.make_layer(size, half) for size in sizes)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, list[Tensor]]:
        """x (B, S, E), of it `lengths` (B,) real -> h (B, S, D), and of each layer [h>_S; h<_1].

        Padding stands on the right, where what is read rightward never sees it. The other half
        reads each sentence turned round and its padding behind it.
        """
        last = lengths[:, None] - 1
        place = torch.arange(x.shape[1], device=x.device)
        mirror = torch.where(place <= last, last - place, place)[..., None]  # (B, S, 1)
        ends = []
        for depth, rightward in enumerate(self.rightward):
            if depth > 0:
                x = locked_dropout(x, self.dropout, self.training)
            h = forth = rightward(x)[0]  # (B, S, D / 2)
            end = forth.take_along_dim(last[..., None], 1)  # (B, 1, D / 2)
            if self.bidirectional:
                back = self.leftward[depth](x.take_along_dim(mirror, 1))[0]
                back = back.take_along_dim(mirror, 1)
                h, end = torch.cat([forth, back], 2), torch.cat([end, back[:, :1]], 2)
            x = h  # (B, S, D)
            ends.append(end[:, 0])
        return locked_dropout(x, self.dropout, self.training), ends


class Reading(NamedTuple):
    """The decoder's state."""

    layers: tuple[Any, ...]  # s of each, (B, D)
    source: Source | None  # keys and h, (B, S, D) each; none without attention
    weights: Tensor | None  # (B, S) a_i, behind the next token
    said: Tensor | None  # h~_i, with input feeding


class RecurrentTranslator(TranslationNetwork):
    """What the three have in common; a subclass names its layer and how its state begins."""

    config_class = RecurrentTranslatorConfig
    config: RecurrentTranslatorConfig
    starts: int = 1
    """Tensors in the state of a layer."""

    def __init__(self, config: RecurrentTranslatorConfig) -> None:
        super().__init__(config)
        width, layers = config.width, config.layers
        self.output_layer = make_output_layer(config, config.feature_width)
        if not config.tied:
            self.embedding = init_embedding(config.vocab_size, config.embedding_width)
        if not config.shares_source_embedding:
            self.source_embedding = init_embedding(config.source_types, config.embedding_width)
        self.encoder = Encoder(self)
        self.bridge = nn.ModuleList(Linear(width, self.starts * width) for _ in range(layers))
        first = told = 0  # what else the first layer reads, and what else h~ is made of
        if config.attention != "none":
            self.attention = SourceAttention(config.attention, width, config.dropout_attention)
            told = width
        if config.attention == "additive":
            first, told = width, width + config.embedding_width
        elif config.input_feeding:
            first = config.feature_width
        sizes = [config.embedding_width + first, *[width] * layers]
        self.decoder = nn.ModuleList(self.make_layer(size, into) for size, into in pairwise(sizes))
        self.feature = Linear(width + told, config.feature_width)

    @staticmethod
    @abstractmethod
    def make_layer(input_width: int, width: int) -> nn.Module:
        """A layer (B, T, input_width) -> (B, T, width)."""

    def begin(self, bridged: Tensor) -> Any:
        """s_0 from B [h>_S; h<_1] + b."""
        return bridged.tanh()

    def embed(self, tokens: Tensor, table: Tensor) -> Tensor:
        """(B, T) -> (B, T, E)."""
        x = embed(tokens, table, self.config.dropout_embedding, self.training)
        return locked_dropout(EMBEDDING_SCALE * x, self.config.dropout_input, self.training)

    def encode(self, source: Tensor, lengths: Tensor) -> Reading:
        h, ends = self.encoder(self.embed(source, self.source_embedding_matrix()), lengths)
        layers = tuple(self.begin(bridge(end)) for bridge, end in zip(self.bridge, ends))
        if self.config.attention == "none":
            return Reading(layers, None, None, None)
        real = inside(lengths, source.shape[1])  # (B, S)
        seen = Source.of(real, self.attention.keys(h), h)
        said = h.new_zeros(len(h), self.config.feature_width) if self.config.input_feeding else None
        return Reading(layers, seen, h.new_zeros(real.shape), said)

    def forward(self, tokens: Tensor, cache: Reading) -> NetworkOutput:
        y = self.embed(tokens, self.input_embedding())  # (B, T, E)
        read = self.at_once
        if self.config.steps:
            read = self.additive if self.config.attention == "additive" else self.feeding
        features, cache = read(y, cache)
        return NetworkOutput(
            locked_dropout(features, self.config.dropout_output, self.training), cache
        )

    def alignment(self, state: NetworkState) -> Tensor | None:
        cache: Reading = state.cache
        return cache.weights

    # ---------------------------------------------------------------------------------- decoders

    def at_once(self, y: Tensor, cache: Reading) -> tuple[Tensor, Reading]:
        """y (B, T, E) -> h~ (B, T, ..): nothing goes back into the recurrence."""
        s, layers = self.stack(y, cache.layers, self.masks(y))
        if cache.source is None:
            return self.feature(s).tanh(), cache._replace(layers=layers)
        real, keys, h = cache.source.read()
        c, weights = self.attention(s, keys, h, real)  # (B, T, D), (B, T, S)
        said = self.feature(torch.cat([s, c], 2)).tanh()
        return said, cache._replace(layers=layers, weights=weights[:, -1])

    def additive(self, y: Tensor, cache: Reading) -> tuple[Tensor, Reading]:
        """c_i goes into the first layer; the others and h~ wait until that is through."""
        assert cache.source is not None
        real, keys, h = cache.source.read()
        first, layer = cache.layers[0], self.decoder[0]
        into, w_c = self.divided(layer, y)
        contexts, below = [], []
        for gates in into.unbind(1):
            c, weights = self.attention(hidden_state(first)[:, None], keys, h, real)  # (B, 1, D)
            first = recurrent_step(layer, gates + linear(c[:, 0], w_c), first)
            contexts.append(c)
            below.append(hidden_state(first))
        s, others = self.stack(torch.stack(below, 1), cache.layers[1:], self.masks(y), 1)
        said = self.feature(torch.cat([s, torch.cat(contexts, 1), y], 2)).tanh()
        return said, cache._replace(layers=(first, *others), weights=weights[:, -1])

    def feeding(self, y: Tensor, cache: Reading) -> tuple[Tensor, Reading]:
        """h~_{i-1} goes into the first layer, and so no layer can go ahead of another."""
        assert cache.source is not None
        assert cache.said is not None
        real, keys, h = cache.source.read()
        first, others, layer = cache.layers[0], cache.layers[1:], self.decoder[0]
        into, w_said = self.divided(layer, y)
        said, all_said, masks = cache.said, [], self.masks(y)
        for gates in into.unbind(1):
            first = recurrent_step(layer, gates + linear(said, w_said), first)
            s, others = self.stack(hidden_state(first)[:, None], others, masks, 1)  # (B, 1, D)
            c, weights = self.attention(s, keys, h, real)
            said = self.feature(torch.cat([s, c], 2)[:, 0]).tanh()
            all_said.append(said)
        after = Reading((first, *others), cache.source, weights[:, -1], said)
        return torch.stack(all_said, 1), after

    def divided(self, layer: Any, y: Tensor) -> tuple[Tensor, Tensor]:
        """What y (B, T, E) adds to the gates of the first layer, (B, T, G D), and the part of its
        W for what it reads beside y."""
        sizes = [y.shape[2], layer.input_size - y.shape[2]]
        w_y, w_beside = (part.contiguous() for part in layer.weight_ih_l0.split(sizes, 1))
        return linear(y, w_y, layer.bias_ih_l0), w_beside

    def stack(
        self, x: Tensor, states: Sequence[Any], masks: Sequence[Tensor | float], first: int = 0
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """The layers from `first` on, over (B, T, ..) from `states` -> (B, T, D), their states."""
        after = []
        for depth, state in enumerate(states, first):
            x = x * masks[depth - 1] if depth > 0 else x
            x, state = run_layer(self.decoder[depth], x, state)
            after.append(state)
        return x, tuple(after)

    def masks(self, y: Tensor) -> list[Tensor | float]:
        """For what each layer but the first reads, (B, 1, D): the dropout of all steps."""
        p, above = self.config.dropout_hidden, self.config.layers - 1
        if not self.training or p == 0:
            return [1.0] * above
        ones = y.new_ones(len(y), 1, self.config.width)
        return [locked_dropout(ones, p, True) for _ in range(above)]


class ElmanTranslator(RecurrentTranslator):
    make_layer = staticmethod(elman_layer)


class GRUTranslator(RecurrentTranslator):
    make_layer = staticmethod(gru_layer)


class LSTMTranslator(RecurrentTranslator):
    make_layer = staticmethod(lstm_layer)
    starts = 2

    def begin(self, bridged: Tensor) -> LSTMState:
        h, c = bridged.chunk(2, 1)
        return LSTMState(h.tanh(), c)
