"""Records of text to their labels.

    y*              the most probable labels of a sentence, which are the result
    p(y | x)        the probability of a whole sequence of labels; the n best are those with most
    p(y_t = l | x)  the probability of one label, summed over all sequences that have it there

A text has one label, and the three are the same. Probabilities are those of the labels in the
scheme that the model learned; the labels are written in that of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch

from seqlm.decoding.labeling.label_sentences import as_text, as_texts, encode_for, read_sentences
from seqlm.decoding.labeling.labeling_settings import LabelingSettings
from seqlm.decoding.labeling.ready_groups import ready_groups
from seqlm.decoding.translation.sentence_batches import buffer_size, split_into_groups
from seqlm.errors import DataError, did_you_mean
from seqlm.models.labeling.labeler import LabelDistribution
from seqlm.runs.loading.load_labeler import LoadedLabeler
from seqlm.text.labeled.formats.label_lines import TextsFormat
from seqlm.text.labeled.formats.word_tag import SentencesFormat
from seqlm.text.labeled.label_vocabulary import LabelColumn
from seqlm.text.labeled.record import Format, FormatOptions, Record, words_of


class ScoredLabels(NamedTuple):
    """A sequence of labels, and the natural logarithm of its probability."""

    labels: list[str]
    log_prob: float


class ColumnLabels(NamedTuple):
    """The labels of a column: one for each of N tokens, or one for a text."""

    labels: list[str]
    nbest: list[ScoredLabels]
    """The most probable sequences, the best first, where they are asked for."""
    probabilities: list[float]
    """The probability of each of the `labels`, where they are asked for."""
    distribution: dict[str, float]
    """The probability of every label of a text, where they are asked for."""


class LabeledRecord(NamedTuple):
    """A record, and what a labeler found."""

    record: Record
    columns: dict[str, ColumnLabels]
    """By the names of the columns that the model learned; empty for a blank record."""

    @property
    def labels(self) -> dict[str, list[str]]:
        """The labels of each column."""
        return {name: found.labels for name, found in self.columns.items()}


def label_records(
    loaded: LoadedLabeler,
    records: Iterable[Record],
    settings: LabelingSettings,
    eager: bool = False,
) -> Iterator[LabeledRecord]:
    """One for each record, in order.

    Records are read ahead, so that those of similar length share a batch; `eager` labels those that
    are there, and never waits for more. No label depends on the batch size. Errors: DataError where
    a column is missing that the model reads; an error of `records`, after the records before it.
    """
    size = buffer_size(settings.batch_size)
    groups = ready_groups(records, size) if eager else split_into_groups(records, size)
    for group in groups:
        yield from label_group(loaded, group, settings)


@torch.inference_mode()
def label_group(
    loaded: LoadedLabeler, records: Sequence[Record], settings: LabelingSettings
) -> list[LabeledRecord]:
    """The labels of some records, which are encoded together."""
    answered: list[dict[str, ColumnLabels]] = [{} for _ in records]
    places = [place for place, record in enumerate(records) if not record.is_blank]
    if places:
        chosen = [records[place] for place in places]
        check_features(loaded, chosen)
        sentences = encode_for(loaded, chosen)
        columns, of_text = loaded.labels.labels, loaded.labels.task == "classification"
        for rows, _, distributions in read_sentences(loaded.model, sentences, settings.batch_size):
            for distribution, column in zip(distributions, columns):
                labeled = label_column(distribution, column, settings, of_text)
                for row, found in zip(rows.tolist(), labeled):
                    answered[places[row]][column.name] = found
    return [LabeledRecord(*both) for both in zip(records, answered)]


def label_column(
    distribution: LabelDistribution, column: LabelColumn, settings: LabelingSettings, of_text: bool
) -> list[ColumnLabels]:
    """The labels of the B sentences of a batch in one column; `of_text` if each is one label."""
    best = distribution.decode()  # (B, T)
    lengths, labels = distribution.lengths.tolist(), as_texts(best, distribution.lengths, column)
    nbest: list[list[ScoredLabels]] = [[] for _ in lengths]
    if settings.nbest is not None:
        sequences, log_probs = distribution.nbest(settings.nbest)  # (B, n, T), (B, n)
        nbest = [
            [
                ScoredLabels(as_text(ids[:length], column), log_prob)
                for ids, log_prob in zip(of_row, scores)
                if log_prob > -torch.inf
            ]
            for of_row, scores, length in zip(sequences.tolist(), log_probs.tolist(), lengths)
        ]
    probabilities: list[list[float]] = [[] for _ in lengths]
    every: list[dict[str, float]] = [{} for _ in lengths]
    if settings.probabilities:
        marginals = distribution.marginals()  # (B, T, L)
        of_best = marginals.take_along_dim(best.clamp(min=0)[..., None], 2)[..., 0]  # (B, T)
        probabilities = [row[:length] for row, length in zip(of_best.tolist(), lengths)]
        if of_text:
            every = [dict(zip(column.labels, row)) for row in marginals[:, 0].tolist()]
    return list(map(ColumnLabels, labels, nbest, probabilities, every))


def check_features(loaded: LoadedLabeler, records: Iterable[Record]) -> None:
    """Errors: DataError where a record has no column that the model reads beside the words."""
    for name in loaded.labels.feature_columns:
        for record in records:
            if name not in record.columns:
                near = did_you_mean(name, record.columns)
                raise DataError(
                    f"{record.file}, line {record.line}: there is no column {name!r}, which"
                    f" {loaded.path} reads beside the words{near}"
                )


def records_of(texts: Iterable[str | Sequence[str]], task: str) -> Iterator[Record]:
    """Records of sentences or texts in memory, each a text or the list of its tokens. A sentence
    without tokens is blank, since it has nothing to tag; a text without words has a label."""
    kind: type[Format] = SentencesFormat if task == "tagging" else TextsFormat
    form = kind("the text", FormatOptions(), labels_needed=False)
    for number, text in enumerate(texts, 1):
        tokens = words_of(text) if isinstance(text, str) else list(text)
        places = [0] if tokens or task == "classification" else []
        lines = [" ".join(tokens)]
        yield Record(tokens, {"token": tokens}, lines, form.file, number, places, form)
