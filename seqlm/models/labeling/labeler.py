"""The interface of labelers: models that give a sentence labels, one for each token or one in all.

    h_t   features of position t, from all of the sentence
    s_t   scores of the labels, W h_t + b       y     the labels of a sentence

Other than a sequence model, a labeler reads a whole sentence before it answers. It *encodes* the
words into features (`sentence_labeler.py`, `bag_of_ngrams.py`), and for each column of labels an
output (`outputs/`) makes a distribution p(y | sentence) of these. The text of a classifier has one
position, for its one label; all else is the same.

B sentences · T positions · D width of h · L labels of a column · K columns
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seqlm.errors import UsageError
from seqlm.models.labeling.outputs.label_output import LabelOutput, LabelSequences
from seqlm.models.stored_model import StoredModel
from seqlm.text.labeled.labeled_batches import EncodedSentences, LabeledBatch


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


class Labeler(StoredModel):
    """What every labeler offers, whatever it reads of a sentence."""

    outputs: nn.ModuleList
    """A `LabelOutput` for each column of labels."""
    labels_texts: bool = False
    """Whether it is a classifier, which gives a whole text one label."""

    @abstractmethod
    def encode(self, batch: LabeledBatch) -> Tensor:
        """The features h (B, T, D) of a batch; (B, 1, D) of a classifier."""

    def forward(self, batch: LabeledBatch) -> list[LabelDistribution]:
        """The distribution of the labels of each column."""
        h = self.encode(batch)
        lengths = torch.ones_like(batch.lengths) if self.labels_texts else batch.lengths
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

    def start_from(self, vectors: Tensor) -> None:
        """Gives all words but the two reserved ones these `vectors` (V - 2, D).

        Errors: UsageError where it has no such embedding.
        """
        raise UsageError(f"`vectors`: {type(self).__name__} has no embedding of words to start")
