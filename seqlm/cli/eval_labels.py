"""`seqlm eval -m TAGGER TEXT`: the metrics of taggers and classifiers, and tables of errors."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from seqlm.cli import console
from seqlm.cli.options.eval_options import EvalOptions
from seqlm.cli.options.label_options import LabelOptions
from seqlm.cli.options.option_groups import make_group, parameters_of
from seqlm.cli.records import RecordWriter
from seqlm.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from seqlm.evaluation.labeling.bootstrap import Interval
    from seqlm.evaluation.labeling.evaluate_labeler import ColumnEvaluation, Finding
    from seqlm.text.labeled.record import Record


class Evaluated(NamedTuple):
    """A labeler on a text."""

    task: str
    path: Path
    records: list[Record]
    columns: list[ColumnEvaluation]


PARAMETERS = parameters_of(LabelOptions)
TABLES = {
    "per_class": ("class", "gold", "predicted", "correct", "precision", "recall", "f1"),
    "confusion": ("gold", "predicted", "times"),
    "first_errors": (
        "file", "line", "sentence", "position", "token", "gold", "predicted", "left", "right",
    ),
}  # fmt: skip
"""The columns of each table, by the name of the option that asks for it."""
COMPARISON = (
    "model", "metric", "value", "low", "high",
    "difference", "difference_low", "difference_high", "p",
)  # fmt: skip
"""The columns of the table of several models."""


def evaluate(task: str, common: EvalOptions, values: Mapping[str, Any]) -> None:
    """Labels, compares and prints. `task` is that of the models.

    Errors: UsageError, DataError, ModelError.
    """
    from seqlm.evaluation.metrics import select_metrics
    from seqlm.text.reading import check_files

    options = make_group(LabelOptions, values)
    table = chosen_table(common, options)
    files = console.files_or_stdin(values["text"])
    selected = select_metrics(common.metric, task, common.oracle is not None)
    metrics = None if common.metric is None else [metric.name for metric in selected]
    paths = console.locate_models(common.model, task)
    if len(paths) > 1:
        check_comparison(files, options, table)
    check_files(files)
    device = console.set_up_torch(common.device, common.num_threads)

    from seqlm.evaluation.labeling.evaluate_labeler import evaluate_labeler, read_gold
    from seqlm.runs.loading.load_labeler import load_labeler
    from seqlm.text.labeled.record import names_in

    label_columns = names_in(options.label_column)
    samples = options.samples if table is None else 0
    evaluated = []
    for path in paths:
        loaded = load_labeler(path, device)
        records = read_gold(
            loaded, files, options.format, values["text_column"], label_columns, common.errors
        )
        columns = evaluate_labeler(
            loaded, records, metrics, samples, common.seed, common.batch_size
        )
        evaluated.append(Evaluated(task, path.path, records, columns))
    first, *others = evaluated
    if table is not None:
        print_table(table, first, options, common.json)
    elif others:
        print_comparison(evaluated, common.json)
    elif common.json:
        print(json_module.dumps(as_object(first), ensure_ascii=False))
    else:
        print_figures(first)
    for each in evaluated:
        say_findings(each, several=bool(others))


def chosen_table(common: EvalOptions, options: LabelOptions) -> str | None:
    """The option that asks for a table. Errors: UsageError where options do not go together."""
    chosen = [name for name in TABLES if getattr(options, name)]
    if len(chosen) > 1:
        first, second, *_ = chosen
        raise UsageError(f"`{first}` and `{second}` print a table each: leave out one of them")
    if chosen and common.metric:
        raise UsageError(f"`{chosen[0]}` prints a table of its own: leave out `metric`")
    return chosen[0] if chosen else None


def check_comparison(files: Sequence[str], options: LabelOptions, table: str | None) -> None:
    """Errors: UsageError where several models cannot be compared."""
    if table is not None:
        raise UsageError(f"`{table}` is of one model: name one `model`")
    if options.samples == 0:
        raise UsageError("`samples=0`: models are compared on bootstrap samples")
    if "-" in files:
        raise UsageError("standard input can be read once: name a file to compare several models")


# ------------------------------------------------------------------------------- what is printed


def in_unit(name: str, value: float) -> str:
    """A figure for people: a share in percent, and others with six digits."""
    from seqlm.evaluation.labeling.label_metrics import LABEL_METRICS

    metric = LABEL_METRICS[name.rpartition(":")[2]]
    return f"{100 * value:.2f} %" if metric.is_share else f"{value:.6g}"


def print_figures(evaluated: Evaluated) -> None:
    """On a terminal a small table with the intervals; else the figures alone, which are exact, and
    the intervals on stderr."""
    from seqlm.evaluation.labeling.evaluate_labeler import figures_of

    figures = figures_of(evaluated.columns)
    if console.is_tty(sys.stdout):
        from rich.console import Console
        from rich.table import Table

        table = Table("metric", show_header=False, box=None)
        table.add_column(justify="right")
        table.add_column(style="dim")
        for name, (value, interval) in figures.items():
            table.add_row(name, in_unit(name, value), range_text(name, interval))
        Console().print(table)
    else:
        console.print_figures({name: value for name, (value, _) in figures.items()})
        for name, (value, interval) in figures.items():
            if interval is not None:
                console.say(f"{name}: {in_unit(name, value)}, {range_text(name, interval)}")


def range_text(name: str, interval: Interval | None) -> str:
    if interval is None:
        return ""
    low, high = (in_unit(name, bound) for bound in interval)
    return f"95 % interval {low} to {high}"


def print_comparison(evaluated: Sequence[Evaluated], json: bool) -> None:
    """A row for each model and metric: the figure, its interval, and its difference from that of
    the first model with interval and p. Errors: UsageError, DataError of `compare`."""
    from seqlm.evaluation.labeling.evaluate_labeler import figures_of
    from seqlm.evaluation.labeling.label_evaluation import compare

    first, rows = evaluated[0], []
    for each in evaluated:
        if len(each.columns) != len(first.columns):
            raise UsageError(
                f"{first.path} predicts {len(first.columns)} columns and {each.path}"
                f" {len(each.columns)}: they cannot be compared"
            )
        differences = [
            difference
            for ours, theirs in zip(first.columns, each.columns)
            for difference in compare(ours.evaluation, theirs.evaluation).values()
        ]
        for (name, figure), difference in zip(figures_of(each.columns).items(), differences):
            assert figure.interval is not None
            compared = [None] * len(difference) if each is first else difference
            rows.append([str(each.path), name, figure.value, *figure.interval, *compared])
    table = RecordWriter(COMPARISON, json)
    for row in rows:
        table.write(row)


def print_table(table: str, evaluated: Evaluated, options: LabelOptions, json: bool) -> None:
    """The table that the option `table` asks for; with a first column `column` where the model
    predicts several."""
    several = len(evaluated.columns) > 1
    writer = RecordWriter([*["column"] * several, *TABLES[table]], json)
    for column in evaluated.columns:
        for row in rows_of(table, evaluated.records, column, options.first_errors or 0):
            writer.write([*[column.name] * several, *row])


def rows_of(
    table: str, records: Sequence[Record], column: ColumnEvaluation, most: int
) -> Iterator[Sequence[Any]]:
    """The rows of a table of TABLES; of errors, at `most` so many."""
    from seqlm.evaluation.labeling import label_tables
    from seqlm.evaluation.labeling.text_check import place_of

    gold, predicted, evaluation = column.gold, column.predicted, column.evaluation
    if table == "per_class":
        yield from label_tables.class_table(evaluation.counts, evaluation.kinds)
    elif table == "confusion":
        matrix = label_tables.confusion_matrix(gold, predicted)
        yield from matrix.confusions() + matrix.agreements()
    else:
        tokens = [  # one for each label: a classified text is one of them
            record.tokens if len(labels) == len(record.tokens) else [" ".join(record.tokens)]
            for record, labels in zip(records, gold)
        ]
        lines = [
            [place_of(record, at).line for at in range(len(words))]
            for record, words in zip(records, tokens)
        ]
        for error in label_tables.first_errors(tokens, gold, predicted, lines, most):
            yield records[error.sentence - 1].file, error.line, *error[:1], *error[2:]


def say_findings(evaluated: Evaluated, several: bool) -> None:
    """On stderr: warnings, what was counted, and what the figures depend on."""
    where = f"{evaluated.path}: " if several else ""
    for column in evaluated.columns:
        if (found := column.unknown) is not None:
            console.warn(
                f"{where}gold labels of {column.name} that training did not have count as wrong:"
                f" {count(found)}"
            )
        for whose, found in zip(("gold", "predicted"), column.ill_formed):
            if found is not None:
                console.warn(
                    f"{where}{whose} tags of {column.name} break the scheme of the training text:"
                    f" {count(found)}"
                )
        console.say(where + count_text(evaluated, column))
        console.say(f"{where}{column.signature}")


def count_text(evaluated: Evaluated, column: ColumnEvaluation) -> str:
    """'2,077 sentences, 25,094 labels of upos', or '872 texts'."""
    total, number = column.evaluation.counts.total(), len(evaluated.records)
    if evaluated.task == "classification":
        return f"{number:,} texts"
    text = f"{number:,} sentences, {int(total.tokens):,} labels of {column.name}"
    if "unseen-accuracy" in column.evaluation.figures:
        text += f", {int(total.unseen):,} of words that training did not have"
    return text


def count(found: Finding) -> str:
    return f"{found.times:,}, the first {found.label!r} in {found.file}, line {found.line}"


def as_object(evaluated: Evaluated) -> dict[str, Any]:
    """The object of --json."""
    from seqlm.evaluation.labeling.evaluate_labeler import figures_of

    columns = evaluated.columns
    figures = figures_of(columns)
    return {
        **{name: value for name, (value, _) in figures.items()},
        "intervals": {
            name: [*interval] for name, (_, interval) in figures.items() if interval is not None
        },
        "records": len(evaluated.records),
        "labels": int(sum(column.evaluation.counts.tokens.sum() for column in columns)),
        "unknown_labels": sum(column.unknown.times for column in columns if column.unknown),
        "model": str(evaluated.path),
        "signatures": {column.name: column.signature for column in columns},
    }
