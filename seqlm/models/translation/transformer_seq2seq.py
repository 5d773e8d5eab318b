"""The Transformer as a translator (Vaswani et al. 2017): an encoder, and a decoder attending to it.

    source  e_0 = E_s[source] + P[positions]         target  x_0 = E[tokens] + P[positions]

    encoder, N layers                                decoder, N layers
    e = e + attention(norm(e))      not causal       x = x + attention(norm(x))       causal
    e = e + feed_forward(norm(e))                    x = x + cross(norm(x), k, v)
    k, v = W_{k,v} norm(e_N)        in each layer    x = x + feed_forward(norm(x))
           of the decoder                            features = norm(x_N)

    cross(x, k, v)_t = W_o sum_s a_ts v_s,    a_ts = softmax_s(W_q x_t k_s / sqrt(d))

where s goes over the source without its padding.

B rows · S source positions · T new target positions · D width · H heads, G of keys and values,
each d wide

Layers, norms and positions are those of `layers/transformer_layers.py`, which also says where the
norms are in a post-norm model. Positions are sinusoidal by default, and then the length of a
sentence has no limit. Weights are drawn as in Glorot & Bengio (2010), embeddings from N(0, 1/D):
with the smaller weights of the language model a translator of three layers is slow to find its
source (Multi30k, 300 steps of 1024 tokens: 4.0 nats a token instead of 3.3).

The keys and values of the source are computed once, when it is encoded, and a state holds them in
its `EncoderMemory`. The alignment is the mean over the heads of the last layer's cross-attention.
The attention kernel does not return its weights, so a state keeps the last queries, and `alignment`
computes them from it. Garg et al. (2019) find the last layer but one the best of six; of a few
layers it is the last (`benchmarks/courtyard.py`: of two, right for 97 % of the words).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seqlm.errors import ModelError
from seqlm.models.base import NetworkOutput, NetworkState, TranslationNetwork
from seqlm.models.config.transformer_config import TransformerLayerConfig
from seqlm.models.config.translator_config import TransformerTranslatorConfig
from seqlm.models.layers.attention import KVCache, attend, causal_mask
from seqlm.models.layers.dropout import dropout, embed
from seqlm.models.layers.linear import Linear
from seqlm.models.layers.padding import padding_mask
from seqlm.models.layers.rotary import RotaryAngles, rotary_angles
from seqlm.models.layers.transformer_layers import (
    EncoderLayer,
    TransformerLayer,
    add_positions,
    make_feed_forward,
    make_norm,
)
from seqlm.models.output import make_output_layer
from seqlm.models.translation.encoder_memory import EncoderMemory


class CrossAttention(nn.Module):
    """Attention of a target to its source. `kv` holds W_k and W_v, one below the other."""

    def __init__(self, width: int, heads: int, kv_heads: int, bias: bool, dropout: float) -> None:
        super().__init__()
        self.kv_heads, self.dropout, self.head_width = kv_heads, dropout, width // heads
        self.query = Linear(width, width, bias=bias)
        self.kv = Linear(width, 2 * kv_heads * self.head_width, bias=bias)
        self.out = Linear(width, width, bias=bias)

    def keys_and_values(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """The source's features (B, S, D) -> keys and values (B, G, S, d)."""
        heads = self.kv(encoded).unflatten(2, (2, self.kv_heads, -1))  # (B, S, 2, G, d)
        keys, values = heads.transpose(1, 3).unbind(2)
        return keys, values

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, source_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """x (B, T, D) -> y (B, T, D) and the queries (B, H, T, d).

        `source_mask` (B, 1, 1, S) is False on padding.
        """
        queries = self.query(x).unflatten(2, (-1, self.head_width)).transpose(1, 2)
        dropout = self.dropout if self.training else 0.0
        y = attend(queries, keys, values, source_mask, dropout=dropout)  # (B, H, T, d)
        return self.out(y.transpose(1, 2).flatten(2)), queries


class DecoderLayer(TransformerLayer):
    """Causal self-attention, attention to the source, feed-forward."""

    def __init__(self, config: TransformerLayerConfig) -> None:
        super().__init__(config)
        self.cross_norm = make_norm(config)
        self.cross_attention = CrossAttention(
            config.width, config.heads, config.num_kv_heads, config.bias, config.dropout_attention
        )
        self.feed_forward = make_feed_forward(config)

    def forward(
        self,
        x: Tensor,
        kv_cache: KVCache,
        target_mask: Tensor | None,
        angles: RotaryAngles | None,
        keys: Tensor,
        values: Tensor,
        source_mask: Tensor,
    ) -> tuple[Tensor, KVCache, Tensor]:
        """x (B, T, D) -> (B, T, D), the cache with x, and the queries (B, H, T, d) to the source.

        `keys` and `values` (B, G, S, d) are those of the source, `source_mask` (B, 1, 1, S) is
        False on padding.
        """
        x, kv_cache = self.attend(x, kv_cache, target_mask, angles)
        cross_input = self.sublayer_input(self.cross_norm, x)
        y, queries = self.cross_attention(cross_input, keys, values, source_mask)
        x = self.residual(self.cross_norm, x, y)
        y = self.feed_forward(self.sublayer_input(self.feed_forward_norm, x))
        return self.residual(self.feed_forward_norm, x, y), kv_cache, queries


class DecoderState(NamedTuple):
    memory: EncoderMemory  # of each layer: keys and values (B, G, S, d) of the source
    kv_caches: tuple[KVCache, ...]  # of each layer, for the target
    last_queries: Tensor  # (B, H, d), with which the last layer attended to the source


