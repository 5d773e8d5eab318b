"""What a labeler reads of each word, side by side in one vector.

    x_t = [E w; c; P_1 p_1; ..; S_1 s_1; ..; C z; F_1 f_1; ..; ELMo_t; ..]

    E w    embedding of the word                      c      of its characters
    P, S   embeddings of its prefixes and suffixes    C z    of its casing
    F f    embeddings of columns that are given, such as parts of speech
    ELMo   a mix of the layers of a language model (Peters et al. 2018, eq. 1):

           ELMo_t = gamma sum_k softmax(m)_k v_{t,k}      v_{t,k}  output of layer k at t

All but the last two depend on the spelling alone, and are computed once for each of the U forms of
a batch. In training, `dropout_word` reads some of the words as `<unk>`; characters and the rest of
x_t stay what they are.

B sentences · T words · U forms · E width of x
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from seqlm.errors import UsageError
from seqlm.models.config.labeler_config import LabelerConfig
from seqlm.models.labeling.character_features import CharacterCNN, CharacterLSTM
from seqlm.text.labeled.labeled_batches import LabeledBatch
from seqlm.text.labeled.word_forms import CASING_TYPES
from seqlm.text.vocabulary import UNK

AFFIX_EMBEDDING = 20
"""Width of the embedding of a prefix or suffix."""
CASING_EMBEDDING = 8
COLUMN_EMBEDDING = 20


class LayerMix(nn.Module):
    """ELMo: the layers of a language model in one, with weights that are learned."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))  # m
        self.scale = nn.Parameter(torch.ones(()))  # gamma

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, T, layers, D) -> (B, T, D)."""
        mixed: Tensor = torch.tensordot(self.weights.softmax(0), vectors, dims=([0], [2]))
        return self.scale * mixed

    def layer_weights(self) -> np.ndarray:
        """(layers,) float32, gamma softmax(m): what each layer is multiplied by."""
        return (self.scale * self.weights.softmax(0)).detach().cpu().numpy()


class WordFeatures(nn.Module):
    def __init__(self, config: LabelerConfig) -> None:
        super().__init__()
        self.dropout_word = config.dropout_word
        self.embedding = embedding(config.vocab_size, config.embedding)
        self.embedding.requires_grad_(config.vectors_training != "frozen")
        self.characters: nn.Module | None = None
        if config.characters != "none":
            kind = CharacterCNN if config.characters == "cnn" else CharacterLSTM
            self.characters = kind(config.character_types, config.character_width)
        self.affixes = nn.ParameterList(
            embedding(types, AFFIX_EMBEDDING) for types in config.affix_types
        )
        self.casing = embedding(CASING_TYPES, CASING_EMBEDDING) if config.casing else None
        self.columns = nn.ParameterList(
            embedding(types, COLUMN_EMBEDDING) for types in config.column_types
        )
        sizes = config.contextual_widths
        self.mixes = nn.ModuleList(LayerMix(layers) for layers in sizes[::2])
        self.width = (
            config.embedding
            + (config.character_width if self.characters is not None else 0)
            + AFFIX_EMBEDDING * len(self.affixes)
            + (CASING_EMBEDDING if config.casing else 0)
            + COLUMN_EMBEDDING * len(self.columns)
            + sum(sizes[1::2])
        )

    @torch.no_grad()
    def start_from(self, vectors: Tensor) -> None:
        """Gives all words but the reserved ones these `vectors` (V - 2, D).

        Errors: UsageError where the embedding has another width.
        """
        width = self.embedding.shape[1]
        if vectors.shape[1] != width:
            raise UsageError(
                f"`embedding={width}`: the vectors are {vectors.shape[1]} wide; leave it out"
            )
        self.embedding[-len(vectors) :] = vectors

    def forward(self, batch: LabeledBatch) -> Tensor:
        """x (B, T, E)."""
        words = batch.words[batch.form_of]  # (B, T)
        if self.training and self.dropout_word:
            is_dropped = torch.rand(words.shape, device=words.device) < self.dropout_word
            words = words.masked_fill(is_dropped, UNK)
        parts = [nn.functional.embedding(words, self.embedding)]
        of_forms = self.spelling(batch)
        if of_forms:
            # Not [batch.form_of], whose gradient depends on the order in which threads add to it.
            parts.append(nn.functional.embedding(batch.form_of, torch.cat(of_forms, 1)))
        for table, values in zip(self.columns, batch.columns.unbind(2)):
            parts.append(nn.functional.embedding(values, table))
        for mix, vectors in zip(self.mixes, batch.contextual):
            parts.append(mix(vectors))
        return torch.cat(parts, 2)

    def spelling(self, batch: LabeledBatch) -> list[Tensor]:
        """The parts of x that depend on the spelling alone, (U, ..) each."""
        parts = []
        if self.characters is not None:
            parts.append(self.characters(batch.characters))
        for table, affixes in zip(self.affixes, batch.affixes.unbind(1)):
            parts.append(nn.functional.embedding(affixes, table))
        if self.casing is not None:
            parts.append(nn.functional.embedding(batch.casing, self.casing))
        return parts


def embedding(types: int, width: int) -> nn.Parameter:
    """(types, width) from U(+-sqrt(3 / width)), which has variance 1 / width (Ma & Hovy 2016)."""
    bound = math.sqrt(3 / width)
    return nn.Parameter(torch.empty(types, width).uniform_(-bound, bound))
