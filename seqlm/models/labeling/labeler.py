"""The interface of labelers: models that give a sentence labels, one for each token or one in all.

    x_t   what is known of token t              h_t   features, what the encoder makes of it
    s_t   scores of the labels, W h_t + b       y     the labels of a sentence

Other than a sequence model, a labeler reads a whole sentence before it answers. It *encodes* the
words (`word_features.py`, then an encoder) into features, and for each column of labels an output
(`outputs/`) makes a distribution p(y | sentence) of these. A classifier pools the features of all
words into one (`pooling.py`), so that its text has one position; all else is the same.

B sentences · T positions · E width of x · D width of h · L labels of a column · K columns
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from seqlm.models.config.labeler_config import LabelerConfig
from seqlm.models.labeling.outputs import make_output
from seqlm.models.labeling.outputs.label_output import LabelOutput, LabelSequences
from seqlm.models.labeling.pooling import make_pooling
from seqlm.models.labeling.word_features import WordFeatures
from seqlm.models.layers.dropout import locked_dropout
from seqlm.models.stored_model import ParameterGroup, StoredModel
from seqlm.text.labeled.labeled_batches import EncodedSentences, LabeledBatch

WARMING = 0.2
"""The share of training over which `vectors_training=warmed` keeps the pretrained vectors."""


class LabelDistribution(NamedTuple):
    """p(y | sentence) of one column, for the sentences of a batch. The verbs are those of
    `LabelOutput`, which says what they return."""

    output: LabelOutput
    scores: Tensor  # (B, T, L)
    lengths: Tensor  # (B,) positions that have labels

    def log_likelihood(self, labels: Tensor) -> Tensor:
        """(B,) log p of `labels` (B, T), in nats."""
        return self.output.log_likelihood(self.scores, labels, self.lengths)

    def decode(self) -> Tensor:
        """(B, T) the most probable labels."""
        return self.output.decode(self.scores, self.lengths)

    def marginals(self) -> Tensor:
        """(B, T, L) the probability of each label at each position."""
        return self.output.marginals(self.scores, self.lengths)

    def nbest(self, n: int) -> LabelSequences:
        """The n most probable sequences of labels, and their log-probabilities."""
        return self.output.nbest(self.scores, self.lengths, n)

    def sample(self, generator: torch.Generator) -> Tensor:
        """(B, T) labels drawn from the distribution."""
        return self.output.sample(self.scores, self.lengths, generator)


class SentenceEncoder(nn.Module):
    """What reads the words of a sentence together."""

    width: int
    """D, the width of what it makes of them."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, E) of sentences of `lengths` (B,) words -> h (B, T, D), and one vector (B, D)
        that the last word read leaves behind."""
        raise NotImplementedError


class Labeler(StoredModel):
    """What all labelers have in common; a subclass makes the encoder."""

    config_class: ClassVar[type] = LabelerConfig
    config: LabelerConfig

    def __init__(self, config: LabelerConfig) -> None:
        super().__init__(config)
        self.word_features = WordFeatures(config)
        self.encoder = self.make_encoder(self.word_features.width)
        self.pooling = make_pooling(config.pooling, self.encoder.width)
        self.outputs = nn.ModuleList(
            make_output("crf" if config.crf else "softmax", self.encoder.width, labels)
            for labels in config.label_types
        )

    @abstractmethod
    def make_encoder(self, input_width: int) -> SentenceEncoder:
        """The encoder of x (B, T, input_width)."""

    def encode(self, batch: LabeledBatch) -> Tensor:
        """The features h (B, T, D) of a batch; (B, 1, D) of a classifier."""
        x = self.word_features(batch)  # (B, T, E)
        x = locked_dropout(x, self.config.dropout_input, self.training)
        h, last = self.encoder(x, batch.lengths)
        if self.pooling is not None:
            h = self.pooling(h, last, batch.lengths)  # (B, 1, D)
        return locked_dropout(h, self.config.dropout_output, self.training)

    def forward(self, batch: LabeledBatch) -> list[LabelDistribution]:
        """The distribution of the labels of each column."""
        h = self.encode(batch)
        lengths = batch.lengths if self.pooling is None else torch.ones_like(batch.lengths)
        outputs = cast(Iterable[LabelOutput], self.outputs)
        return [LabelDistribution(output, output.scores(h), lengths) for output in outputs]

    def loss(self, batch: LabeledBatch) -> Tensor:
        """() mean negative log-likelihood of the labels, in nats a token (or text), all columns
        together."""
        distributions, labels = self(batch), batch.labels.unbind(2)
        total = torch.stack(
            [one.log_likelihood(of_column).sum() for one, of_column in zip(distributions, labels)]
        ).sum()
        return -total / batch.num_targets

    def learn_from(self, sentences: EncodedSentences) -> None:
        """Called before training with the text to train on, for what is counted and not trained."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """Weight decay applies to matrices; `vectors_training` to the embedding of the words."""
        vectors = self.word_features.embedding
        groups = [
            group._replace(parameters=[p for p in group.parameters if p is not vectors])
            for group in super().parameter_groups()
        ]
        warming = WARMING if self.config.vectors_training == "warmed" else 0.0
        return [*groups, ParameterGroup([vectors], weight_decay=False, still_until=warming)]
