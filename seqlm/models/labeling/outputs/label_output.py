"""The interface of a labeler's output: the scores of labels, and what is asked of them.

    softmax: a label depends on the sentence alone      crf: it depends on its neighbors, too

B sentences · T tokens · D width of the features · L labels. `lengths` (B,) holds the number of
tokens of each sentence, 1 to T. Behind them is padding on the right: what stands there changes
nothing. Where a verb gives labels, the padding's are -1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqlm.models.layers.linear import Linear
from seqlm.text.labeled.label_vocabulary import UNKNOWN_LABEL


class LabelSequences(NamedTuple):
    """The n most probable label sequences of each sentence, the most probable first."""

    labels: Tensor  # (B, n, T), -1 in the padding and in sequences that do not exist
    log_probs: Tensor  # (B, n) natural log, -inf where a sentence has fewer than n sequences


class LabelOutput(nn.Module, ABC):
    """An output layer: features (B, T, D) to a distribution over the label sequences."""

    def __init__(self, width: int, labels: int) -> None:
        """`width` is D, `labels` L."""
        super().__init__()
        self.linear = Linear(width, labels)

    def scores(self, features: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, L), which the other verbs read.

        They have the weights' precision under autocast too, since they are summed over a sentence.
        """
        scores: Tensor = self.linear(features)
        return scores.to(self.linear.weight.dtype)

    @abstractmethod
    def log_likelihood(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, L), (B, T) -> (B,) natural log of the probability of the labels.

        It sums over all labels of a token whose label is -1: it is the probability of those known.
        """

    @abstractmethod
    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, L) -> (B, T), the most probable label sequence.

        Of several it is the one with the lowest first label, then with the lowest second one, ...
        """

    @abstractmethod
    def marginals(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, L) -> (B, T, L), the probability of each label of each token; 0 in the padding."""

    @abstractmethod
    def nbest(self, scores: Tensor, lengths: Tensor, n: int) -> LabelSequences:
        """The n most probable label sequences; the order of equally probable ones is not fixed."""

    @abstractmethod
    def sample(
        self, scores: Tensor, lengths: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """(B, T, L) -> (B, T), a label sequence drawn from its distribution."""


def first_alone(scores: Tensor, n: int) -> Tensor:
    """(n,) log probabilities 0, -inf, -inf, ..: of n possible sequences only the first exists."""
    alone = scores.new_full((n,), -torch.inf)
    alone[0] = 0
    return alone


def fill_sequences(found: LabelSequences, inside: Tensor, n: int) -> LabelSequences:
    """`found`, k <= n sequences, with -1 and -inf for what is missing; `inside` is (B, T)."""
    missing = n - found.log_probs.shape[1]
    log_probs = nn.functional.pad(found.log_probs, (0, missing), value=-torch.inf)
    labels = nn.functional.pad(found.labels, (0, 0, 0, missing))
    exists = inside[:, None] & log_probs.isfinite()[..., None]  # (B, n, T)
    return LabelSequences(labels.where(exists, UNKNOWN_LABEL), log_probs)


def draw(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """(n, L) -> (n,), each drawn from the softmax of its logits."""
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
