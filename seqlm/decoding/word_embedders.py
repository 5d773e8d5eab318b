"""What gives vectors to the words of sentences: a language model, a labeler or a table of vectors.

    language model    v_w^k of one layer or of several side by side, or their mean over all k
    labeler           gamma sum_k softmax(m)_k v_w^k, the mix that it has learned, of each of the
                      language models that it reads (Peters et al. 2018, eq. 1)
    table             one vector for a word wherever it stands; that of a word that is not in the
                      table is composed of its character n-grams, or else zero

Those of several models stand side by side (`embed_sentences.py`).

    W words of a sentence · K layers · D_k width of layer k · D width of e
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from seqlm.errors import ModelError, UsageError, did_you_mean
from seqlm.models import LABELERS

if TYPE_CHECKING:
    import torch

    from seqlm.decoding.contextual_vectors import ContextualVectors, Pieces
    from seqlm.runs.loading.load_labeler import LoadedLabeler
    from seqlm.runs.loading.load_model import LoadedModel
    from seqlm.runs.loading.load_vectors import LoadedVectors
    from seqlm.runs.loading.locate import ModelPath

PIECES = ("last", "first", "mean")


class WordEmbedder(Protocol):
    """What gives vectors to words."""

    @property
    def width(self) -> int:
        """D"""

    def embed(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """(W, D) float32 for each sentence."""


class ChosenLayers:
    """Some layers of a language model, side by side."""

    def __init__(self, vectors: ContextualVectors, layers: Sequence[int]) -> None:
        self.vectors, self.layers = vectors, layers

    @property
    def width(self) -> int:
        return sum(self.vectors.layer_widths[layer] for layer in self.layers)

    def embed(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        widths = self.vectors.layer_widths
        return [
            np.concatenate([array[:, layer, : widths[layer]] for layer in self.layers], 1)
            for array in self.vectors.embed(sentences)
        ]


class MixedLayers:
    """All layers of a language model, added up with `weights` (K,)."""

    def __init__(self, vectors: ContextualVectors, weights: np.ndarray) -> None:
        self.vectors, self.weights = vectors, weights.astype(np.float32)

    @property
    def width(self) -> int:
        return max(self.vectors.layer_widths)

    def embed(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [
            np.einsum("k,wkd->wd", self.weights, array) for array in self.vectors.embed(sentences)
        ]


class TableVectors:
    """The vectors of a table."""

    def __init__(self, table: LoadedVectors) -> None:
        self.table = table
        self.num_words = 0
        """How many words have been looked up."""
        self.num_unknown = 0
        """How many of them have no vector, but zeros."""

    @property
    def width(self) -> int:
        return self.table.width

    def embed(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        return [self.look_up(words) for words in sentences]

    def look_up(self, words: Sequence[str]) -> np.ndarray:
        """(W, D) float32"""
        found = np.zeros((len(words), self.width), np.float32)
        others = []
        for place, word in enumerate(words):
            row = self.table.row(word)
            if row is None:
                others.append(place)
            else:
                found[place] = self.table.vectors[row]
        composed = self.compose({words[place] for place in others})
        for place in others:
            found[place] = composed.get(words[place], 0)
        self.num_words += len(words)
        self.num_unknown += sum(words[place] not in composed for place in others)
        return found

    def compose(self, words: Iterable[str]) -> dict[str, np.ndarray]:
        """The vectors of those of `words` that are composed of character n-grams."""
        if self.table.compose is None:
            return {}
        return dict(zip(*self.table.compose(sorted(words))))


# ---------------------------------------------------------------------------------------- models


def load_embedders(
    model_path: ModelPath,
    layers: str | None = None,
    pieces: Pieces | None = None,
    device: torch.device | str = "cpu",
) -> list[WordEmbedder]:
    """What gives vectors to words in the model at `model_path`, as `embedders_of`.

    Errors: those; ModelError where it cannot be read.
    """
    if model_path.config.task == "vectors":
        from seqlm.runs.loading.load_vectors import load_vectors

        return [TableVectors(load_vectors(model_path))]
    from seqlm.runs.loading.load_labeler import load_labeler
    from seqlm.runs.loading.load_model import load_model

    load = load_labeler if model_path.config.task in LABELERS else load_model
    return embedders_of(load(model_path, device), layers, pieces)


def embedders_of(
    loaded: LoadedModel | LoadedLabeler, layers: str | None = None, pieces: Pieces | None = None
) -> list[WordEmbedder]:
    """The embedder of a language model, or those of the language models that a labeler reads.

    `layers` is a number, or several with commas between them, `all` or `mean`; None is the mix that
    a labeler has learned, and otherwise the mean.
    Errors: ModelError where the model has no vectors; UsageError on `layers` or `pieces`.
    """
    from seqlm.decoding.contextual_vectors import ContextualVectors
    from seqlm.runs.loading.load_labeler import LoadedLabeler

    if pieces not in (None, *PIECES):
        raise UsageError(f"`pieces` is {pieces!r}{did_you_mean(str(pieces), PIECES)}")
    if not isinstance(loaded, LoadedLabeler):
        return [with_layers(ContextualVectors(loaded, pieces or "last"), layers or "mean")]
    if not loaded.language_models:
        raise ModelError(f"{loaded.path} reads no language model, and has no such vectors")
    if pieces not in (None, "last") and layers is None:
        raise UsageError("`pieces`: a labeler has learned its mix for the last piece of each word")
    read = [ContextualVectors(each, pieces or "last") for each in loaded.language_models]
    if layers is not None:
        return [with_layers(vectors, layers) for vectors in read]
    from seqlm.models.labeling.word_features import LayerMix

    mixes = [module for module in loaded.model.modules() if isinstance(module, LayerMix)]
    return [MixedLayers(vectors, mix.layer_weights()) for vectors, mix in zip(read, mixes)]


def with_layers(vectors: ContextualVectors, layers: str) -> WordEmbedder:
    """The embedder of `layers`. Errors: UsageError naming the layers that there are."""
    count = len(vectors.layer_widths)
    if layers == "mean":
        return MixedLayers(vectors, np.full(count, 1 / count))
    names = [str(number) for number in range(count)]
    chosen = names if layers == "all" else [name.strip() for name in layers.split(",")]
    if not set(chosen) <= set(names):
        raise UsageError(
            f"`layers={layers}`: the layers are 0, which is the embedding, to {count - 1}; several"
            " have commas between them; and there are all and mean"
        )
    return ChosenLayers(vectors, [int(name) for name in chosen])
