"""A record of labeled text, and what every format of such text can do.

A record is a sentence whose tokens have tags, or a text that has a label. It keeps the lines that
it was read from, so that it can be written again with other labels and nothing else changed. Lines
between records, such as blank ones at the end of a file, are a record that is blank: all records of
a file, written one after the other, are the file.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from seqlm.errors import DataError, UsageError, mark, nearest, shown

TaskName = Literal["tagging", "classification"]

SPACE = " \t\r\v\f"
"""The white space that may stand in a line; that beyond ASCII is part of a word."""
BREAKS = re.compile(r"[\t\r\n]")
"""What ends a cell between tabs, or its line."""
WHITE = re.compile(rf"[{SPACE}\n]")
NOTHING = re.compile(r"(?!)")
"""A pattern that matches nowhere."""


@dataclass(frozen=True)
class FormatOptions:
    """How labeled text is to be read."""

    format: str | None = None
    """None recognizes it by what the file holds."""
    text_column: str | None = None
    """Where a table or an object has the text; None is `text`."""
    label_column: str | None = None
    """Where the labels stand; None is what the format calls them."""


class Record(NamedTuple):
    """A sentence of N tokens, or a text of N words with one label."""

    tokens: list[str]
    columns: dict[str, list[str]]
    """The values under the name of each column: N of them, or the one `label` of a text. A text
    without a label has no column."""
    lines: list[str]
    """All lines of the record without their newlines, and the blank ones after it."""
    file: str
    line: int
    """The number of the first line, from 1."""
    places: list[int]
    """The indices in `lines` of those that the tokens stand on: one for each token, or only one
    where all stand on one line."""
    format: Format

    @property
    def is_blank(self) -> bool:
        """Whether these are lines between records: nothing to learn from or to label."""
        return not self.places


class Format(ABC):
    """A format of labeled text, as one file has it."""

    name: ClassVar[str]
    label_column: str
    """The key in `Record.columns` of the labels."""
    has_text_column: ClassVar[bool] = False
    """Whether the user may name the column of the text."""
    unwritable: re.Pattern[str] = BREAKS
    """What a label cannot contain in this format."""

    def __init__(self, file: str, options: FormatOptions, labels_needed: bool) -> None:
        """`file` is its name in messages. Errors: UsageError on an option that the format does not
        have."""
        self.file, self.options, self.labels_needed = file, options, labels_needed
        if options.text_column is not None and not self.has_text_column:
            raise UsageError(
                f"`text_column` is for csv, tsv and jsonl, and {file} is read as {self.name}"
            )

    @abstractmethod
    def read(self, lines: Iterator[str]) -> Iterator[Record]:
        """The records of the file, each as soon as its last line has been read.

        Errors: DataError or UsageError.
        """

    @abstractmethod
    def relabel(self, record: Record, column: str, labels: list[str]) -> list[str]:
        """The lines of `record` with other values in one column."""

    def write(self, record: Record, predicted: Mapping[str, list[str]]) -> str:
        """The text of `record` with the values of `predicted` in its columns.

        Errors: DataError on a label that would be read as something else.
        """
        if not record.is_blank:
            for column, labels in predicted.items():
                self.check_writable(labels)
                record = record._replace(lines=self.relabel(record, column, labels))
        return "".join([f"{line}\n" for line in record.lines])

    def check_writable(self, labels: list[str]) -> None:
        for label in set(labels):
            if not label or self.unwritable.search(label):
                raise DataError(
                    f"the label {shown(label)} cannot be written in {self.file}, whose format is"
                    f" {self.name}"
                )

    def blank(self, lines: list[str], line: int) -> Record:
        """Lines that are no record, the first of which has the number `line`."""
        return Record([], {}, lines, self.file, line, [], self)

    def error(self, line: int, what: str) -> DataError:
        return DataError(f"{self.file}, line {line}: {what}")

    def check_label_column(self) -> None:
        """Errors: UsageError where the labels are to stand in another column than the format's."""
        if self.options.label_column not in (None, self.label_column):
            raise self.no_column([self.label_column])

    def no_labels(self) -> DataError:
        return DataError(
            f"{self.file} is read as {self.name}, which has no labels, and they are needed"
        )

    def no_column(self, names: list[str]) -> UsageError:
        """The error of a column of labels that is not among `names`."""
        name = self.options.label_column or self.label_column
        return self.unknown_column("label_column", name, names)

    def unknown_column(self, option: str, name: str, names: list[str]) -> UsageError:
        return UsageError(
            f"{self.file} has no column {name!r} ({mark(option)}); there are"
            f" {', '.join(names)}{nearest(name, names, cutoff=0.6)}"
        )


class LineFormat(Format):
    """A format whose records are lines. A blank line is no record."""

    def read(self, lines: Iterator[str]) -> Iterator[Record]:
        for number, line in enumerate(lines, 1):
            if line.strip(SPACE):
                yield self.read_line(line, number)
            else:
                yield self.blank([line], number)

    @abstractmethod
    def read_line(self, line: str, number: int) -> Record: ...


class SentenceFormat(Format):
    """A format with a token on a line, and a blank line after each sentence."""

    token_column: ClassVar[str]

    def read(self, lines: Iterator[str]) -> Iterator[Record]:
        start, before, block = 1, list[str](), list[str]()
        for line in lines:
            if line.strip(SPACE):
                block.append(line)
                continue
            record = self.make_record(before, block, [line], start)
            if record.is_blank:
                before = record.lines
            else:
                yield record
                start += len(record.lines)
                before = []
            block = []
        if before or block:
            yield self.make_record(before, block, [], start)

    def make_record(
        self, before: list[str], block: list[str], after: list[str], start: int
    ) -> Record:
        """The sentence of the lines in `block`; no token is among those `before` and `after` it.

        The first line of all has the number `start`.
        """
        columns, places = self.read_block(block, start + len(before)) if block else ({}, [])
        lines = [*before, *block, *after]
        if not places:
            return self.blank(lines, start)
        places = [len(before) + place for place in places]
        return Record(columns[self.token_column], columns, lines, self.file, start, places, self)

    @abstractmethod
    def read_block(self, block: list[str], start: int) -> tuple[dict[str, list[str]], list[int]]:
        """The columns of the tokens in `block`, and the indices of their lines; none if there are
        no tokens. The first line has the number `start`."""

    def relabel(self, record: Record, column: str, labels: list[str]) -> list[str]:
        lines = record.lines.copy()
        assert len(labels) == len(record.places), "not one label for each token"
        for place, label in zip(record.places, labels):
            lines[place] = self.relabel_line(lines[place], column, label)
        return lines

    @abstractmethod
    def relabel_line(self, line: str, column: str, label: str) -> str: ...


def names_in(text: str | None) -> list[str]:
    """The names of columns or models in a list with commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def words_of(text: str) -> list[str]:
    """What ASCII white space separates, as word tokens are separated everywhere.

    >>> words_of(" a\u00a0b  c")
    ['a\\xa0b', 'c']
    """
    return [*map(bytes.decode, text.encode().split())]
