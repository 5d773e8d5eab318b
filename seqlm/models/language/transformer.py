"""The Transformer as a language model (Vaswani et al. 2017; Radford et al. 2019).

    x_0 = E[tokens] + P[places]
    norm first (Xiong et al. 2020)             norm last (Vaswani et al.)
    x   = x + attention(norm(x))               x = norm(x + attention(x))
    x   = x + feed_forward(norm(x))            x = norm(x + feed_forward(x))
    features = norm(x_N)                       features = x_N

    LayerNorm (Ba et al. 2016)    (x - mean x) / sqrt(var x + 1e-5) * g + b
    RMSNorm (Zhang & Sennrich 2019)             x / sqrt(mean x² + 1e-5) * g

Positions are learned (a matrix P), sinusoidal, P[t, 2i] = sin(t 10000^{-2i/D}) and P[t, 2i+1] its
cosine, with E read times sqrt(D) as in Vaswani et al., rotary (in the attention, no P), or none:
then order is known from the causal mask alone. Weights are drawn from N(0, 0.02), those that write
into the residual stream from N(0, 0.02 / sqrt(2 N)), for N layers (Radford et al.).

A full softmax has no bias here (it stays 0), so that two published shapes are met exactly. Tensors
of ours beside theirs in `transformers`, layer i; a transposed one is marked ':

    GPT-2      norm_first, norm layer, positions learned, activation gelu-tanh (or gelu, as its
               activation_function), bias, heads = kv_heads, tied or not
      output_layer.weight (embedding, untied)  wte.weight          (lm_head.weight likewise)
      positions                                wpe.weight
      blocks.i.attention_norm, .feed_norm      h.i.ln_1, h.i.ln_2
      blocks.i.attention.qkv, .out             h.i.attn.c_attn', h.i.attn.c_proj'
      blocks.i.feed_forward.into, .out         h.i.mlp.c_fc', h.i.mlp.c_proj'
      norm                                     ln_f
    Llama      norm_first, norm rms, positions rotary (rope_theta 10000), activation swiglu, no bias
      output_layer.weight (embedding, untied)  model.embed_tokens.weight (lm_head.weight likewise)
      blocks.i.attention_norm, .feed_norm      input_layernorm, post_attention_layernorm
      blocks.i.attention.qkv                   rows of q_proj (H d), k_proj (G d), v_proj (G d)
      blocks.i.attention.out                   o_proj
      blocks.i.feed_forward.into               rows of gate_proj (F), up_proj (F)
      blocks.i.feed_forward.out                down_proj
      norm                                     model.norm
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from seqlm.errors import ModelError
from seqlm.models.base import LanguageNetwork, NetworkOutput
from seqlm.models.config.transformer_config import TransformerConfig, TransformerLayerConfig
from seqlm.models.layers.attention import Past, SelfAttention, Turns, lower_right, turns
from seqlm.models.layers.dropout import embed
from seqlm.models.layers.feed_forward import Experts, PositionWise, Routing, usage
from seqlm.models.output import make_output_layer

SPREAD = 0.02
"""Standard deviation of the weights at the start."""
EPSILON = 1e-5
"""What a norm adds to a variance."""


class Layer(nn.Module):
    """What all layers have: norms, residual sums, and the attention of a text to itself.

    A sublayer f with its norm is `x = self.after(norm, x, f(self.before(norm, x)))`.
    """

    def __init__(self, config: TransformerLayerConfig) -> None:
        super().__init__()
        self.norm_first, self.dropout = config.norm_first, config.dropout_hidden
        self.attention_norm, self.feed_norm = make_norm(config), make_norm(config)
        self.attention = SelfAttention(
            config.width, config.heads, config.num_kv_heads, config.bias, config.dropout_attention
        )

    def before(self, norm: nn.Module, x: Tensor) -> Tensor:
        """What a sublayer reads."""
        return norm(x) if self.norm_first else x

    def after(self, norm: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The residual sum with what it made of that."""
        x = x + dropout(y, self.dropout, self.training)
        return x if self.norm_first else norm(x)

    def attend(
        self, x: Tensor, past: Past, mask: Tensor | None, by: Turns | None
    ) -> tuple[Tensor, Past]:
        """x (B, T, D) -> the same, and what has been read."""
        mixed, past = self.attention(self.before(self.attention_norm, x), past, mask, by)
        return self.after(self.attention_norm, x, mixed), past


