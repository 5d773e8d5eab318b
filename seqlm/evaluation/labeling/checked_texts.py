"""Labeled texts that are to be checked: their task and their format are those of the first file.

What has a label for each word and what has one for each text is told apart by the format. Columns
with tabs between them, and a label or more cells before a text, look alike: then there is a blank
line after each sentence, or there are spaces between the words of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from seqlm.errors import DataError, UsageError
from seqlm.text.labeled.recognition import recognize_format, take_first_lines
from seqlm.text.labeled.record import SPACE, FormatOptions, Record, TaskName
from seqlm.text.labeled.record_files import FORMATS, no_records, parse_records, read_plain_lines
from seqlm.text.reading import source_name

DISTINCT = ("conllu", "fasttext", "jsonl", "word-tag", "csv")
"""Formats that no other is taken for, the most distinct first."""
FIRST_LINES = 200


class LabeledTexts(NamedTuple):
    task: TaskName
    train: list[Record]
    held_out: dict[str, list[Record]]
    """By the name of the file."""


def read_labeled_texts(
    corpus: Sequence[str],
    held_out: Sequence[str],
    task: TaskName | None,
    options: FormatOptions,
    errors: str = "strict",
) -> LabeledTexts:
    """The records of the training text and of each held-out file, without blank ones.

    `corpus` is one file or more, and `errors` is what `read_blocks` takes. Where `task` or
    `options.format` is None, it is recognized.
    Errors: DataError naming file and line; UsageError where the task is not clear, or an option
    does not fit the file.
    """
    texts: list[list[Record]] = []
    for source in (*corpus, *held_out):
        lines, file = list(read_plain_lines(source, errors)), source_name(source)
        task = task or task_of(options.format) or recognize_task(lines, file)
        if options.format is None:
            name = recognize_format(take_first_lines(iter(lines), task), task, file=file)
            options = replace(options, format=name)
        records = parse_records(iter(lines), file, task, options)
        texts.append([record for record in records if not record.is_blank])
    assert task is not None, "there is no text"
    return LabeledTexts(
        task,
        [record for text in texts[: len(corpus)] for record in text],
        dict(zip(map(source_name, held_out), texts[len(corpus) :])),
    )


def task_of(name: str | None) -> TaskName | None:
    """The task whose labels the format called `name` has."""
    return next((task for task, formats in FORMATS.items() if name in formats), None)


def recognize_task(lines: Sequence[str], file: str) -> TaskName:
    """What the labels of a text belong to.

    Errors: DataError where no format fits; UsageError where formats of both tasks do.
    """
    if not any(line.strip(SPACE) for line in lines):
        raise no_records(file)
    fitting: dict[str, TaskName] = {}
    for task in FORMATS:
        try:
            fitting[recognize_format(take_first_lines(iter(lines), task), task)] = task
        except DataError:
            continue
    if not fitting:
        raise DataError(
            f"{file} has labels in no format that is recognized; say which by `format`, such as"
            " columns or label-text"
        )
    for name in DISTINCT:
        if name in fitting:
            return fitting[name]
    if len(fitting) > 1:
        has_sentences, has_texts = has_blank_line(lines), has_spaces(lines)
        if has_sentences == has_texts:
            names = " and ".join(f"{name} of {task}" for name, task in fitting.items())
            raise UsageError(f"{file} may be {names}; say which by `task`")
        return "tagging" if has_sentences else "classification"
    return next(iter(fitting.values()))


def has_blank_line(lines: Sequence[str]) -> bool:
    """Whether a blank line stands between the first lines."""
    places = [place for place, line in enumerate(lines[:FIRST_LINES]) if line.strip(SPACE)]
    return bool(places) and len(places) <= places[-1] - places[0]


def has_spaces(lines: Sequence[str]) -> bool:
    """Whether a cell of the first lines has a space in it."""
    return any(" " in cell.strip() for line in lines[:FIRST_LINES] for cell in line.split("\t"))
