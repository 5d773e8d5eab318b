"""Options of the translators: of their two vocabularies, and of each kind of encoder-decoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from seqlm.errors import UsageError
from seqlm.models.config.network_config import (
    AttentionDropout,
    HiddenDropout,
    NetworkConfig,
    embedding_option,
    layers_option,
    width_option,
)
from seqlm.models.config.transformer_config import TransformerLayerConfig, transformer_option
from seqlm.settings import setting

translator_option = partial(setting, section="Translation")


@dataclass(frozen=True)
class TranslatorConfig(NetworkConfig):
    """Options of every translator; `vocab_size` is that of its target."""

    source_vocab_size: int | None = None
    """Types of the source; by default those of the target, in one vocabulary."""
    share_embeddings: bool = translator_option(
        True, "With a joint vocabulary, source and target share one embedding.",
        needs=("separate_vocab", (False,)),
    )  # fmt: skip

    @property
    def shares_source_embedding(self) -> bool:
        """Whether source and target are read by one embedding."""
        return self.share_embeddings and self.source_vocab_size is None

    @property
    def source_types(self) -> int:
        """V_s, the types of the source."""
        return self.source_vocab_size or self.vocab_size


@dataclass(frozen=True)
class RecurrentTranslatorConfig(HiddenDropout, AttentionDropout, TranslatorConfig):
    training_defaults: ClassVar = {
        "lr": 2e-3, "dropout_input": 0.3, "dropout_hidden": 0.3, "dropout_output": 0.3
    }  # fmt: skip

    width: int = width_option()  # of both directions together
    layers: int = layers_option(1)
    embedding: int | None = embedding_option()
    bidirectional: bool = translator_option(
        True, "The encoder reads from both ends.", negative="unidirectional"
    )
    attention: Literal["none", "additive", "dot", "general", "scaled-dot"] = translator_option(
        "additive", "Attention of the decoder to the source.",
        default_by={"input_feeding": {True: "general"}},
    )  # fmt: skip
    input_feeding: bool = translator_option(
        False, "The decoder reads its last attentional output beside the token (Luong et al. 2015)."
    )

    def __post_init__(self) -> None:
        """Errors: UsageError where options do not fit together."""
        if self.bidirectional and self.width % 2:
            raise UsageError(f"`bidirectional` needs an even `width`; {self.width} is odd")
        if self.input_feeding and self.attention in ("none", "additive"):
            raise UsageError(
                "`input_feeding` needs `attention=dot`, general or scaled-dot,"
                f" not {self.attention}"
            )

    @property
    def embedding_width(self) -> int:
        """E, the width of the embeddings."""
        return self.embedding or self.width

    @property
    def feature_width(self) -> int:
        """Width of h~, which meets the embedding's matrix where they are tied."""
        return self.embedding_width if self.tied else self.width


@dataclass(frozen=True)
class TransformerTranslatorConfig(TransformerLayerConfig, TranslatorConfig):
    training_defaults: ClassVar = {
        "lr": 1e-3, "beta2": 0.98, "dropout_input": 0.2, "dropout_hidden": 0.2
    }  # fmt: skip

    layers: int = layers_option(3)
    positions: Literal["learned", "sinusoidal", "rotary", "none"] = transformer_option(
        "sinusoidal", "Position embeddings."
    )
    context_length: int = transformer_option(
        256, "The most tokens that the model reads at once.",
        default_help="as `max_length`", low=1, high=10**7,
        needs=("positions", ("learned",)),
    )  # fmt: skip
