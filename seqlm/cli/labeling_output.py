"""How labels are printed: in the format of the text, with probabilities, as n-best lists, or as
JSON."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seqlm.errors import UsageError

if TYPE_CHECKING:
    from seqlm.decoding.labeling.label_records import ColumnLabels, LabeledRecord


def format_in_place(labeled: LabeledRecord, task: str, names: Sequence[str]) -> str:
    """The text of a record with its labels, those of a tagger in the columns `names`.

    Errors: UsageError or DataError where the format cannot hold them.
    """
    from seqlm.text.labeled.record import LineFormat

    record = labeled.record
    if task == "classification":
        names = [record.format.label_column]
    elif len(names) > 1 and isinstance(record.format, LineFormat):
        raise UsageError(
            f"{record.file} is read as {record.format.name}, which has one label for each word, and"
            f" the model gives {len(names)}: print them with `json`, or name another `format`"
        )
    return record.format.write(record, dict(zip(names, labeled.labels.values())))


def format_probabilities(labeled: LabeledRecord, task: str) -> str:
    """A tagger's lines of a token, its label and the probability of that, with tabs between them,
    and an empty line after each sentence; a classifier's line of label, probability and text."""
    if not labeled.columns:
        return ""
    tokens = labeled.record.tokens
    columns = [
        [*zip(found.labels, map(probability_text, found.probabilities))]
        for found in labeled.columns.values()
    ]
    if task == "classification":
        return "\t".join([*columns[0][0], " ".join(tokens)]) + "\n"
    rows = zip(tokens, *columns)
    return "".join(["\t".join([token, *sum(pairs, ())]) + "\n" for token, *pairs in rows]) + "\n"


def format_nbest(labeled: LabeledRecord, number: int) -> Iterator[str]:
    """The lines of an n-best list of the record `number`, from 0, in the format of Moses."""
    for name, found in labeled.columns.items():
        for labels, log_prob in found.nbest:
            score = f"{log_prob:.6f}"
            yield f"{number} ||| {' '.join(labels)} ||| {name}= {score} ||| {score}\n"


def format_object(labeled: LabeledRecord, task: str, nbest: bool) -> str:
    """The object of --json; "" for a blank record."""
    columns = labeled.columns
    if not columns:
        return ""
    record: dict[str, Any] = {
        "line": labeled.record.line,
        "tokens": labeled.record.tokens,
        "labels": {name: value_of(found.labels, task) for name, found in columns.items()},
        "log_prob": {name: found.nbest[0].log_prob for name, found in columns.items()},
    }
    if any(found.probabilities for found in columns.values()):
        record["probabilities"] = {
            name: probabilities_of(found, task) for name, found in columns.items()
        }
    if nbest:
        record["nbest"] = {
            name: [
                {"labels": value_of(labels, task), "log_prob": log_prob}
                for labels, log_prob in found.nbest
            ]
            for name, found in columns.items()
        }
    return json_module.dumps(record, ensure_ascii=False) + "\n"


def value_of(labels: list[str], task: str) -> str | list[str]:
    """The labels of a sentence, or the one label of a text."""
    return labels if task == "tagging" else labels[0]


def probabilities_of(found: ColumnLabels, task: str) -> list[float] | dict[str, float]:
    """Those of a sentence's labels, or of all labels that a text might have."""
    return found.probabilities if task == "tagging" else found.distribution


def probability_text(probability: float) -> str:
    return f"{probability:.6f}"
