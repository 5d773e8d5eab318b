"""A labeler evaluated on labeled text: what it predicts beside what is right.

Predictions are those that `seqlm tag` writes, in the scheme of the training text. The probability
of a label is its marginal, p(y_t = label | sentence), among the labels that the model chooses from;
a gold label that training did not have has none, and counts as wrong. A word is *unseen* if it, in
normal form, is none of the types that the vocabulary took from the training text.

R records · B of a batch · T positions · L labels of a column
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from seqlm.decoding.labeling.label_sentences import as_texts, encode_for, read_sentences
from seqlm.errors import DataError, UsageError
from seqlm.evaluation.labeling.bootstrap import Interval
from seqlm.evaluation.labeling.label_counts import Labels
from seqlm.evaluation.labeling.label_evaluation import LabelEvaluation, evaluate_labels
from seqlm.evaluation.labeling.label_metrics import DEFAULTS, LABEL_METRICS
from seqlm.evaluation.labeling.label_signature import labeler_signature
from seqlm.evaluation.labeling.text_check import place_of
from seqlm.runs.loading.load_labeler import LoadedLabeler
from seqlm.text.labeled.encode_records import column_of, convert_tags
from seqlm.text.labeled.label_vocabulary import LabelColumn
from seqlm.text.labeled.labeled_batches import EncodedSentences
from seqlm.text.labeled.record import FormatOptions, Record, TaskName
from seqlm.text.labeled.record_files import read_records
from seqlm.text.labeled.tag_schemes import ill_formed
from seqlm.text.vocabulary import UNK


class Finding(NamedTuple):
    """What is odd about some labels, and where the first of them is."""

    times: int
    label: str
    file: str
    line: int


class ColumnEvaluation(NamedTuple):
    """What a labeler predicts in one column, evaluated."""

    name: str
    """The column that the model learned."""
    gold: Labels
    predicted: Labels
    evaluation: LabelEvaluation
    unknown: Finding | None
    """Gold labels that training did not have."""
    ill_formed: tuple[Finding | None, Finding | None]
    """Gold tags, and predicted ones, that do not follow the scheme of the training text."""
    signature: str


class Figure(NamedTuple):
    value: float
    interval: Interval | None
    """Of 95 %; None without bootstrap samples."""


class Predictions(NamedTuple):
    """What a labeler says of each record in one column; a classified text has one label."""

    labels: list[list[str]]
    gold_probabilities: list[Sequence[float]]
    confidences: list[Sequence[float]]
    """The probabilities of the predicted labels."""


def read_gold(
    loaded: LoadedLabeler,
    files: Sequence[str],
    format: str | None = None,
    text_column: str | None = None,
    label_columns: Sequence[str] = (),
    errors: str = "strict",
) -> list[Record]:
    """The records of labeled text in `files` ('-' is standard input), without blank ones.

    `label_columns` are those of the gold labels, for each column that the model learned, in that
    order; without them the names are the same. Errors: DataError, UsageError.
    """
    learned = loaded.labels.columns
    if label_columns and len(label_columns) != len(learned):
        raise UsageError(
            f"`label_column` names {len(label_columns)} columns, and {loaded.path} predicts"
            f" {len(learned)}: {', '.join(learned)}"
        )
    task = cast(TaskName, loaded.labels.task)
    named = label_columns or (learned if task == "tagging" else [])
    options = FormatOptions(format, text_column, named[0] if named else None)
    found = read_records(files, task, options, errors)
    records = [record for record in found if not record.is_blank]
    return [with_learned_names(record, learned, label_columns) for record in records]


def with_learned_names(
    record: Record, learned: Sequence[str], label_columns: Sequence[str]
) -> Record:
    """The record with its gold labels under the names of the columns that a model learned."""
    if len(learned) == 1:
        names: Sequence[str] = [record.format.label_column]
    else:
        names = label_columns or learned
    gold = {name: column_of(record, of_text) for name, of_text in zip(learned, names)}
    return record._replace(columns={**record.columns, **gold})


def evaluate_labeler(
    loaded: LoadedLabeler,
    records: Sequence[Record],
    metrics: Sequence[str] | None = None,
    samples: int = 1000,
    seed: int = 1,
    batch_size: int = 64,
) -> list[ColumnEvaluation]:
    """The `metrics` of each column that the model learned, on records as `read_gold` gives them.

    Without names, the metrics are those of the task, f1 only where tags stand for spans. `samples`
    and `seed` are those of `evaluate_labels`. Errors: UsageError on a metric that does not exist,
    or where a column is missing that the model reads; DataError where there is no record.
    """
    if not records:
        raise DataError("there is no labeled text to evaluate on")
    encoded = encode_for(loaded, records)
    needs = {LABEL_METRICS[name].needs for name in metrics or () if name in LABEL_METRICS}
    with_probabilities = bool(needs & {"gold_probabilities", "confidences"})
    predictions = predict(loaded, encoded, batch_size, with_probabilities)
    unseen = find_unseen(loaded, encoded) if "unseen" in needs else None
    evaluations = []
    for column, predicted in zip(loaded.labels.labels, predictions):
        gold = [column_of(record, column.name) for record in records]
        scheme = column.text_scheme if loaded.labels.task == "tagging" else None
        evaluation = evaluate_labels(
            gold,
            predicted.labels,
            metrics=default_metrics(loaded.labels.task, column) if metrics is None else metrics,
            scheme=scheme,
            unseen=unseen,
            gold_probabilities=predicted.gold_probabilities if with_probabilities else None,
            confidences=predicted.confidences if with_probabilities else None,
            samples=samples,
            seed=seed,
        )
        unknown = find_labels(records, gold, partial(unknown_labels, column=column))
        breaks = partial(ill_formed, scheme=column.text_scheme)
        evaluations.append(
            ColumnEvaluation(
                name=column.name,
                gold=gold,
                predicted=predicted.labels,
                evaluation=evaluation,
                unknown=unknown,
                ill_formed=(
                    find_labels(records, gold, breaks),
                    find_labels(records, predicted.labels, breaks),
                ),
                signature=labeler_signature(
                    evaluation.signature,
                    column.name,
                    records[0].format.name,
                    unknown.times if unknown else 0,
                    loaded,
                ),
            )
        )
    return evaluations


def figures_of(columns: Sequence[ColumnEvaluation]) -> dict[str, Figure]:
    """The figures of all columns by the name of the metric, behind that of the column where there
    are several: 'upos:accuracy'."""
    return {
        f"{column.name}:{name}" if len(columns) > 1 else name: Figure(value, intervals.get(name))
        for column in columns
        for intervals in [column.evaluation.intervals]
        for name, value in column.evaluation.figures.items()
    }


def default_metrics(task: str, column: LabelColumn) -> list[str]:
    return [name for name in DEFAULTS[task] if name != "f1" or column.text_scheme != "none"]


# ------------------------------------------------------------------------------------- predictions


@torch.inference_mode()
def predict(
    loaded: LoadedLabeler, encoded: EncodedSentences, batch_size: int, with_probabilities: bool
) -> list[Predictions]:
    """The predictions of each column, in the order of the records."""
    R = len(encoded.lengths)
    columns = [Predictions([[]] * R, [()] * R, [()] * R) for _ in loaded.labels.labels]
    for rows, batch, distributions in read_sentences(loaded.model, encoded, batch_size):
        for column, predictions, distribution, gold in zip(
            loaded.labels.labels, columns, distributions, batch.labels.unbind(2)
        ):
            best = distribution.decode()  # (B, T)
            for row, texts in zip(rows, as_texts(best, distribution.lengths, column)):
                predictions.labels[row] = texts
            if not with_probabilities:
                continue
            p, lengths = distribution.marginals(), distribution.lengths.tolist()  # (B, T, L)
            for into, labels in (
                (predictions.gold_probabilities, gold),
                (predictions.confidences, best),
            ):
                for row, values, length in zip(rows, of_labels(p, labels).tolist(), lengths):
                    into[row] = values[:length]
    return columns


def of_labels(p: Tensor, labels: Tensor) -> Tensor:
    """(B, T) of p (B, T, L) those of `labels` (B, T), and 0 where a label is -1."""
    chosen = p.gather(2, labels.clamp(min=0)[..., None]).squeeze(2)
    return torch.where(labels >= 0, chosen, 0.0)


def find_unseen(loaded: LoadedLabeler, encoded: EncodedSentences) -> list[list[bool]]:
    """Which words of each record the training text did not have.

    The vocabulary has its words first, and behind them those that only have pretrained vectors.
    """
    types = loaded.config.data.get("types")
    known = types if isinstance(types, int) else len(loaded.tokenizer)
    words = encoded.table.words[encoded.form_of]
    is_unseen = (words == UNK) | (words >= known)
    return [of_record.tolist() for of_record in np.split(is_unseen, encoded.starts[1:])]


# ------------------------------------------------------------------------------ what the text has


def find_labels(
    records: Sequence[Record], labels: Labels, positions: Callable[[list[str]], Iterable[int]]
) -> Finding | None:
    """The labels at those `positions` of every record; None where there are none."""
    found = [
        (record, at, of_record[at])
        for record, of_record in zip(records, labels)
        for at in positions(list(of_record))
    ]
    if not found:
        return None
    record, at, label = found[0]
    return Finding(len(found), label, *place_of(record, at))


def unknown_labels(labels: list[str], column: LabelColumn) -> list[int]:
    """The positions of labels that training did not have."""
    known = set(column.labels)
    converted = convert_tags(labels, column.text_scheme, column.model_scheme)
    return [at for at, label in enumerate(converted) if label not in known]
