"""`seqlm tag`: labels of words from a tagger, or of texts from a classifier."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from seqlm.cli import console, labeling_output
from seqlm.cli.console import flag
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.option_groups import in_sections, make_group, parameters_of
from seqlm.cli.options.setting_options import with_parameters
from seqlm.decoding.labeling.labeling_settings import LabelingSettings
from seqlm.errors import UsageError
from seqlm.settings import setting

if TYPE_CHECKING:
    from seqlm.decoding.labeling.label_records import LabeledRecord
    from seqlm.text.labeled.record import TaskName


@dataclass(frozen=True)
class TagOptions:
    """The options beside those of LabelingSettings."""

    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Text files to label, compressed or not; - is standard input. [default: -]",
            metavar="TEXT",
            rich_help_panel="Input",
        ),
    ] = None
    format: Literal[
        "conllu", "columns", "word-tag", "label-text", "fasttext", "csv", "tsv", "jsonl", "text"
    ] | None = setting(
        None, "Format of the text, which is that of the output, too; `text` has no labels.",
        none_text="recognized by its content; text on a terminal", section="Input",
    )  # fmt: skip
    text_column: str | None = setting(
        None, "Column of the texts in a table.", none_text="text", metavar="NAME", section="Input"
    )
    label_column: str | None = setting(
        None, "Column to write the labels to; several with commas between them, if the model has"
        " several.", none_text="that of the training text, or label of a table",
        metavar="NAME,...", section="Output",
    )  # fmt: skip
    errors: Annotated[str, console.ERRORS] = "strict"
    model: Annotated[
        str | None,
        flag(
            "-m",
            "--model",
            help="Tagger or classifier to use: a run, or a checkpoint of it. [default: the latest"
            " run]",
            metavar="RUN",
            autocompletion=console.run_names,
            rich_help_panel="Model",
        ),
    ] = None
    json: Annotated[bool, console.JSON_LINES] = False
    quiet: Annotated[bool, console.QUIET] = False
    debug: Annotated[bool, console.DEBUG] = False
    device: Annotated[str | None, console.DEVICE] = None
    num_threads: Annotated[int | None, console.THREADS] = None


PARAMETERS = in_sections([*parameters_of(LabelingSettings), *parameters_of(TagOptions)])


EXAMPLES = [
    Example(
        "Tag a sentence",
        "echo 'the old man came in .' | seqlm tag -m tagger --format text",
    ),
    Example(
        "Write the tags of a model into a file of CoNLL-U",
        "seqlm tag -m tagger test.conllu > tagged.conllu",
    ),
    Example(
        "Print the probability of each class of each text, a JSON object a line",
        "seqlm tag -m classifier reviews.txt --format text --probabilities --json",
    ),
]


def make_command() -> Callable[..., Any]:
    return with_parameters(PARAMETERS)(tag)


def tag(flags: typer.Context, **values: Any) -> None:
    """Label TEXT, or standard input, with a tagger or a classifier.

    The output is the text with the labels of the model in the place of its own, and nothing else
    changed. Sentences without tags become word_TAG lines, and texts without labels lines of label,
    tab and text. With --probabilities, a tagger prints lines of token, label and probability, and
    an empty line after each sentence; a classifier prints lines of label, probability and text.
    --nbest prints lists as Moses does: number ||| labels ||| features ||| log-probability.

    Text that is piped in is labeled as far as it is there. To recognize its format, up to 200 lines
    are read first: name --format where the writer waits for each answer.
    """
    options = make_group(TagOptions, values)
    settings = make_group(LabelingSettings, values)
    console.check_choice("errors", options.errors, ("strict", "replace"))
    if settings.nbest is not None and settings.probabilities and not options.json:
        raise UsageError("`nbest` and `probabilities` together are printed with `json`")
    sources = options.texts or ["-"]
    console.check_stdin(sources)
    from seqlm.models import LABELERS
    from seqlm.text import reading

    reading.check_files(sources)
    path = console.locate_model(options.model, LABELERS)
    device = console.set_up_torch(options.device, options.num_threads)

    from seqlm.decoding.labeling.label_records import label_records
    from seqlm.runs.loading.load_labeler import load_labeler
    from seqlm.text.labeled.record import FormatOptions
    from seqlm.text.labeled.record_files import read_records

    loaded = load_labeler(path, device)
    task = cast("TaskName", path.config.task)
    names = column_names(options, loaded.labels.columns)
    is_piped = "-" in sources
    form: str | None = options.format
    if is_piped and sys.stdin.isatty():
        console.say("type one sentence per line; Ctrl-D ends")
        form = form or "text"
    column = None if options.label_column is None else names[0]
    reading_options = FormatOptions(form, options.text_column, column)
    records = read_records(sources, task, reading_options, options.errors, labels_needed=False)
    found = replace(settings, nbest=settings.nbest or 1) if options.json else settings
    labeled = with_report(label_records(loaded, records, found, eager=is_piped))
    try:
        for text in texts_of(labeled, task, names, settings, options.json):
            sys.stdout.write(text)
            sys.stdout.flush()
    finally:
        if is_piped:
            let_go_of_stdin()


def let_go_of_stdin() -> None:
    """Standard input is not closed at the end: Python would abort where the thread that reads is
    still waiting for it."""
    with suppress(ValueError):  # it has been read to its end, and is closed
        cast(TextIOWrapper, sys.stdin).detach()


def column_names(options: TagOptions, columns: list[str]) -> list[str]:
    """The columns to write the model's `columns` to. Errors: UsageError where their numbers
    differ."""
    if options.label_column is None:
        return columns
    names = [name.strip() for name in options.label_column.split(",")]
    if len(names) != len(columns):
        raise UsageError(
            f"`label_column={options.label_column}`: the model has {len(columns)} columns of labels"
            f" ({', '.join(columns)})"
        )
    return names


def texts_of(
    labeled: Iterable[LabeledRecord],
    task: str,
    names: list[str],
    settings: LabelingSettings,
    json: bool,
) -> Iterator[str]:
    """What is printed of each record."""
    number = 0
    for each in labeled:
        if json:
            yield labeling_output.format_object(each, task, settings.nbest is not None)
        elif settings.nbest is not None:
            yield from labeling_output.format_nbest(each, number)
        elif settings.probabilities:
            yield labeling_output.format_probabilities(each, task)
        else:
            yield labeling_output.format_in_place(each, task, names)
        number += not each.record.is_blank


def with_report(labeled: Iterable[LabeledRecord]) -> Iterator[LabeledRecord]:
    """Passes records through; reports the speed at the end."""
    started, words = time.perf_counter(), 0
    for each in labeled:
        words += len(each.record.tokens)
        yield each
    seconds = time.perf_counter() - started
    rate = words / max(seconds, 1e-9)
    console.say(f"{console.counted(words, 'word')} in {seconds:.1f} s ({rate:,.0f} a second)")
