"""What the Transformers share: layers with norms and residual sums, and positions.

    pre-norm (Xiong et al. 2020)               post-norm (Vaswani et al. 2017)
    x = x + sublayer(norm(x))                  x = norm(x + sublayer(x))

    LayerNorm (Ba et al. 2016)     (x - mean x) / sqrt(var x + ε) * g + b
    RMSNorm (Zhang & Sennrich 2019)              x / sqrt(mean x² + ε) * g

Positions are learned (a matrix P), sinusoidal (Vaswani et al. 2017),

    P[t, 2i] = sin(t 10000^{-2i/D})      P[t, 2i+1] = cos(t 10000^{-2i/D})

with the embeddings multiplied by sqrt(D), rotary (`rotary.py`, without a P), or none: then only the
causal mask depends on the order.

B rows · T new positions · L positions before them · D width
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlm.models.config.transformer_config import TransformerLayerOptions
from seqlm.models.layers.attention import KVCache, SelfAttention
from seqlm.models.layers.dropout import dropout
from seqlm.models.layers.feed_forward import FeedForward
from seqlm.models.layers.rotary import RotaryAngles, position_angles


class TransformerLayer(nn.Module):
    """What all layers have: norms, residual sums, and the attention of a text to itself.

    A sublayer f is computed as `x = self.residual(norm, x, f(self.sublayer_input(norm, x)))`.
    """

    def __init__(self, config: TransformerLayerOptions) -> None:
        super().__init__()
        self.pre_norm, self.dropout = config.pre_norm, config.dropout_hidden
        self.attention_norm, self.feed_forward_norm = make_norm(config), make_norm(config)
        self.attention = SelfAttention(
            config.width, config.heads, config.num_kv_heads, config.bias, config.dropout_attention
        )

    def sublayer_input(self, norm: nn.Module, x: Tensor) -> Tensor:
        """x, with the norm of pre-norm."""
        return norm(x) if self.pre_norm else x

    def residual(self, norm: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """x + y, where y is a sublayer's output, with dropout and the norm of post-norm."""
        x = x + dropout(y, self.dropout, self.training)
        return x if self.pre_norm else norm(x)

    def attend(
        self, x: Tensor, cache: KVCache, mask: Tensor | None, angles: RotaryAngles | None
    ) -> tuple[Tensor, KVCache]:
        """The sublayer of self-attention: x (B, T, D) -> (B, T, D), and the cache with x."""
        y, cache = self.attention(self.sublayer_input(self.attention_norm, x), cache, mask, angles)
        return self.residual(self.attention_norm, x, y), cache


class EncoderLayer(TransformerLayer):
    """The layer of an encoder: self-attention in both directions, feed-forward."""

    def __init__(self, config: TransformerLayerOptions) -> None:
        super().__init__(config)
        self.feed_forward = make_feed_forward(config)

    def forward(self, e: Tensor, mask: Tensor, angles: RotaryAngles | None) -> Tensor:
        """e (B, S, D) -> (B, S, D); `mask` (B, 1, 1, S) is False on padding."""
        e, _ = self.attend(e, self.attention.empty_cache(len(e)), mask, angles)
        y = self.feed_forward(self.sublayer_input(self.feed_forward_norm, e))
        return self.residual(self.feed_forward_norm, e, y)


def make_feed_forward(config: TransformerLayerOptions, varying_sizes: bool = False) -> FeedForward:
    """The feed-forward network of one layer. `varying_sizes` is explained in `FeedForward`."""
    return FeedForward(
        config.width, config.feed_forward_width, config.activation, config.bias, varying_sizes
    )


def make_norm(config: TransformerLayerOptions) -> nn.Module:
    """A LayerNorm or an RMSNorm over D numbers."""
    if config.norm == "rms":
        return nn.RMSNorm(config.width, config.norm_epsilon)
    return nn.LayerNorm(config.width, config.norm_epsilon, bias=config.bias)


def add_positions(x: Tensor, offset: int, kind: str, learned: Tensor | None) -> Tensor:
    """x_0 (B, T, D) of embeddings at the positions from L = `offset` on; `kind` as in the options.

    `learned` is P, where positions are learned.
    """
    if kind == "learned":
        assert learned is not None
        return x + learned[offset : offset + x.shape[1]]
    if kind == "sinusoidal":
        waves = sinusoids(x.shape[1], offset, x.shape[2], x.device)
        return math.sqrt(x.shape[2]) * x + waves.to(x.dtype)
    return x


def sinusoids(length: int, offset: int, width: int, device: torch.device) -> Tensor:
    """P (T, D) of positions L .. L + T - 1; an odd width has no last cosine."""
    angles = position_angles(length, offset, width, device)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :width]
