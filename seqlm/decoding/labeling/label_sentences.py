"""Encoded sentences to the most probable labels, in batches of similar length.

R sentences · M labels of a column, one for each token or each text · L labels to choose from
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.decoding.contextual_vectors import ContextualVectors
from seqlm.models.labeling.labeler import LabelDistribution, Labeler
from seqlm.runs.loading.load_labeler import LoadedLabeler
from seqlm.text.labeled.encode_records import convert_tags, encode_records
from seqlm.text.labeled.label_vocabulary import LabelColumn
from seqlm.text.labeled.labeled_batches import EncodedSentences, LabeledBatch, batch_at
from seqlm.text.labeled.record import Record

BATCH_TOKENS = 4096
"""The most positions of a batch, padding included; it bounds memory and changes no label."""


class LabeledRows(NamedTuple):
    """A batch that has been read."""

    rows: np.ndarray  # (B,) the numbers of its sentences
    batch: LabeledBatch
    distributions: list[LabelDistribution]
    """One for each column of labels."""


@torch.inference_mode()
def read_sentences(
    labeler: Labeler, sentences: EncodedSentences, batch_size: int
) -> Iterator[LabeledRows]:
    """The label distributions of all sentences, the shortest first. The mode of `labeler` (training
    or evaluation) is left as it is."""
    starts, lengths = sentences.starts, sentences.lengths
    by_length, at = np.argsort(lengths, kind="stable"), 0
    while at < len(by_length):
        rows = by_length[at : at + batch_size]
        fits = np.arange(1, len(rows) + 1) * lengths[rows] <= BATCH_TOKENS
        rows = rows[: max(1, int(fits.sum()))]
        batch = batch_at(sentences, rows, starts[rows], lengths[rows], labeler.device)
        yield LabeledRows(rows, batch, labeler(batch))
        at += len(rows)


def encode_for(loaded: LoadedLabeler, records: Sequence[Record]) -> EncodedSentences:
    """`records` as a labeler reads them. Errors: UsageError where a column is missing that it reads
    as a feature."""
    encoded = encode_records(records, loaded.reader, loaded.labels)
    models = [ContextualVectors(model) for model in loaded.language_models]
    return add_contextual(encoded, records, models)


def add_contextual(
    encoded: EncodedSentences, records: Sequence[Record], models: Sequence[ContextualVectors]
) -> EncodedSentences:
    """The sentences with the vectors that language models give their words."""
    words = [record.tokens or [""] for record in records]
    return encoded._replace(
        contextual=tuple(np.concatenate(model.embed(words)) for model in models)
    )


def as_text(ids: Sequence[int], column: LabelColumn) -> list[str]:
    """The labels of a sentence, in the scheme of the text."""
    labels = [column.labels[id] for id in ids]
    return convert_tags(labels, column.model_scheme, column.text_scheme)


def as_texts(ids: Tensor, lengths: Tensor, column: LabelColumn) -> list[list[str]]:
    """The labels of the sentences of a batch; ids (B, T) of which `lengths` (B,) are labels."""
    return [as_text(row[:length], column) for row, length in zip(ids.tolist(), lengths.tolist())]