class Block(Layer):
    """One layer: attention, feed-forward, two norms, two residual sums."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.routed = config.experts > 0
        feeds = [position_wise(config, self.routed) for _ in range(max(1, config.experts))]
        active, balance, z_loss = config.experts_active, config.experts_balance, config.experts_z
        self.feed_forward = (
            Experts(feeds, active, config.width, balance, z_loss) if self.routed else feeds[0]
        )

    def forward(
        self, x: Tensor, past: Past, mask: Tensor | None, by: Turns | None
    ) -> tuple[Tensor, Past, Routing | None]:
        """x (B, T, D) -> the same, what has been read, and how experts were chosen."""
        x, past = self.attend(x, past, mask, by)
        fed, routing = self.feed(self.before(self.feed_norm, x))
        return self.after(self.feed_norm, x, fed), past, routing

    def feed(self, x: Tensor) -> tuple[Tensor, Routing | None]:
        return self.feed_forward(x) if self.routed else (self.feed_forward(x), None)


def position_wise(config: TransformerLayerConfig, routed: bool = False) -> PositionWise:
    return PositionWise(
        config.width, config.feed_forward_width, config.activation, config.bias, routed
    )


def make_norm(config: TransformerLayerConfig) -> nn.Module:
    if config.norm == "rms":
        return nn.RMSNorm(config.width, EPSILON)
    return nn.LayerNorm(config.width, EPSILON, bias=config.bias)


class Transformer(LanguageNetwork):
    """Reads at most `horizon` tokens; `models.windowed` makes it read on."""

    config_class = TransformerConfig

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.context_length = config.horizon
        self.output_layer = make_output_layer(config, config.width)
        if not config.tied:
            self.embedding = nn.Parameter(torch.empty(config.vocab_size, config.width))
        self.positions: nn.Parameter | None = None
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(config.horizon, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = make_norm(config) if config.norm_first else nn.Identity()
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        config = self.config
        self.output_layer.weight.normal_(0, SPREAD)
        for name, parameter in self.blocks.named_parameters():
            if name.endswith("out.weight"):
                parameter.normal_(0, SPREAD / math.sqrt(2 * config.layers))
            elif parameter.ndim > 1:
                parameter.normal_(0, SPREAD)
            elif name.endswith("bias"):
                parameter.zero_()
        if self.positions is not None:
            self.positions.normal_(0, SPREAD)
        # Read times sqrt(D), an embedding is as large as the sinusoids.
        spread = config.width**-0.5 if config.positions == "sinusoidal" else SPREAD
        self.input_embedding().normal_(0, spread)
        if config.softmax == "full":
            for parameter in self.output_layer.parameters():
                parameter.requires_grad_(parameter.ndim > 1)

    def initial_cache(self, rows: int) -> tuple[Past, ...]:
        blocks = cast(Iterable[Block], self.blocks)
        return tuple(block.attention.empty_cache(rows) for block in blocks)

    def forward(self, tokens: Tensor, cache: tuple[Past, ...]) -> NetworkOutput:
        """Errors: ModelError where more than `horizon` tokens would have been read."""
        config, new, before = self.config, tokens.shape[1], cache[0].keys.shape[2]
        if before + new > config.horizon:
            raise ModelError(
                f"a text of {before + new} tokens is beyond the model's context length of"
                f" {config.horizon}"
            )
        device = tokens.device
        mask = lower_right(new, before, device) if before and new > 1 else None
        by = None
        if config.positions == "rotary":
            by = turns(new, before, config.width // config.heads, device)
        x = self.enter(tokens, before)  # (B, T, D)
        after, routings = [], []
        for block, past in zip(self.blocks, cache):
            x, past, routing = block(x, past, mask, by)
            after.append(past)
            routings.append(routing)
        features = dropout(self.norm(x), config.dropout_output, self.training)
        if not (self.training and config.experts):
            return NetworkOutput(features, tuple(after))
        penalty = torch.stack([routing.penalty for routing in routings]).sum()
        shares = torch.stack([routing.shares for routing in routings])  # (layers, E)
        return NetworkOutput(features, tuple(after), penalty, usage(shares))

    def enter(self, tokens: Tensor, before: int) -> Tensor:
        """x_0 (B, T, D) of `tokens` (B, T) at the places from `before` on."""
        config = self.config
        x = embed(tokens, self.input_embedding(), config.dropout_embedding, self.training)
        x = place(x, before, config.positions, self.positions)
        return dropout(x, config.dropout_input, self.training)


def place(x: Tensor, before: int, positions: str, learned: Tensor | None) -> Tensor:
    """x_0 (B, T, D) of embeddings at the places from `before` on."""
    if positions == "learned":
        assert learned is not None
        return x + learned[before : before + x.shape[1]]
    if positions == "sinusoidal":
        waves = sinusoids(x.shape[1], before, x.shape[2], x.device)
        return math.sqrt(x.shape[2]) * x + waves.to(x.dtype)
    return x


def sinusoids(new: int, before: int, width: int, device: torch.device) -> Tensor:
    """P (T, D) of places L .. L + T - 1."""
    by = turns(new, before, width, device)
    return torch.stack([by.sin, by.cos], 2).flatten(1)[:, :width]  # an odd width has no last cosine
