"""`seqlm eval -m VECTORS TEXT`: the metrics of word vectors on analogies, or on pairs of words."""

from __future__ import annotations

import json as json_module
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options.eval_options import EvalOptions
from seqlm.cli.options.option_groups import make_group, parameters_of
from seqlm.cli.records import RecordWriter
from seqlm.errors import UsageError
from seqlm.evaluation.vectors.vector_test_settings import VectorTestSettings

if TYPE_CHECKING:
    from seqlm.evaluation.vectors.evaluate_vectors import VectorEvaluation
    from seqlm.runs.loading.locate import ModelPath


@dataclass(frozen=True)
class VectorOptions(VectorTestSettings):
    """The options that are for word vectors only."""

    sections: Annotated[
        bool,
        flag(
            "--sections",
            help="Print the accuracy of the analogies of each section, and of all, as a table of"
            " tab-separated values.",
            rich_help_panel="Output",
        ),
    ] = False


PARAMETERS = parameters_of(VectorOptions)
COMPARISON = ("model", "file", "metric", "value", "answered", "asked")
"""The columns of the table of several models or texts."""


class Evaluated(NamedTuple):
    """Word vectors on a text."""

    model: str
    file: str
    evaluation: VectorEvaluation


def evaluate(common: EvalOptions, values: Mapping[str, Any]) -> None:
    """Evaluates and prints. Errors: UsageError, DataError, ModelError."""
    from seqlm.evaluation.metrics import select_metrics
    from seqlm.text.reading import check_files

    options = make_group(VectorOptions, values)
    files = console.files_or_stdin(values["text"])
    selected = select_metrics(common.metric, "vectors", common.oracle is not None)
    metrics = None if common.metric is None else [metric.name for metric in selected]
    paths = console.locate_models(common.model, "vectors")
    if options.sections:
        check_sections(common, files, paths)
    if len(paths) > 1 and "-" in files:
        raise UsageError("standard input can be read once: name a file to compare several models")
    check_files(files)

    evaluated = []
    for each in evaluate_all(paths, files, options, metrics, common.errors):
        evaluated.append(each)
        say_signature(each, several=len(paths) * len(files) > 1)
    warn_of_other_questions(evaluated)
    first, *others = evaluated
    if options.sections:
        print_sections(first.evaluation, common.json)
    elif others:
        print_comparison(evaluated, common.json)
    elif common.json:
        print(json_module.dumps(as_object(first), ensure_ascii=False))
    else:
        console.print_figures(first.evaluation.figures, in_unit)


def check_sections(common: EvalOptions, files: Sequence[str], paths: Sequence[ModelPath]) -> None:
    """Errors: UsageError where options do not go together with the table of sections."""
    if common.metric is not None:
        raise UsageError("`sections` prints a table of its own: leave out `metric`")
    if len(files) > 1 or len(paths) > 1:
        raise UsageError("`sections` is of one model and one text: name one of each")


def evaluate_all(
    paths: Sequence[ModelPath],
    files: Sequence[str],
    options: VectorOptions,
    metrics: Sequence[str] | None,
    errors: str,
) -> Iterator[Evaluated]:
    """Every model on every text; one model at a time is in memory."""
    from seqlm.evaluation.vectors.evaluate_vectors import evaluate_vectors
    from seqlm.runs.loading.load_vectors import load_vectors

    for path in paths:
        table = load_vectors(path)
        for file in files:
            evaluation = evaluate_vectors(table, file, options, metrics, errors)
            if options.sections and not evaluation.sections:
                raise UsageError(f"`sections` is of analogies, and {file} has pairs of words")
            yield Evaluated(str(path.path), file, evaluation)


# ------------------------------------------------------------------------------- what is printed


def in_unit(name: str, value: float) -> str:
    """A figure for people: a share in percent, and a correlation with four digits."""
    return f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.4f}"


def say_signature(evaluated: Evaluated, several: bool) -> None:
    """On stderr: how many questions are answered, and what the figures depend on."""
    where = f"{evaluated.model}, {evaluated.file}: " if several else ""
    evaluation = evaluated.evaluation
    what = "analogies" if evaluation.sections else "pairs of words"
    console.say(f"{where}{evaluation.answered:,} of {evaluation.asked:,} {what} are answered")
    console.say(f"{where}{evaluation.signature}")


def warn_of_other_questions(evaluated: Sequence[Evaluated]) -> None:
    """Warns where two models do not answer equally many questions of a text."""
    answered: dict[str, Evaluated] = {}
    for each in evaluated:
        first = answered.setdefault(each.file, each)
        if first.evaluation.answered != each.evaluation.answered:
            signatures = first.evaluation.signature + each.evaluation.signature
            remedy = "; --unseen skip leaves out pairs whose vectors are composed"
            console.warn(
                f"{each.file}: {first.model} answers {first.evaluation.answered:,} of"
                f" {first.evaluation.asked:,} questions and {each.model}"
                f" {each.evaluation.answered:,}: their figures are of different questions"
                f"{remedy if '|oov:compose|' in signatures else ''}"
            )


def print_sections(evaluation: VectorEvaluation, json: bool) -> None:
    """A row for each section, and one for all of them."""
    from seqlm.evaluation.vectors.evaluate_vectors import SectionScore, total

    table = RecordWriter([*SectionScore._fields, "accuracy"], json)
    for section in [*evaluation.sections, total(evaluation.sections)]:
        table.write([*section, number(section.accuracy)])


def print_comparison(evaluated: Sequence[Evaluated], json: bool) -> None:
    """A row for each model, text and metric."""
    table = RecordWriter(COMPARISON, json)
    for model, file, evaluation in evaluated:
        for metric, value in evaluation.figures.items():
            table.write([model, file, metric, number(value), evaluation.answered, evaluation.asked])


def as_object(evaluated: Evaluated) -> dict[str, Any]:
    """The object of --json."""
    evaluation = evaluated.evaluation
    return {
        **{name: number(value) for name, value in evaluation.figures.items()},
        "answered": evaluation.answered,
        "asked": evaluation.asked,
        "sections": [
            {**section._asdict(), "accuracy": number(section.accuracy)}
            for section in evaluation.sections
        ],
        "model": evaluated.model,
        "file": evaluated.file,
        "signature": evaluation.signature,
    }


def number(value: float) -> float | None:
    """A figure, or None where it is not defined."""
    return None if math.isnan(value) else value
