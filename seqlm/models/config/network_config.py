"""Options that all networks share, and the dropout of those that have several layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from seqlm.settings import setting

option = partial(setting, section="Model")
dropout = partial(setting, 0.0, low=0, high=0.99, section="Regularization")


FULL_UP_TO = 10_001
"""The types from which the usual softmax is the adaptive one: beyond those of Penn Treebank, whose
published figures are of the full softmax."""


WINDOW_HELP = "Words to each side that a word is labeled from, or that its vector is learned from."
WIDTH_HELP = "Units of a layer, or numbers of a word vector."


def width_option() -> Any:
    return option(256, WIDTH_HELP, low=1, high=10**6)


def layers_option(default: int) -> Any:
    return option(default, "Layers; of a translator, on either side.", low=1, high=10**3)


def embedding_option() -> Any:
    return option(None, "Width of the embedding.", none_text="as `width`", low=1, high=10**6)


@dataclass(frozen=True)
class NetworkConfig:
    """Options of every network; those of an architecture extend it."""

    training_defaults: ClassVar[Mapping[str, Any]] = {}
    """Settings and options that `seqlm train` takes for this architecture where nothing is given
    and they differ from the defaults below and from those of its task."""

    model_path: ClassVar[str]
    """The model as module:class, for an architecture of another package (`seqlm.models`)."""

    vocab_size: int
    """V, which the text decides."""
    tied: bool = option(
        True,
        "Share one matrix between the output layer and the embedding (Press & Wolf 2017).",
        negative="untied",
    )
    softmax: Literal["full", "adaptive", "sampled"] = option(
        "full", "Output layer.", default_help=f"full; adaptive for more than {FULL_UP_TO:,} types"
    )
    softmax_cutoffs: tuple[int, ...] | None = option(
        None,
        "Word ids at which the clusters of the adaptive softmax begin.",
        none_text="the cheapest under Zipf's law", low=1, high=2**31,
        needs=("softmax", ("adaptive",)),
    )  # fmt: skip
    softmax_samples: int = option(
        2048,
        "Words that the sampled softmax trains a batch against.",
        low=1, high=2**31, needs=("softmax", ("sampled",)),
    )  # fmt: skip
    dropout_embedding: float = dropout("Share of word types dropped from a segment or batch.")
    dropout_input: float = dropout("Dropout of the embeddings that the first layer reads.")
    dropout_output: float = dropout("Dropout of the features that the output layer reads.")


@dataclass(frozen=True)
class HiddenDropout:
    """To be inherited by the options of a network that has several layers."""

    dropout_hidden: float = dropout(
        "Dropout between layers: of what a recurrent layer gives the next, and of what each"
        " sublayer adds to a residual stream."
    )


@dataclass(frozen=True)
class AttentionDropout:
    """To be inherited by the options of a network that has attention."""

    dropout_attention: float = dropout("Dropout of attention weights.")


LANGUAGE_MODEL_DROPOUT = {"dropout_input": 0.1, "dropout_hidden": 0.1, "dropout_output": 0.2}
"""The dropout that `seqlm train` takes for language models of several layers."""
