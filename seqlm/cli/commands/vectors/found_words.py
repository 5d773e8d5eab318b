"""The words that answer a question, as they are printed: a table, JSON, or lists for people."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seqlm.cli import console
from seqlm.cli.records import RecordWriter


class Columns(NamedTuple):
    """What the columns of a table are called, and the keys of JSON."""

    question: tuple[str, ...]
    """One for each word of a question."""
    figure: str
    """What stands beside each word that was found."""


def print_found(
    answers: Iterable[tuple[list[str], Sequence[tuple[str, float]] | None]],
    columns: Columns,
    json: bool,
) -> None:
    """Prints each answer, words with a figure, as it comes: a row a word, an object a question, or
    on a terminal a list a question."""
    for_people = console.is_tty(sys.stdout) and not json
    if json:
        for question, found in answers:
            print_object(question, found, columns)
    elif for_people:
        for question, found in answers:
            print_list(question, found or [], columns)
    else:
        table = RecordWriter([*columns.question, "word", columns.figure], flush=True)
        for question, found in answers:
            for word, figure in [(None, None)] if found is None else found:
                table.write([*question, word, figure])


def print_object(
    question: Sequence[str], found: Sequence[tuple[str, float]] | None, columns: Columns
) -> None:
    record: dict[str, object] = dict(zip(columns.question, question))
    record["words"] = found and [{"word": word, columns.figure: value} for word, value in found]
    print(json_module.dumps(record, ensure_ascii=False), flush=True)


def print_list(
    question: Sequence[str], found: Sequence[tuple[str, float]], columns: Columns
) -> None:
    """The words for people to read, under the question."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(Text(" ".join(question)))
    table.add_column(columns.figure, justify="right")
    for word, value in found:
        table.add_row(Text(word), f"{value:.4f}")
    Console(highlight=False).print(table)
