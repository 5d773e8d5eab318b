"""Options of the Transformer: of its layers, which translators share, and of the language model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from seqlm.errors import UsageError
from seqlm.models.config.network_config import (
    LANGUAGE_MODEL_DROPOUT,
    AttentionDropout,
    HiddenDropout,
    NetworkConfig,
    layers_option,
    width_option,
)
from seqlm.settings import setting

transformer_option = partial(setting, section="Transformer")


@dataclass(frozen=True)
class TransformerLayerOptions(HiddenDropout, AttentionDropout):
    """Options of the layers of every Transformer."""

    width: int = width_option()
    layers: int = layers_option(4)
    heads: int = transformer_option(4, "Attention heads.", low=1, high=10**4)
    kv_heads: int | None = transformer_option(
        None, "Heads of keys and values, which the attention heads share (Ainslie et al. 2023).",
        none_text="as `heads`", low=1, high=10**4,
    )  # fmt: skip
    ffn_width: int | None = transformer_option(
        None, "Hidden width of the feed-forward sublayer.",
        none_text="4 x `width`; with swiglu 8/3 x `width`", low=1, high=10**6,
    )  # fmt: skip
    pre_norm: bool = transformer_option(
        True, "Norms stand before the sublayers (pre-norm) or after them (post-norm).",
        negative="post_norm",
    )  # fmt: skip
    norm: Literal["layer", "rms"] = transformer_option("layer", "LayerNorm or RMSNorm.")
    norm_epsilon: float = transformer_option(
        1e-5, "What a norm adds to the variance, ε.", low=0, high=1
    )
    positions: Literal["learned", "sinusoidal", "rotary", "none"] = transformer_option(
        "learned", "Position embeddings."
    )
    rope_base: float = transformer_option(
        1e4, "Base of the angles of rotary positions, Llama's rope_theta.", low=1, high=1e12,
        needs=("positions", ("rotary",)),
    )  # fmt: skip
    activation: Literal["relu", "gelu", "gelu-tanh", "swiglu"] = transformer_option(
        "gelu", "Activation function."
    )
    bias: bool = transformer_option(True, "Linear layers and LayerNorms have biases.")

    def __post_init__(self) -> None:
        """Errors: UsageError where numbers do not fit together."""
        if self.width % self.heads:
            raise UsageError(f"`heads={self.heads}` does not divide `width={self.width}`")
        if self.heads % self.num_kv_heads:
            raise UsageError(f"`kv_heads={self.kv_heads}` does not divide `heads={self.heads}`")
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise UsageError(
                f"`positions=rotary` needs heads of even width; {self.width} / {self.heads} is odd"
            )

    @property
    def num_kv_heads(self) -> int:
        """G, the heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def feed_forward_width(self) -> int:
        """F, the hidden width of a feed-forward sublayer."""
        if self.activation == "swiglu":  # three matrices instead of two; a multiple of 8 is fast
            return self.ffn_width or 8 * round(self.width / 3)
        return self.ffn_width or 4 * self.width


@dataclass(frozen=True)
class TransformerLayerConfig(TransformerLayerOptions, NetworkConfig):
    """Options of every Transformer that predicts tokens, a language model or a translator."""


@dataclass(frozen=True)
class TransformerConfig(TransformerLayerConfig):
    training_defaults: ClassVar = {
        **LANGUAGE_MODEL_DROPOUT,
        "seq_length": 128, "lr": 1e-3, "clip": 1.0, "weight_decay": 0.1, "warmup": 0.05,
        "schedule": "cosine",
    }  # fmt: skip

    context_length: int = transformer_option(
        256, "The most tokens that the model reads at once.",
        default_help="as `seq_length`", low=1, high=10**7,
    )  # fmt: skip
    experts: int = transformer_option(
        0, "Experts in each feed-forward sublayer; 0 is an ordinary sublayer.", low=0, high=10**4
    )
    experts_per_token: int = transformer_option(
        2, "Experts that each position is sent to.", low=1, high=10**4
    )
    experts_balance_loss: float = transformer_option(
        0.01, "Weight of the loss that evens out the use of the experts.", low=0, high=10**3
    )
    experts_z_loss: float = transformer_option(
        0.001, "Weight of the loss that keeps the router's logits small.", low=0, high=10**3
    )

    def __post_init__(self) -> None:
        """Errors: UsageError where numbers do not fit together."""
        super().__post_init__()
        if self.experts and not 1 <= self.experts_per_token <= self.experts:
            raise UsageError(
                f"`experts_per_token={self.experts_per_token}` must be from 1 to"
                f" `experts={self.experts}`"
            )
