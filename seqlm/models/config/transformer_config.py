"""Options of the Transformer: of its layers, which translators share, and of the language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqlm.errors import UsageError
from seqlm.models.config.network_config import AttentionDropout, HiddenDropout, NetworkConfig


@dataclass(frozen=True)
class TransformerLayerConfig(HiddenDropout, AttentionDropout, NetworkConfig):
    """Options of every Transformer, a language model or a translator."""

    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int | None = None
    """Heads of keys and values, which the heads of queries share; by default each has its own."""
    feed_forward: int | None = None
    """Hidden width of the feed-forward sublayer; by default 4 x width, gated 2/3 of that."""
    norm_first: bool = True
    """Norms stand before the sublayers and not after them."""
    norm: Literal["layer", "rms"] = "layer"
    positions: Literal["learned", "sinusoidal", "rotary", "none"] = "learned"
    activation: Literal["relu", "gelu", "gelu-tanh", "swiglu"] = "gelu"
    bias: bool = True
    """Linear layers and LayerNorms have biases."""

    def __post_init__(self) -> None:
        """Errors: UsageError where numbers do not fit together."""
        if self.width % self.heads:
            raise UsageError(f"a width of {self.width} cannot be shared by {self.heads} heads")
        if self.heads % self.num_kv_heads:
            raise UsageError(
                f"{self.heads} heads cannot share {self.num_kv_heads} of keys and values"
            )
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise UsageError(
                f"rotary positions need heads of even width; {self.width} / {self.heads} is odd"
            )

    @property
    def num_kv_heads(self) -> int:
        """G, the heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def feed_forward_width(self) -> int:
        """F, the hidden width of a feed-forward sublayer."""
        if self.activation == "swiglu":  # three matrices instead of two; a multiple of 8 is fast
            return self.feed_forward or 8 * round(self.width / 3)
        return self.feed_forward or 4 * self.width


@dataclass(frozen=True)
class TransformerConfig(TransformerLayerConfig):
    horizon: int = 256
    """The most tokens that are read at once: the length of the blocks it is trained on."""
    experts: int = 0
    """Experts in each feed-forward sublayer; 0 is an ordinary sublayer."""
    experts_active: int = 2
    """Experts that each position is sent to."""
    experts_balance: float = 0.01
    """Weight of the loss that evens out the use of the experts."""
    experts_z: float = 0.001
    """Weight of the loss that keeps the router's logits small."""

    def __post_init__(self) -> None:
        """Errors: UsageError where numbers do not fit together."""
        super().__post_init__()
        if self.experts and not 1 <= self.experts_active <= self.experts:
            raise UsageError(
                f"experts_active {self.experts_active} of {self.experts} experts cannot be active"
            )
