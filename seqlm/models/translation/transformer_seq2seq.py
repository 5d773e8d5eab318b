"""The Transformer as a translator (Vaswani et al. 2017): an encoder, and a decoder that asks it.

    source  e_0 = E_s[source] + P[places]            target  x_0 = E[tokens] + P[places]

    encoder, N layers                                decoder, N layers
    e = e + attention(norm(e))      both ways        x = x + attention(norm(x))       causal
    e = e + feed_forward(norm(e))                    x = x + cross(norm(x), k, v)
    k, v = W_{k,v} norm(e_N)        each layer's     x = x + feed_forward(norm(x))
                                                     features = norm(x_N)

    cross(x, k, v)_t = W_o sum_s a_ts v_s,    a_ts = softmax_s(W_q x_t k_s / sqrt(d))   over real s

B rows · S source positions · T new target positions · D width · H heads, G of keys and values,
each d wide

Layers, norms and positions are those of `layers/transformer_layers.py`, which also says where the
norms are in a post-norm model. Positions are sinusoidal by default, and then no sentence is too
long. Weights are drawn as in Glorot & Bengio (2010), embeddings from N(0, 1/D): with the
smaller weights of the language model a translator of three layers is slow to find its source
(Multi30k, 300 steps of 1024 tokens: 4.0 nats a token instead of 3.3).

The source's k and v are computed once, when it is encoded, and a state holds them as its `Source`.
The alignment is the mean over the heads of the last layer's cross-attention. Attention is computed
in one piece that never shows its weights, so a state keeps the last q, and `alignment` makes them
from it. Of six layers Garg et al. (2019) find the last but one the best; of few it is the last
(`benchmarks/courtyard.py`: of two, right for 97 % of the words).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from seqlm.errors import ModelError
from seqlm.models.base import NetworkOutput, NetworkState, TranslationNetwork
from seqlm.models.config.transformer_config import TransformerLayerConfig
from seqlm.models.config.translator_config import TransformerTranslatorConfig
from seqlm.models.layers.attention import KVCache, attend, causal_mask
from seqlm.models.layers.dropout import embed
from seqlm.models.layers.linear import Linear
from seqlm.models.layers.rotary import RotaryAngles, rotary_angles
from seqlm.models.layers.transformer_layers import (
    TransformerLayer,
    add_positions,
    make_feed_forward,
    make_norm,
)
from seqlm.models.output import make_output_layer
from seqlm.models.translation.encoder_memory import Source, inside


class EncoderLayer(TransformerLayer):
    """Attention that looks both ways, feed-forward."""

    def __init__(self, config: TransformerLayerConfig) -> None:
        super().__init__(config)
        self.feed_forward = make_feed_forward(config)

    def forward(self, e: Tensor, sees: Tensor, angles: RotaryAngles | None) -> Tensor:
        """e (B, S, D) -> the same; `sees` (B, 1, 1, S) is False on padding."""
        e, _ = self.attend(e, self.attention.empty_cache(len(e)), sees, angles)
        fed = self.feed_forward(self.sublayer_input(self.feed_forward_norm, e))
        return self.residual(self.feed_forward_norm, e, fed)


class CrossAttention(nn.Module):
    """Attention of a target to its source. `kv` holds W_k and W_v, one below the other."""

    def __init__(self, width: int, heads: int, kv_heads: int, bias: bool, dropout: float) -> None:
        super().__init__()
        self.kv_heads, self.dropout, self.head_width = kv_heads, dropout, width // heads
        self.query = Linear(width, width, bias=bias)
        self.kv = Linear(width, 2 * kv_heads * self.head_width, bias=bias)
        self.out = Linear(width, width, bias=bias)

    def remembered(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, G, S, d) of `memory` (B, S, D)."""
        heads = self.kv(memory).unflatten(2, (2, self.kv_heads, -1))  # (B, S, 2, G, d)
        keys, values = heads.transpose(1, 3).unbind(2)
        return keys, values

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, sees: Tensor
    ) -> tuple[Tensor, Tensor]:
        """x (B, T, D) -> y (B, T, D) and the queries (B, H, T, d); `sees` as in the encoder."""
        queries = self.query(x).unflatten(2, (-1, self.head_width)).transpose(1, 2)
        dropout = self.dropout if self.training else 0.0
        mix = attend(queries, keys, values, sees, dropout=dropout)  # (B, H, T, d)
        return self.out(mix.transpose(1, 2).flatten(2)), queries


class DecoderLayer(TransformerLayer):
    """Attention to the target so far, attention to the source, feed-forward."""

    def __init__(self, config: TransformerLayerConfig) -> None:
        super().__init__(config)
        self.cross_norm = make_norm(config)
        self.cross = CrossAttention(
            config.width, config.heads, config.num_kv_heads, config.bias, config.dropout_attention
        )
        self.feed_forward = make_feed_forward(config)

    def forward(
        self,
        x: Tensor,
        past: KVCache,
        mask: Tensor | None,
        angles: RotaryAngles | None,
        keys: Tensor,
        values: Tensor,
        sees: Tensor,
    ) -> tuple[Tensor, KVCache, Tensor]:
        """x (B, T, D) -> the same, what has been read, and what the source was asked."""
        x, past = self.attend(x, past, mask, angles)
        crossed, queries = self.cross(self.sublayer_input(self.cross_norm, x), keys, values, sees)
        x = self.residual(self.cross_norm, x, crossed)
        fed = self.feed_forward(self.sublayer_input(self.feed_forward_norm, x))
        return self.residual(self.feed_forward_norm, x, fed), past, queries