class TransformerTranslator(TranslationNetwork):
    """The encoder-decoder; with learned positions, for sentences of at most `context_length`."""

    config_class = TransformerTranslatorConfig
    config: TransformerTranslatorConfig

    def __init__(self, config: TransformerTranslatorConfig) -> None:
        super().__init__(config)
        width = config.width
        self.context_length = config.context_length if config.positions == "learned" else None
        self.output_layer = make_output_layer(config, width)
        if not config.tied:
            self.embedding = nn.Parameter(torch.empty(config.vocab_size, width))
        if not config.shares_source_embedding:
            self.source_embedding = nn.Parameter(torch.empty(config.source_types, width))
        self.positions: nn.Parameter | None = None
        self.source_positions: nn.Parameter | None = None
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(config.context_length, width))
            self.source_positions = nn.Parameter(torch.empty(config.context_length, width))
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.encoder_norm = make_norm(config) if config.pre_norm else nn.Identity()
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.norm = make_norm(config) if config.pre_norm else nn.Identity()
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        std = self.config.width**-0.5
        embeddings = (
            self.output_layer.weight, self.input_embedding(), self.source_embedding_matrix(),
        )  # fmt: skip
        for embedding in dict.fromkeys(embeddings):  # each matrix once
            embedding.normal_(0, std)
        for positions in (self.positions, self.source_positions):
            if positions is not None:
                positions.normal_(0, std)
        for layers in (self.encoder, self.decoder):
            for name, parameter in layers.named_parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
                elif name.endswith("bias"):
                    parameter.zero_()

    def encode(self, source: Tensor, lengths: Tensor) -> DecoderState:
        """Errors: ModelError where the longest sentence is beyond the context length."""
        mask = padding_mask(lengths, source.shape[1])  # (B, S)
        embedding = self.source_embedding_matrix()
        e = self.embed_tokens(source, 0, embedding, self.source_positions)  # (B, S, D)
        angles, source_mask = self.rotary_angles(source, 0), mask[:, None, None]  # (B, 1, 1, S)
        for layer in self.encoder:
            e = layer(e, source_mask, angles)
        encoded = self.encoder_norm(e)

        decoder = list(cast(Iterable[DecoderLayer], self.decoder))
        source_kv = [
            tensor for layer in decoder for tensor in layer.cross_attention.keys_and_values(encoded)
        ]
        rows, heads = len(source), self.config.heads
        kv_caches = tuple(layer.attention.empty_cache(rows) for layer in decoder)
        last_queries = encoded.new_zeros(rows, heads, self.config.width // heads)
        return DecoderState(EncoderMemory.create(mask, *source_kv), kv_caches, last_queries)

    def forward(self, tokens: Tensor, cache: DecoderState) -> NetworkOutput:
        """Errors: ModelError where more than `context_length` tokens would have been read."""
        length, offset = tokens.shape[1], cache.kv_caches[0].keys.shape[2]
        mask, *source_kv = cache.memory.read()
        source_mask, angles = mask[:, None, None], self.rotary_angles(tokens, offset)
        target_mask = causal_mask(length, offset, tokens.device) if offset and length > 1 else None
        x = self.embed_tokens(tokens, offset, self.input_embedding(), self.positions)  # (B, T, D)
        kv_caches, last_queries = [], cache.last_queries
        for layer, kv_cache, keys, values in zip(
            self.decoder, cache.kv_caches, source_kv[::2], source_kv[1::2]
        ):
            x, kv_cache, queries = layer(
                x, kv_cache, target_mask, angles, keys, values, source_mask
            )
            kv_caches.append(kv_cache)
            last_queries = queries[:, :, -1]  # (B, H, T, d) -> (B, H, d)
        features = dropout(self.norm(x), self.config.dropout_output, self.training)
        return NetworkOutput(features, DecoderState(cache.memory, tuple(kv_caches), last_queries))

    def alignment(self, state: NetworkState) -> Tensor:
        cache: DecoderState = state.cache
        mask, *source_kv = cache.memory.read()
        keys = source_kv[-2]  # (B, G, S, d), of the last layer
        queries = cache.last_queries.unflatten(1, (keys.shape[1], -1))  # (B, G, H / G, d)
        scores = queries @ keys.transpose(2, 3) / math.sqrt(keys.shape[3])  # (B, G, H / G, S)
        weights = scores.masked_fill(~mask[:, None, None], -math.inf).softmax(-1)
        mean: Tensor = weights.mean((1, 2))
        return mean

    # -------------------------------------------------------------------- for encoder and decoder

    def embed_tokens(
        self, tokens: Tensor, offset: int, embedding: Tensor, positions: Tensor | None
    ) -> Tensor:
        """e_0 or x_0 (B, T, D) of `tokens` (B, T), which stand at the positions from `offset` on.

        `positions` is P, where it is learned. Errors: ModelError beyond the context length.
        """
        config, length = self.config, offset + tokens.shape[1]
        if self.context_length is not None and length > self.context_length:
            raise ModelError(
                f"a sentence of {length} tokens is beyond the model's context length of"
                f" {self.context_length}"
            )
        x = embed(tokens, embedding, config.dropout_embedding, self.training)
        x = add_positions(x, offset, config.positions, positions)
        return dropout(x, config.dropout_input, self.training)

    def rotary_angles(self, tokens: Tensor, offset: int) -> RotaryAngles | None:
        """The angles by which queries and keys are rotated, where positions are rotary."""
        if self.config.positions != "rotary":
            return None
        head_width = self.config.width // self.config.heads
        return rotary_angles(
            tokens.shape[1], offset, head_width, tokens.device, self.config.rope_base
        )
