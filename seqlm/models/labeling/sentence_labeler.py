"""Labelers that read a sentence word by word, with an encoder of any kind.

    x_t   what is known of word t (`word_features.py`)
    h_t   what the encoder makes of it, and of the words around it

    tagger        y_t  from  h_t
    classifier    y    from  pool_t h_t  (`pooling.py`)

B sentences · T words · E width of x · D width of h
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from seqlm.models.config.labeler_config import LabelerConfig
from seqlm.models.labeling.labeler import Labeler
from seqlm.models.labeling.outputs import make_output
from seqlm.models.labeling.pooling import make_pooling
from seqlm.models.labeling.word_features import WordFeatures
from seqlm.models.layers.dropout import locked_dropout
from seqlm.models.stored_model import ParameterGroup
from seqlm.text.labeled.labeled_batches import LabeledBatch

WARMING = 0.2
"""The share of training over which `vectors_training=warmed` keeps the pretrained vectors."""


class SentenceEncoder(nn.Module):
    """What reads the words of a sentence together."""

    width: int
    """D, the width of what it makes of them."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, E) of sentences of `lengths` (B,) words -> h (B, T, D), and one vector (B, D)
        that the last word read leaves behind."""
        raise NotImplementedError


class SentenceLabeler(Labeler):
    """What the labelers with an encoder have in common; a subclass makes it."""

    config_class: ClassVar[type] = LabelerConfig
    config: LabelerConfig

    def __init__(self, config: LabelerConfig) -> None:
        super().__init__(config)
        self.word_features = WordFeatures(config)
        self.encoder = self.make_encoder(self.word_features.width)
        self.pooling = make_pooling(config.pooling, self.encoder.width)
        self.labels_texts = self.pooling is not None
        self.outputs = nn.ModuleList(
            make_output("crf" if config.crf else "softmax", self.encoder.width, labels)
            for labels in config.label_types
        )

    @abstractmethod
    def make_encoder(self, input_width: int) -> SentenceEncoder:
        """The encoder of x (B, T, input_width)."""

    def encode(self, batch: LabeledBatch) -> Tensor:
        x = self.word_features(batch)  # (B, T, E)
        x = locked_dropout(x, self.config.dropout_input, self.training)
        h, last = self.encoder(x, batch.lengths)
        if self.pooling is not None:
            h = self.pooling(h, last, batch.lengths)  # (B, 1, D)
        return locked_dropout(h, self.config.dropout_output, self.training)

    def start_from(self, vectors: Tensor) -> None:
        self.word_features.start_from(vectors)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Weight decay applies to matrices; `vectors_training` to the embedding of the words."""
        vectors = self.word_features.embedding
        groups = [
            group._replace(parameters=[p for p in group.parameters if p is not vectors])
            for group in super().parameter_groups()
        ]
        warming = WARMING if self.config.vectors_training == "warmed" else 0.0
        return [*groups, ParameterGroup([vectors], weight_decay=False, still_until=warming)]