class Reading(NamedTuple):
    """The decoder's state."""

    source: Source  # keys and values (B, G, S, d) of each layer
    pasts: tuple[KVCache, ...]  # of the target
    asked: Tensor  # (B, H, d), the last queries of the last layer


class TransformerTranslator(TranslationNetwork):
    """With learned positions it reads sentences of at most `horizon` tokens."""

    config_class = TransformerTranslatorConfig
    config: TransformerTranslatorConfig

    def __init__(self, config: TransformerTranslatorConfig) -> None:
        super().__init__(config)
        width = config.width
        self.context_length = config.horizon if config.positions == "learned" else None
        self.output_layer = make_output_layer(config, width)
        if not config.tied:
            self.embedding = nn.Parameter(torch.empty(config.vocab_size, width))
        if not config.shares_source_embedding:
            self.source_embedding = nn.Parameter(torch.empty(config.source_types, width))
        self.positions: nn.Parameter | None = None
        self.source_positions: nn.Parameter | None = None
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(config.horizon, width))
            self.source_positions = nn.Parameter(torch.empty(config.horizon, width))
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.encoder_norm = make_norm(config) if config.norm_first else nn.Identity()
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.norm = make_norm(config) if config.norm_first else nn.Identity()
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        spread = self.config.width**-0.5
        for matrix in dict.fromkeys(
            (self.output_layer.weight, self.input_embedding(), self.source_embedding_matrix())
        ):
            matrix.normal_(0, spread)
        for places in (self.positions, self.source_positions):
            if places is not None:
                places.normal_(0, spread)
        for stack in (self.encoder, self.decoder):
            for name, parameter in stack.named_parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
                elif name.endswith("bias"):
                    parameter.zero_()

    # ---------------------------------------------------------------------------------- encoder

    def encode(self, source: Tensor, lengths: Tensor) -> Reading:
        """Errors: ModelError where the batch's longest sentence is beyond the horizon."""
        real = inside(lengths, source.shape[1])  # (B, S)
        e = self.embed_tokens(
            source, 0, self.source_embedding_matrix(), self.source_positions
        )  # (B, S, D)
        angles, sees = self.angles(source, 0), real[:, None, None]  # (B, 1, 1, S)
        for layer in self.encoder:
            e = layer(e, sees, angles)
        memory = self.encoder_norm(e)

        decoder = list(cast(Iterable[DecoderLayer], self.decoder))
        kept = [x for layer in decoder for x in layer.cross.remembered(memory)]
        rows, heads = len(source), self.config.heads
        pasts = tuple(layer.attention.empty_cache(rows) for layer in decoder)
        asked = memory.new_zeros(rows, heads, self.config.width // heads)
        return Reading(Source.of(real, *kept), pasts, asked)

    # ---------------------------------------------------------------------------------- decoder

    def forward(self, tokens: Tensor, cache: Reading) -> NetworkOutput:
        """Errors: ModelError where more than `horizon` tokens would have been read."""
        new, before = tokens.shape[1], cache.pasts[0].keys.shape[2]
        real, *kept = cache.source.read()
        sees, angles = real[:, None, None], self.angles(tokens, before)
        mask = causal_mask(new, before, tokens.device) if before and new > 1 else None
        x = self.embed_tokens(tokens, before, self.input_embedding(), self.positions)  # (B, T, D)
        after, asked = [], cache.asked
        for layer, past, keys, values in zip(self.decoder, cache.pasts, kept[::2], kept[1::2]):
            x, past, queries = layer(x, past, mask, angles, keys, values, sees)
            after.append(past)
            asked = queries[:, :, -1]  # (B, H, T, d) -> (B, H, d)
        features = dropout(self.norm(x), self.config.dropout_output, self.training)
        return NetworkOutput(features, Reading(cache.source, tuple(after), asked))

    def alignment(self, state: NetworkState) -> Tensor:
        cache: Reading = state.cache
        real, *kept = cache.source.read()
        keys = kept[-2]  # (B, G, S, d), the last layer's
        queries = cache.asked.unflatten(1, (keys.shape[1], -1))  # (B, G, H / G, d)
        scores = queries @ keys.transpose(2, 3) / math.sqrt(keys.shape[3])  # (B, G, H / G, S)
        weights = scores.masked_fill(~real[:, None, None], -math.inf).softmax(-1)
        mean: Tensor = weights.mean((1, 2))
        return mean

    # -------------------------------------------------------------------------------- what both do

    def embed_tokens(
        self, tokens: Tensor, before: int, table: Tensor, learned: Tensor | None
    ) -> Tensor:
        """e_0 or x_0 (B, T, D) of `tokens` (B, T) at the places from `before` on."""
        config, length = self.config, before + tokens.shape[1]
        if self.context_length is not None and length > self.context_length:
            raise ModelError(
                f"a sentence of {length} tokens is beyond the model's context length of"
                f" {self.context_length}"
            )
        x = embed(tokens, table, config.dropout_embedding, self.training)
        x = add_positions(x, before, config.positions, learned)
        return dropout(x, config.dropout_input, self.training)

    def angles(self, tokens: Tensor, before: int) -> RotaryAngles | None:
        """By what queries and keys are rotated, where positions are rotary."""
        if self.config.positions != "rotary":
            return None
        head_width = self.config.width // self.config.heads
        return rotary_angles(tokens.shape[1], before, head_width, tokens.device)
