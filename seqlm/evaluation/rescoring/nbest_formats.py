"""N-best lists as files: what is read of a line, and the same line with more fields.

    Moses    0 ||| the old man ||| LM= -9.5 TM= -1.25 -2 ||| -12.75    list, text, features, score
    TSV      id <TAB> text <TAB> score <TAB> …    the header names the columns; quoted as csv quotes
    JSON     {"id": "a", "text": "the old man", "score": -12.75, …}    an object on each line

A list is a stretch of lines with one id. Every number of a line is a feature that can be weighted:
those of Moses by their names (the second value of TM is TM.2), those of a table by their column,
those of an object by their key. The list's own score, the last field of Moses, is called `score` in
all three. Lines are bytes, and what is not added or replaced is written as it was read.
"""

from __future__ import annotations

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from seqlm.errors import DataError, UsageError, did_you_mean
from seqlm.text.reading import LONGEST_LINE, decompress, open_source

FormatName = Literal["moses", "tsv", "json"]
SEPARATOR = b"|||"
SCORE = "score"
"""The name of the list's own score among the features."""


class Line(NamedTuple):
    """A line of a file."""

    data: bytes
    """Without its end."""
    end: bytes
    file: str
    number: int

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.number}"

    def text(self, data: bytes) -> str:
        """A part of the line as text. Errors: DataError where it is no UTF-8."""
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise DataError(f"{self.place}: invalid UTF-8") from None


class Candidate(NamedTuple):
    """One hypothesis of a list."""

    list_id: str | None
    """None where the lines have no ids."""
    text: str
    features: dict[str, float]
    line: Line


class Columns(NamedTuple):
    """The names that columns of a table, or keys of objects, have."""

    id: str = "id"
    text: str = "text"
    score: str = SCORE


DEFAULT_COLUMNS = Columns()


class NBestFormat(ABC):
    """How a line is read, and written with more in it."""

    header: Line | None = None
    """The line with the names of the columns."""

    @abstractmethod
    def read(self, line: Line) -> Candidate:
        """Errors: DataError where the line has not this form."""

    @abstractmethod
    def with_fields(self, line: Line, added: Mapping[str, float], score: float | None) -> bytes:
        """The line, whole, with the fields `added`, and with a new `score` where one is given."""

    def with_header(self, names: Iterable[str]) -> bytes:
        """The line of the header, whole, with the names of added columns."""
        return b""

    def check_new(self, name: str, candidate: Candidate) -> None:
        """Errors: UsageError where the line of `candidate` has a field called `name`."""
        if name in self.names_in(candidate):
            raise UsageError(
                f"{candidate.line.place}: there is a field {name!r} already (`name` gives the new"
                " one another name)"
            )

    def names_in(self, candidate: Candidate) -> Iterable[str]:
        """The names of the fields of a line."""
        return candidate.features


class MosesFormat(NBestFormat):
    def read(self, line: Line) -> Candidate:
        parts = line.data.split(SEPARATOR)
        if len(parts) < 2:
            raise DataError(f"{line.place}: no ||| behind the number of the list")
        features = dict(moses_features(line, parts[2])) if len(parts) > 2 else {}
        if len(parts) > 3:
            features[SCORE] = number_in(line, parts[3], "the last field")
        list_id, text = (line.text(part).strip() for part in parts[:2])
        return Candidate(list_id, text, features, line)

    def with_fields(self, line: Line, added: Mapping[str, float], score: float | None) -> bytes:
        parts = line.data.split(SEPARATOR)
        fields = " ".join(f"{name}= {format_score(value)}" for name, value in added.items())
        if len(parts) == 2:
            parts = [parts[0], parts[1].rstrip(b" ") + b" ", b""]
        features = parts[2].rstrip(b" ")
        parts[2] = features + b" " + fields.encode() + parts[2][len(features) :]
        if score is not None and len(parts) == 3:
            parts[2:] = [parts[2].rstrip(b" ") + b" ", b" " + format_score(score).encode()]
        elif score is not None:
            old = parts[3]
            parts[3] = old.replace(old.strip(), format_score(score).encode(), 1)
        return SEPARATOR.join(parts) + line.end


def moses_features(line: Line, field: bytes) -> Iterator[tuple[str, float]]:
    """The features of a field such as `LM= -9.5 TM= -1.25 -2`, or `LM=-9.5`; numbers without a name
    are called 1, 2, …"""
    name, place = "", 0
    for token in field.split():
        label, equals, rest = token.rpartition(b"=")
        if equals:
            name, place = line.text(label), 0
        if rest:
            place += 1
            full = str(place) if not name else name if place == 1 else f"{name}.{place}"
            yield full, number_in(line, rest, f"feature {full}")


