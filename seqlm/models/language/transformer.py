"""The Transformer as a language model (Vaswani et al. 2017; Radford et al. 2019).

    x_0 = E[tokens] + P[positions]
    pre-norm                                   post-norm
    x   = x + attention(norm(x))               x = norm(x + attention(x))
    x   = x + feed_forward(norm(x))            x = norm(x + feed_forward(x))
    features = norm(x_N)                       features = x_N

Norms and positions are in `layers/transformer_layers.py`, attention in `layers/attention.py`, the
feed-forward sublayer in `layers/feed_forward.py`; a mixture of experts may take its place
(`layers/mixture_of_experts.py`). Weights are drawn from N(0, 0.02), those that write into the
residual stream from N(0, 0.02 / sqrt(2 N)), for N layers (Radford et al.).

A full softmax has no bias here (it stays 0), so that a model can have exactly the shape of two
published ones. Our tensors beside theirs in the `transformers` library, for layer i; ' marks a
transposed matrix:

    GPT-2      pre_norm, norm layer, positions learned, activation gelu-tanh (or gelu, as its
               activation_function), bias, heads = kv_heads, tied or not
      output_layer.weight (embedding, untied)  wte.weight          (lm_head.weight likewise)
      positions                                wpe.weight
      blocks.i.attention_norm                  h.i.ln_1
      blocks.i.feed_forward_norm               h.i.ln_2
      blocks.i.attention.qkv, .out             h.i.attn.c_attn', h.i.attn.c_proj'
      blocks.i.feed_forward.up, .down          h.i.mlp.c_fc', h.i.mlp.c_proj'
      norm                                     ln_f
    Llama      pre_norm, norm rms, positions rotary (rope_base is rope_theta), activation swiglu,
               no bias
      output_layer.weight (embedding, untied)  model.embed_tokens.weight (lm_head.weight likewise)
      blocks.i.attention_norm                  input_layernorm
      blocks.i.feed_forward_norm               post_attention_layernorm
      blocks.i.attention.qkv                   rows of q_proj (H d), k_proj (G d), v_proj (G d)
      blocks.i.attention.out                   o_proj
      blocks.i.feed_forward.up                 rows of gate_proj (F), up_proj (F)
      blocks.i.feed_forward.down               down_proj
      norm                                     model.norm

B rows · T new tokens · L tokens read before them · D width · N layers
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from seqlm.errors import ModelError
from seqlm.models.base import LanguageNetwork, NetworkOutput
from seqlm.models.config.transformer_config import TransformerConfig
from seqlm.models.layers.attention import KVCache, causal_mask
from seqlm.models.layers.dropout import dropout, embed
from seqlm.models.layers.mixture_of_experts import MixtureOfExperts, Routing, usage_figures
from seqlm.models.layers.rotary import RotaryAngles, rotary_angles
from seqlm.models.layers.transformer_layers import (
    TransformerLayer,
    add_positions,
    make_feed_forward,
    make_norm,
)
from seqlm.models.output import make_output_layer

INIT_STD = 0.02
"""Standard deviation of the initial weights."""


class Block(TransformerLayer):
    """One layer: attention, then feed-forward, each with a norm and a residual sum."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.has_experts = config.experts > 0
        networks = [
            make_feed_forward(config, varying_sizes=self.has_experts)
            for _ in range(max(1, config.experts))
        ]
        self.feed_forward = (
            MixtureOfExperts(
                networks,
                config.experts_per_token,
                config.width,
                config.experts_balance_loss,
                config.experts_z_loss,
            )
            if self.has_experts
            else networks[0]
        )

    def forward(
        self, x: Tensor, cache: KVCache, mask: Tensor | None, angles: RotaryAngles | None
    ) -> tuple[Tensor, KVCache, Routing | None]:
        """x (B, T, D) -> (B, T, D), the cache with x, and how a mixture's experts were chosen."""
        x, cache = self.attend(x, cache, mask, angles)
        fed, routing = self.feed(self.sublayer_input(self.feed_forward_norm, x))
        return self.residual(self.feed_forward_norm, x, fed), cache, routing

    def step(
        self, x: Tensor, cache: KVCache, angles: RotaryAngles | None
    ) -> tuple[Tensor, KVCache]:
        """What `forward` computes of one position: x (B, D) -> (B, D), and the cache with x."""
        attention_norm, feed_forward_norm = self.attention_norm, self.feed_forward_norm
        if not self.pre_norm:
            y, cache = self.attention.step(x, cache, angles)
            x = attention_norm(x + y)
            return feed_forward_norm(x + self.feed_forward(x)), cache
        y, cache = self.attention.step(attention_norm(x), cache, angles)
        x = x + y
        return x + self.feed_forward(feed_forward_norm(x)), cache

    def feed(self, x: Tensor) -> tuple[Tensor, Routing | None]:
        return self.feed_forward(x) if self.has_experts else (self.feed_forward(x), None)


