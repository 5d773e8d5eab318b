"""Options of the labelers: of what they read of a word, of each encoder, and of their outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from seqlm.errors import UsageError
from seqlm.models.config.network_config import (
    WINDOW_HELP,
    HiddenDropout,
    dropout,
    layers_option,
    width_option,
)
from seqlm.models.config.transformer_config import TransformerLayerOptions, transformer_option
from seqlm.settings import setting

labeler_option = partial(setting, section="Labels")
recurrent_option = partial(setting, section="Feed-forward and recurrent networks")


DEFAULTS = {
    "dropout_word": 0.2, "dropout_input": 0.5, "dropout_output": 0.5,
    "lr": 3e-3, "clip": 5.0, "epochs": 10,
}  # fmt: skip
"""What `seqlm train` takes for labelers: small texts are learned by heart without much dropout."""
TRANSFORMER_DEFAULTS = {**DEFAULTS, "lr": 1e-3, "warmup": 0.1, "dropout_hidden": 0.2}


@dataclass(frozen=True)
class LabelerSizes:
    """What the text decides of every labeler."""

    training_defaults: ClassVar[Mapping[str, Any]] = {}
    """Settings and options that `seqlm train` takes for this architecture where nothing is given
    and they differ from the defaults below and from those of its task."""

    vocab_size: int
    """V, the word types that have an embedding."""
    label_types: tuple[int, ...]
    """Labels of each column that is learned."""
    character_types: int
    """Characters that have an embedding."""
    affix_types: tuple[int, ...]
    """Prefixes of one character, of two, …, then suffixes."""
    column_types: tuple[int, ...]
    """Values of each column that is read as a feature."""
    contextual_widths: tuple[int, ...]
    """Of the language models that features come from, one after the other: the number of layers,
    and their width."""


@dataclass(frozen=True)
class LabelerConfig(LabelerSizes):
    """Options of every labeler that reads words one by one; those of an architecture extend it."""

    training_defaults: ClassVar[Mapping[str, Any]] = DEFAULTS

    embedding: int = labeler_option(100, "Width of the embedding.", low=1, high=10**6)
    characters: Literal["none", "cnn", "lstm"] = labeler_option(
        "cnn", "How a word is read from its characters: by a convolution (Ma & Hovy 2016), or an"
        " LSTM in both directions (Lample et al. 2016).",
    )  # fmt: skip
    character_width: int = labeler_option(
        50, "Width of the vector of a word's characters.", low=2, high=10**6,
        needs=("characters", ("cnn", "lstm")),
    )  # fmt: skip
    casing: bool = labeler_option(
        True, "Read how a word is capitalized, and whether it has digits."
    )
    vectors_training: Literal["tuned", "frozen", "warmed"] = labeler_option(
        "tuned", "Pretrained vectors are trained on, kept, or kept for the first fifth of training"
        " and then trained on.",
    )  # fmt: skip
    dropout_word: float = dropout("Share of the words that are read as <unk>.")
    dropout_input: float = dropout("Dropout of the embeddings that the first layer reads.")
    dropout_output: float = dropout("Dropout of the features that the output layer reads.")

    pooling: ClassVar[str | None] = None
    """How a sentence becomes one vector; None for taggers, which label its words."""
    crf: ClassVar[bool] = False
    """Whether a label depends on those beside it."""

    def __post_init__(self) -> None:
        """Errors: UsageError where options do not fit together."""
        if self.characters == "lstm" and self.character_width % 2:
            raise UsageError(
                f"`characters=lstm` needs an even `character_width`; {self.character_width} is odd"
            )


# ----------------------------------------------------------------------------------- the encoders


@dataclass(frozen=True)
class RecurrentLabelerConfig(HiddenDropout, LabelerConfig):
    """Options of a recurrent encoder, and those of the GRU, which has no others."""

    width: int = width_option()  # of both directions together
    layers: int = layers_option(1)
    bidirectional: bool = recurrent_option(
        True, "The encoder reads from both ends.", negative="unidirectional"
    )
    dropout_weight: float = dropout("Share of each recurrent matrix dropped (weight-drop).")

    def __post_init__(self) -> None:
        """Errors: UsageError where options do not fit together."""
        super().__post_init__()
        if self.bidirectional and self.width % 2:
            raise UsageError(f"`bidirectional` needs an even `width`; {self.width} is odd")


@dataclass(frozen=True)
class ElmanLabelerConfig(RecurrentLabelerConfig):
    activation: Literal["tanh", "relu"] = recurrent_option("tanh", "Activation function.")


@dataclass(frozen=True)
class LSTMLabelerConfig(RecurrentLabelerConfig):
    peephole: bool = recurrent_option(
        False, "Gates see the cell, through peepholes (Gers & Schmidhuber 2000)."
    )
    coupled_gates: bool = recurrent_option(
        False, "The input gate is 1 - the forget gate (Greff et al. 2015)."
    )


@dataclass(frozen=True)
class TransformerLabelerConfig(TransformerLayerOptions, LabelerConfig):
    training_defaults: ClassVar[Mapping[str, Any]] = TRANSFORMER_DEFAULTS

    layers: int = layers_option(2)
    positions: Literal["sinusoidal", "rotary", "none"] = transformer_option(
        "sinusoidal", "Position embeddings."
    )

    def __post_init__(self) -> None:
        """Errors: UsageError where options do not fit together."""
        TransformerLayerOptions.__post_init__(self)
        LabelerConfig.__post_init__(self)


@dataclass(frozen=True)
class WindowLabelerConfig(LabelerConfig):
    window: int = recurrent_option(2, WINDOW_HELP, low=0, high=10**3)
    width: int = width_option()


# ----------------------------------------------------------------------------------- taggers


@dataclass(frozen=True)
class TaggerOptions:
    """To be inherited by the options of a tagger."""

    crf: bool = labeler_option(
        False,
        "Labels depend on their neighbors, in a linear-chain CRF (Lafferty et al. 2001).",
    )


@dataclass(frozen=True)
class WindowTaggerConfig(TaggerOptions, WindowLabelerConfig):
    pass


@dataclass(frozen=True)
class ElmanTaggerConfig(TaggerOptions, ElmanLabelerConfig):
    pass


@dataclass(frozen=True)
class LSTMTaggerConfig(TaggerOptions, LSTMLabelerConfig):
    pass


@dataclass(frozen=True)
class GRUTaggerConfig(TaggerOptions, RecurrentLabelerConfig):
    pass


@dataclass(frozen=True)
class TransformerTaggerConfig(TaggerOptions, TransformerLabelerConfig):
    pass


# ----------------------------------------------------------------------------------- classifiers

POOLING_HELP = (
    "How a text becomes one vector: the last states, the mean or the maximum of those of its words,"
    " or attention to them (Yang et al. 2016)."
)


@dataclass(frozen=True)
class MaxPooling:
    """To be inherited by the options of a classifier."""

    pooling: Literal["last", "mean", "max", "attention"] = labeler_option("max", POOLING_HELP)


@dataclass(frozen=True)
class MeanPooling:
    """The same with another default."""

    pooling: Literal["last", "mean", "max", "attention"] = labeler_option("mean", POOLING_HELP)


@dataclass(frozen=True)
class GRUClassifierConfig(MaxPooling, RecurrentLabelerConfig):
    pass


@dataclass(frozen=True)
class ElmanClassifierConfig(MaxPooling, ElmanLabelerConfig):
    pass


@dataclass(frozen=True)
class LSTMClassifierConfig(MaxPooling, LSTMLabelerConfig):
    pass


@dataclass(frozen=True)
class TransformerClassifierConfig(MeanPooling, TransformerLabelerConfig):
    pass


@dataclass(frozen=True)
class ConvolutionalClassifierConfig(LabelerConfig):
    kernels: tuple[int, ...] = labeler_option(
        (3, 4, 5), "Widths of the convolutions, in words.", low=1, high=100
    )
    filters: int = labeler_option(100, "Filters of each width.", low=1, high=10**6)

    pooling: ClassVar[str] = "max"