class TableFormat(NBestFormat):
    def __init__(self, header: Line, columns: Columns) -> None:
        """Errors: DataError where the header lacks the column of the text."""
        self.header, self.columns = header, columns
        self.names = self.cells(header)
        if columns.text not in self.names:
            near = did_you_mean(columns.text, self.names)
            raise DataError(
                f"{header.place}: there is no column {columns.text!r}{near}"
                " (`text_column` names the one with the text)"
            )

    def cells(self, line: Line) -> list[str]:
        try:
            (cells,) = csv.reader([line.text(line.data)], csv.excel_tab, strict=True)
        except (csv.Error, ValueError):
            raise DataError(f"{line.place}: a quotation mark is opened and not closed") from None
        return cells

    def read(self, line: Line) -> Candidate:
        cells = self.cells(line)
        if len(cells) != len(self.names):
            raise DataError(
                f"{line.place}: {len(cells)} cells, where the header has {len(self.names)}"
            )
        values = dict(zip(self.names, cells))
        features = {name: float(cell) for name, cell in values.items() if NUMBER.fullmatch(cell)}
        if self.columns.score in values:
            cell = values[self.columns.score]
            features[SCORE] = number_in(line, cell.encode(), self.columns.score)
        return Candidate(values.get(self.columns.id), values[self.columns.text], features, line)

    def names_in(self, candidate: Candidate) -> Iterable[str]:
        return self.names

    def with_fields(self, line: Line, added: Mapping[str, float], score: float | None) -> bytes:
        values = [*added.values(), *([score] if score is not None else [])]
        cells = "".join(f"\t{format_score(value)}" for value in values)
        return line.data + cells.encode() + line.end

    def with_header(self, names: Iterable[str]) -> bytes:
        assert self.header is not None
        return self.header.data + "".join(f"\t{n}" for n in names).encode() + self.header.end


class JsonFormat(NBestFormat):
    def names_in(self, candidate: Candidate) -> Iterable[str]:
        keys: dict[str, Any] = json.loads(candidate.line.data)
        return keys

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def read(self, line: Line) -> Candidate:
        try:
            values: Any = json.loads(line.text(line.data))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{line.place} is no JSON: {error}") from None
        if not isinstance(values, dict) or not isinstance(values.get(self.columns.text), str):
            raise DataError(
                f"{line.place}: no object with a text under {self.columns.text!r}"
                " (`text_column` names its key)"
            )
        features = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        if self.columns.score in features:
            features[SCORE] = features[self.columns.score]
        list_id = values.get(self.columns.id)
        return Candidate(
            None if list_id is None else str(list_id), values[self.columns.text], features, line
        )

    def with_fields(self, line: Line, added: Mapping[str, float], score: float | None) -> bytes:
        values = {**added, **({TOTAL: score} if score is not None else {})}
        rounded = {name: float(format_score(value)) for name, value in values.items()}
        fields = json.dumps(rounded, ensure_ascii=False)[1:-1]
        head, brace, tail = line.data.rpartition(b"}")
        return head + b", " + fields.encode() + brace + tail + line.end


TOTAL = "total"
"""The name of the new score of a table and of an object, which keep their own."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def number_in(line: Line, data: bytes, what: str) -> float:
    """Errors: DataError where `data` is no number."""
    text = line.text(data).strip()
    if not NUMBER.fullmatch(text):
        raise DataError(f"{line.place}: {what} is {text!r:.40}, and no number")
    return float(text)


def format_score(value: float) -> str:
    return f"{value:.6f}"


# ------------------------------------------------------------------------------------------ reading


def read_raw_lines(source: str) -> Iterator[Line]:
    """The lines of a file, compressed or not, or of standard input (-), as they come.

    Errors: DataError where it cannot be read, or a line is longer than LONGEST_LINE.
    """
    name = "<stdin>" if source == "-" else source
    with open_source(source, name) as raw, decompress(raw, name) as stream:
        for number in range(1, 1 << 62):
            try:
                data = stream.readline(LONGEST_LINE)
            except (OSError, EOFError) as error:
                raise DataError(f"{name} cannot be read: {error}") from None
            if not data:
                return
            if len(data) == LONGEST_LINE:
                raise DataError(
                    f"{name}, line {number}: the line is longer than {LONGEST_LINE:,} bytes"
                )
            end = next((end for end in (b"\r\n", b"\n") if data.endswith(end)), b"")
            yield Line(data[: len(data) - len(end)], end or b"\n", name, number)


class NBestFile(NamedTuple):
    """An n-best file that is being read."""

    format: NBestFormat
    candidates: Iterator[Candidate]

    def lists(self, size: int = 64) -> Iterator[list[Candidate]]:
        """The candidates list by list; `size` at a time where the lines have no ids."""
        group: list[Candidate] = []
        for candidate in self.candidates:
            new = group and candidate.list_id != group[-1].list_id
            if new or (candidate.list_id is None and len(group) == size):
                yield group
                group = []
            group.append(candidate)
        if group:
            yield group


def open_nbest(
    source: str, format_name: FormatName | None = None, columns: Columns = DEFAULT_COLUMNS
) -> NBestFile:
    """An n-best file, in the format that is named, or that its first line has.

    Errors: DataError where that cannot be read, or there is no line.
    """
    lines = read_raw_lines(source)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{'<stdin>' if source == '-' else source} is empty: there are no lists")
    chosen = format_name or format_of(first.data)
    if chosen == "tsv":
        table = TableFormat(first, columns)
        return NBestFile(table, map(table.read, lines))
    format: NBestFormat = MosesFormat() if chosen == "moses" else JsonFormat(columns)

    def candidates() -> Iterator[Candidate]:
        yield format.read(first)
        yield from map(format.read, lines)

    return NBestFile(format, candidates())


def format_of(first: bytes) -> FormatName:
    """The format of a file with this first line."""
    if first.lstrip().startswith(b"{"):
        return "json"
    return "moses" if SEPARATOR in first else "tsv"
