"""Options of the translators: of their two vocabularies, and of each kind of encoder-decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqlm.errors import UsageError
from seqlm.models.config.network_config import AttentionDropout, HiddenDropout, NetworkConfig
from seqlm.models.config.transformer_config import TransformerLayerConfig


@dataclass(frozen=True)
class TranslatorConfig(NetworkConfig):
    """Options of every translator; `vocab_size` is that of its target."""

    source_vocab_size: int | None = None
    """Types of the source; by default those of the target, in one vocabulary."""
    share_embedding: bool = True
    """With one vocabulary, the source is read by the target's embedding."""

    @property
    def shares_source_embedding(self) -> bool:
        """Whether source and target are read by one embedding."""
        return self.share_embedding and self.source_vocab_size is None

    @property
    def source_types(self) -> int:
        """V_s."""
        return self.source_vocab_size or self.vocab_size


@dataclass(frozen=True)
class RecurrentTranslatorConfig(HiddenDropout, AttentionDropout, TranslatorConfig):
    width: int = 256
    """Hidden units of a layer, in the encoder of both directions together."""
    layers: int = 1
    """Layers of the encoder, and as many of the decoder."""
    embedding: int | None = None
    """Width of the embeddings; by default that of the layers."""
    bidirectional: bool = True
    """The encoder reads from both ends."""
    attention: Literal["none", "additive", "dot", "general", "scaled-dot"] = "additive"
    input_feeding: bool = False
    """The decoder reads its last feature beside the token."""

    def __post_init__(self) -> None:
        """Errors: UsageError where options do not fit together."""
        if self.bidirectional and self.width % 2:
            raise UsageError(f"two directions cannot share a width of {self.width}, which is odd")
        if self.input_feeding and self.attention in ("none", "additive"):
            raise UsageError(
                f"input_feeding needs attention dot, general or scaled-dot, not {self.attention}"
            )

    @property
    def embedding_width(self) -> int:
        """E."""
        return self.embedding or self.width

    @property
    def feature_width(self) -> int:
        """Width of h~, which meets the embedding's matrix where they are tied."""
        return self.embedding_width if self.tied else self.width


@dataclass(frozen=True)
class TransformerTranslatorConfig(TransformerLayerConfig, TranslatorConfig):
    layers: int = 3
    """Layers of the encoder, and as many of the decoder."""
    positions: Literal["learned", "sinusoidal", "rotary", "none"] = "sinusoidal"
    horizon: int = 256
    """The most tokens of a sentence where positions are learned."""