class Transformer(LanguageNetwork):
    """It reads at most `context_length` tokens; `SlidingWindow` reads longer texts with it."""

    config_class = TransformerConfig

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.context_length = config.context_length
        self.output_layer = make_output_layer(config, config.width)
        if not config.tied:
            self.embedding = nn.Parameter(torch.empty(config.vocab_size, config.width))
        self.positions: nn.Parameter | None = None
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(config.context_length, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = make_norm(config) if config.pre_norm else nn.Identity()
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        """Draws the weights as described above."""
        config = self.config
        self.output_layer.weight.normal_(0, INIT_STD)
        for name, parameter in self.blocks.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                parameter.normal_(0, INIT_STD / math.sqrt(2 * config.layers))
            elif parameter.ndim > 1:
                parameter.normal_(0, INIT_STD)
            elif name.endswith("bias"):
                parameter.zero_()
        if self.positions is not None:
            self.positions.normal_(0, INIT_STD)
        # An embedding that is read times sqrt(D) is then as large as the sinusoids.
        std = config.width**-0.5 if config.positions == "sinusoidal" else INIT_STD
        self.input_embedding().normal_(0, std)
        if config.softmax == "full":
            for parameter in self.output_layer.parameters():
                parameter.requires_grad_(parameter.ndim > 1)

    def initial_cache(self, rows: int) -> tuple[KVCache, ...]:
        blocks = cast(Iterable[Block], self.blocks)
        return tuple(block.attention.empty_cache(rows) for block in blocks)

    def forward(self, tokens: Tensor, cache: tuple[KVCache, ...]) -> NetworkOutput:
        """`cache`: keys and values of each layer. Errors: those of `places`."""
        config, offset = self.config, cache[0].keys.shape[2]
        mask, angles = self.places(tokens, offset)
        x = self.embed_tokens(tokens, offset)  # (B, T, D)
        if tokens.shape[1] == 1 and not (self.training or config.experts):
            return self.step(x[:, 0], cache, angles)
        caches, routings = [], []
        for block, block_cache in zip(self.blocks, cache):
            x, block_cache, routing = block(x, block_cache, mask, angles)
            caches.append(block_cache)
            routings.append(routing)
        features = dropout(self.norm(x), config.dropout_output, self.training)
        if not (self.training and config.experts):
            return NetworkOutput(features, tuple(caches))
        penalty = torch.stack([routing.penalty for routing in routings]).sum()
        shares = torch.stack([routing.shares for routing in routings])  # (N, experts)
        return NetworkOutput(features, tuple(caches), penalty, usage_figures(shares))

    def step(
        self, x: Tensor, cache: tuple[KVCache, ...], angles: RotaryAngles | None
    ) -> NetworkOutput:
        """What `forward` computes of one position, from its x_0 (B, D)."""
        caches = []
        for block, block_cache in zip(cast(Iterable[Block], self.blocks), cache):
            x, block_cache = block.step(x, block_cache, angles)
            caches.append(block_cache)
        return NetworkOutput(self.norm(x)[:, None], tuple(caches))

    def layer_outputs(self, tokens: Tensor, cache: tuple[KVCache, ...]) -> list[Tensor]:
        offset = cache[0].keys.shape[2]
        mask, angles = self.places(tokens, offset)
        x = self.embed_tokens(tokens, offset)  # (B, T, D)
        outputs = [x]
        for block, block_cache in zip(self.blocks, cache):
            x, *_ = block(x, block_cache, mask, angles)
            outputs.append(x)
        return [*outputs[:-1], self.norm(x)]

    def places(self, tokens: Tensor, offset: int) -> tuple[Tensor | None, RotaryAngles | None]:
        """What attention needs to know of the places of `tokens` (B, T), from L = `offset` on: the
        mask where it is not the usual one, and the angles of rotary positions.

        Errors: ModelError where more than `context_length` tokens would have been read.
        """
        config, length, device = self.config, tokens.shape[1], tokens.device
        if offset + length > config.context_length:
            raise ModelError(
                f"a text of {offset + length} tokens is beyond the model's context length of"
                f" {config.context_length}"
            )
        mask = causal_mask(length, offset, device) if offset and length > 1 else None
        angles = None
        if config.positions == "rotary":
            head_width = config.width // config.heads
            angles = rotary_angles(length, offset, head_width, device, config.rope_base)
        return mask, angles

    def embed_tokens(self, tokens: Tensor, offset: int) -> Tensor:
        """x_0 (B, T, D) of `tokens` (B, T) at the positions from L = `offset` on."""
        config = self.config
        x = embed(tokens, self.input_embedding(), config.dropout_embedding, self.training)
        x = add_positions(x, offset, config.positions, self.positions)
        return dropout(x, config.dropout_input, self.training)
