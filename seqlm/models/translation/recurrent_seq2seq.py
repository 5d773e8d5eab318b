"""Recurrent encoder-decoders, with and without attention.

    x_j, y_i   embeddings of source token j and target token i
    h_j        the encoder's output at position j         s_i   the decoder's state after step i
    c_i        context, what step i reads of the source   h~_i  features, which predict y_i
    a_ij       attention of step i on position j          cell  Elman, LSTM or GRU

The encoder reads the source in both directions (Schuster & Paliwal 1997), and the decoder begins
with the states in which they end:

    h>_j = cell(x_j, h>_{j-1})      h<_j = cell(x_j, h<_{j+1})      h_j = [h>_j; h<_j]
    s_0  = tanh(B [h>_S; h<_1] + b)                                 an LSTM's c_0 without the tanh

Encoder and decoder have the same number of layers, each with a B of its own, and each direction is
D / 2 wide. With `bidirectional` off, h_j = h>_j. The decoders:

    none          s_i  = cell(y_{i-1}, s_{i-1})
                  h~_i = tanh(W_h s_i)
    dot, general, scaled-dot
                  s_i  = cell(y_{i-1}, s_{i-1})
                  c_i  = sum_j a_ij h_j,  a_i = attention(s_i)
                  h~_i = tanh(W_h [s_i; c_i])
    dot, general, scaled-dot with input feeding
                  s_i  = cell([y_{i-1}; h~_{i-1}], s_{i-1})                     h~_0 = 0
                  c_i and h~_i as without it
    additive      c_i  = sum_j a_ij h_j,  a_i = attention(s_{i-1})
                  s_i  = cell([y_{i-1}; c_i], s_{i-1})
                  h~_i = tanh(W_h [s_i; c_i; y_{i-1}])

`none` is the fixed vector of Sutskever, Vinyals & Le (2014) and Cho et al. (2014): s_0 is all that
the decoder receives of the source. The next three and input feeding are from Luong, Pham & Manning
(2015), additive attention is from Bahdanau, Cho & Bengio (2015). The cells are in
`recurrent_layers.py`, the scores of attention in `attention.py`. In a decoder of several layers s_i
is the state of the last one. Additive attention alone takes its query from the first layer, which
also reads the context (Wu et al. 2016, section 3), so that only this layer has to run step by step.

A decoder whose steps need no h~ or c of the step before reads the whole target in one call.

B rows · S source positions · T target tokens · D width · E width of the embeddings · G gates
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
from seqlm.models.layers.padding import padding_mask
from seqlm.models.layers.recurrence.bidirectional import BidirectionalLayers
from seqlm.models.layers.recurrence.recurrent_layers import (
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
from seqlm.models.translation.encoder_memory import EncoderMemory


class DecoderState(NamedTuple):
    layer_states: tuple[Any, ...]  # s of each layer, (B, D)
    memory: EncoderMemory | None  # attention keys and h, (B, S, D) each; None without attention
    attention_weights: Tensor | None  # (B, S), a_i of the last step, which predicts the next token
    last_features: Tensor | None  # h~_i, with input feeding


class RecurrentTranslator(TranslationNetwork):
    """The encoder-decoder; a subclass chooses the layer and how its state begins."""

    config_class = RecurrentTranslatorConfig
    config: RecurrentTranslatorConfig
    tensors_per_state: int = 1
    """The number of tensors in the state of a layer."""

    def __init__(self, config: RecurrentTranslatorConfig) -> None:
        super().__init__(config)
        width, layers = config.width, config.layers
        self.output_layer = make_output_layer(config, config.feature_width)
        if not config.tied:
            self.embedding = init_embedding(config.vocab_size, config.embedding_width)
        if not config.shares_source_embedding:
            self.source_embedding = init_embedding(config.source_types, config.embedding_width)
        self.encoder = BidirectionalLayers(
            self.make_layer, config.embedding_width, width, layers, config.bidirectional,
            config.dropout_hidden,
        )  # fmt: skip
        self.bridge = nn.ModuleList(  # B and b of each layer
            Linear(width, self.tensors_per_state * width) for _ in range(layers)
        )
        # The first layer reads more than y, and h~ is made of more than s.
        extra_input_width = extra_feature_width = 0
        if config.attention != "none":
            self.attention = SourceAttention(config.attention, width, config.dropout_attention)
            extra_feature_width = width
        if config.attention == "additive":
            extra_input_width = width
            extra_feature_width = width + config.embedding_width
        elif config.input_feeding:
            extra_input_width = config.feature_width
        widths = [config.embedding_width + extra_input_width, *[width] * layers]
        self.decoder = nn.ModuleList(self.make_layer(*pair) for pair in pairwise(widths))
        self.feature_layer = Linear(width + extra_feature_width, config.feature_width)  # W_h

    @staticmethod
    @abstractmethod
    def make_layer(input_width: int, width: int) -> nn.Module:
        """A layer that reads (B, T, input_width) and returns (B, T, width)."""

    def initial_state(self, bridged: Tensor) -> Any:
        """s_0 of a layer from `bridged`, its B [h>_S; h<_1] + b."""
        return bridged.tanh()

    def embed_tokens(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        """tokens (B, T), embedding (V, E) -> (B, T, E)."""
        x = embed(tokens, embedding, self.config.dropout_embedding, self.training)
        return locked_dropout(EMBEDDING_SCALE * x, self.config.dropout_input, self.training)

    def encode(self, source: Tensor, lengths: Tensor) -> DecoderState:
        x = self.embed_tokens(source, self.source_embedding_matrix())  # (B, S, E)
        h, final_states = self.encoder(x, lengths)
        layer_states = tuple(
            self.initial_state(bridge(final)) for bridge, final in zip(self.bridge, final_states)
        )
        if self.config.attention == "none":
            return DecoderState(layer_states, None, None, None)
        mask = padding_mask(lengths, source.shape[1])  # (B, S)
        memory = EncoderMemory.create(mask, self.attention.keys(h), h)
        last_features = None
        if self.config.input_feeding:
            last_features = h.new_zeros(len(h), self.config.feature_width)
        return DecoderState(layer_states, memory, h.new_zeros(mask.shape), last_features)

    def forward(self, tokens: Tensor, cache: DecoderState) -> NetworkOutput:
        y = self.embed_tokens(tokens, self.input_embedding())  # (B, T, E)
        if self.config.attention == "additive" and y.shape[1] == 1:
            features, cache = self.step_additive(y[:, 0], cache)
        elif self.config.attention == "additive":
            features, cache = self.decode_additive(y, cache)
        elif self.config.input_feeding:
            features, cache = self.decode_input_feeding(y, cache)
        else:
            features, cache = self.decode_parallel(y, cache)
        features = locked_dropout(features, self.config.dropout_output, self.training)
        return NetworkOutput(features, cache)

    def alignment(self, state: NetworkState) -> Tensor | None:
        cache: DecoderState = state.cache
        return cache.attention_weights

    # ---------------------------------------------------------------------------------- decoders

    def decode_parallel(self, y: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """y (B, T, E) -> h~ (B, T, ..), layer by layer: no step needs h~ or c of another."""
        s, layer_states = self.run_layers(y, state.layer_states, self.hidden_masks(y))
        if state.memory is None:
            return self.feature_layer(s).tanh(), state._replace(layer_states=layer_states)
        mask, keys, h = state.memory.read()
        c, weights = self.attention(s, keys, h, mask)  # (B, T, D), (B, T, S)
        features = self.feature_layer(torch.cat([s, c], 2)).tanh()
        return features, state._replace(layer_states=layer_states, attention_weights=weights[:, -1])

    def decode_additive(self, y: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """y (B, T, E) -> h~ (B, T, ..). The first layer reads c_i and runs step by step; the other
        layers and h~ follow for all steps at once."""
        assert state.memory is not None
        mask, keys, h = state.memory.read()
        first_layer, first_state = self.decoder[0], state.layer_states[0]
        y_gates, W_c = self.split_input_weights(first_layer, y)
        contexts, first_outputs = [], []
        for gates in y_gates.unbind(1):  # (B, G D)
            query = hidden_state(first_state)[:, None]
            c, weights = self.attention(query, keys, h, mask)  # (B, 1, D), (B, 1, S)
            first_state = recurrent_step(first_layer, gates + linear(c[:, 0], W_c), first_state)
            contexts.append(c)
            first_outputs.append(hidden_state(first_state))
        x, masks = torch.stack(first_outputs, 1), self.hidden_masks(y)  # (B, T, D)
        s, upper_states = self.run_layers(x, state.layer_states[1:], masks, first_depth=1)
        features = self.feature_layer(torch.cat([s, torch.cat(contexts, 1), y], 2)).tanh()
        return features, state._replace(
            layer_states=(first_state, *upper_states), attention_weights=weights[:, -1]
        )

    def step_additive(self, y: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """What `decode_additive` computes of one step, y (B, E) -> h~ (B, 1, ..). The first layer's
        W is then not split."""
        assert state.memory is not None
        mask, keys, h = state.memory.read()
        first_layer: Any = self.decoder[0]
        first_state = state.layer_states[0]
        c, weights = self.attention(hidden_state(first_state)[:, None], keys, h, mask)
        c = c[:, 0]  # (B, D)
        gates = linear(torch.cat([y, c], 1), first_layer.weight_ih_l0, first_layer.bias_ih_l0)
        first_state = recurrent_step(first_layer, gates, first_state)
        x, masks = hidden_state(first_state)[:, None], self.hidden_masks(y)  # (B, 1, D)
        s, upper_states = self.run_layers(x, state.layer_states[1:], masks, first_depth=1)
        features = self.feature_layer(torch.cat([s[:, 0], c, y], 1)).tanh()
        return features[:, None], state._replace(
            layer_states=(first_state, *upper_states), attention_weights=weights[:, -1]
        )

    def decode_input_feeding(self, y: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """y (B, T, E) -> h~ (B, T, ..). The first layer reads h~_{i-1}, so that all layers run step
        by step."""
        assert state.memory is not None
        assert state.last_features is not None
        mask, keys, h = state.memory.read()
        first_layer, first_state = self.decoder[0], state.layer_states[0]
        upper_states = state.layer_states[1:]
        y_gates, W_features = self.split_input_weights(first_layer, y)
        features, all_features, masks = state.last_features, [], self.hidden_masks(y)
        for gates in y_gates.unbind(1):  # (B, G D)
            gates = gates + linear(features, W_features)
            first_state = recurrent_step(first_layer, gates, first_state)
            x = hidden_state(first_state)[:, None]  # (B, 1, D)
            s, upper_states = self.run_layers(x, upper_states, masks, first_depth=1)
            c, weights = self.attention(s, keys, h, mask)  # (B, 1, D), (B, 1, S)
            features = self.feature_layer(torch.cat([s, c], 2)[:, 0]).tanh()
            all_features.append(features)
        new_state = DecoderState(
            (first_state, *upper_states), state.memory, weights[:, -1], features
        )
        return torch.stack(all_features, 1), new_state

    def split_input_weights(self, layer: Any, y: Tensor) -> tuple[Tensor, Tensor]:
        """What y (B, T, E) adds to the gates of the first layer, (B, T, G D), and the columns of
        its W for its other input, (G D, ..)."""
        sizes = [y.shape[2], layer.input_size - y.shape[2]]
        W_y, W_other = (part.contiguous() for part in layer.weight_ih_l0.split(sizes, 1))
        return linear(y, W_y, layer.bias_ih_l0), W_other

    def run_layers(
        self,
        x: Tensor,
        states: Sequence[Any],
        masks: Sequence[Tensor | float],
        first_depth: int = 0,
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """The layers from `first_depth` on: x (B, T, ..) and their states before it -> (B, T, D)
        and their states after it."""
        new_states = []
        for depth, state in enumerate(states, first_depth):
            x = x * masks[depth - 1] if depth > 0 else x
            x, state = run_layer(self.decoder[depth], x, state)
            new_states.append(state)
        return x, tuple(new_states)

    def hidden_masks(self, y: Tensor) -> list[Tensor | float]:
        """The dropout masks (B, 1, D) of the inputs of all layers but the first, locked over time:
        the decoders that run step by step need the same at every step."""
        p, upper_layers = self.config.dropout_hidden, self.config.layers - 1
        if not self.training or p == 0:
            return [1.0] * upper_layers
        ones = y.new_ones(len(y), 1, self.config.width)
        return [locked_dropout(ones, p, True) for _ in range(upper_layers)]


class ElmanTranslator(RecurrentTranslator):
    make_layer = staticmethod(elman_layer)


class GRUTranslator(RecurrentTranslator):
    make_layer = staticmethod(gru_layer)


class LSTMTranslator(RecurrentTranslator):
    make_layer = staticmethod(lstm_layer)
    tensors_per_state = 2

    def initial_state(self, bridged: Tensor) -> LSTMState:
        h, c = bridged.chunk(2, 1)
        return LSTMState(h.tanh(), c)
