"""Encoded sentences in batches, as labelers read them.

What is known of a word by its spelling alone is computed once for each *form*, the spelling of a
word as it stands in the text, and not once for each token: a batch has a list of the forms in it,
and every token says which of them it is.

    B sentences · T tokens of the longest · U forms of the batch · C characters of the longest
    A affixes · F columns that are read as features · K columns of labels

Sentences of similar length share a batch, in a new random order every epoch. They are padded on the
right; nothing of the padding has a meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.text.labeled.label_vocabulary import UNKNOWN_LABEL
from seqlm.text.labeled.word_forms import FormTable


class LabeledBatch(NamedTuple):
    """Sentences that a labeler reads, and the labels that it learns, where they are known."""

    form_of: Tensor  # (B, T) int64, the form of each token
    lengths: Tensor  # (B,) int64, the tokens of each sentence
    words: Tensor  # (U,) int64, the id of each form's word
    characters: Tensor  # (U, C) int64, 0 after the last
    affixes: Tensor  # (U, A) int64
    casing: Tensor  # (U,) int64
    columns: Tensor  # (B, T, F) int64
    contextual: tuple[Tensor, ...]  # of each language model (B, T, layers, width)
    labels: Tensor  # (B, T, K) int64 of a tagger, (B, 1, K) of a classifier; -1 where not known
    num_targets: int
    """The number of tokens that are labeled; of texts, for a classifier."""


class EncodedSentences(NamedTuple):
    """Sentences as numbers, one after the other: N tokens in R sentences."""

    table: FormTable
    form_of: np.ndarray  # (N,) int64, the form of each token
    lengths: np.ndarray  # (R,) int64, at least 1
    columns: np.ndarray  # (N, F) int64
    labels: np.ndarray  # (N, K) int64 of a tagger, (R, K) of a classifier; -1 where not known
    contextual: tuple[np.ndarray, ...] = ()  # of each language model (N, layers, width)

    @property
    def starts(self) -> np.ndarray:
        """(R,) where each sentence begins."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts

    @property
    def labels_texts(self) -> bool:
        """Whether each sentence has one label, and not each token."""
        return len(self.labels) != len(self.form_of)


def batch_at(
    sentences: EncodedSentences,
    rows: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    device: torch.device | str,
) -> LabeledBatch:
    """The batch of the sentences numbered `rows`, which begin at `starts` and have these `lengths`,
    (B,) each."""
    offsets = np.arange(lengths.max())
    is_real = offsets < lengths[:, None]  # (B, T)
    tokens = np.where(is_real, starts[:, None] + offsets, starts[:, None])
    forms, form_of = np.unique(sentences.form_of[tokens], return_inverse=True)
    if sentences.labels_texts:
        labels, num_targets = sentences.labels[rows][:, None], len(rows)
    else:
        labels = np.where(is_real[..., None], sentences.labels[tokens], UNKNOWN_LABEL)
        num_targets = int(lengths.sum())
    table = sentences.table
    longest = int(table.spelled[forms].max(initial=1))

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    return LabeledBatch(
        form_of=tensor(form_of.reshape(tokens.shape)),
        lengths=tensor(lengths),
        words=tensor(table.words[forms]),
        characters=tensor(table.characters[forms, :longest]),
        affixes=tensor(table.affixes[forms]),
        casing=tensor(table.casing[forms]),
        columns=tensor(sentences.columns[tokens]),
        contextual=tuple(tensor(vectors[tokens]) for vectors in sentences.contextual),
        labels=tensor(labels),
        num_targets=num_targets,
    )


class LabeledBatches:
    """The sentences to train on, in batches of `rows` of similar length."""

    def __init__(
        self, sentences: EncodedSentences, rows: int, seed: int, device: torch.device
    ) -> None:
        self.sentences, self.rows, self.seed, self.device = sentences, rows, seed, device
        self.starts = sentences.starts
        self.unit = "texts" if sentences.labels_texts else "tokens"

    def __len__(self) -> int:
        return -(-len(self.sentences.lengths) // self.rows)

    def epoch(self, number: int) -> Sequence[LabeledBatch]:
        rng = np.random.default_rng([self.seed, number])
        shuffled = rng.permutation(len(self.sentences.lengths))
        by_length = shuffled[np.argsort(self.sentences.lengths[shuffled], kind="stable")]
        groups = [by_length[at : at + self.rows] for at in range(0, len(by_length), self.rows)]
        return LabeledEpoch(self, [groups[index] for index in rng.permutation(len(groups))])


class LabeledEpoch(Sequence[LabeledBatch]):
    """One epoch of LabeledBatches; `groups` are the sentences of each batch."""

    def __init__(self, batches: LabeledBatches, groups: list[np.ndarray]) -> None:
        self.batches, self.groups = batches, groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> LabeledBatch:  # type: ignore[override]
        batches, rows = self.batches, self.groups[index]
        sentences = batches.sentences
        return batch_at(
            sentences, rows, batches.starts[rows], sentences.lengths[rows], batches.device
        )
