"""N-best lists as files: what is read of a line, and the same line with more fields.

    Moses    0 ||| the old man ||| LM= -9.5 TM= -1.25 -2 ||| -12.75    list, text, features, score
    TSV      id <TAB> text <TAB> score <TAB> …    the header names the columns; quoted as csv quotes
    JSON     {"id": "a", "text": "the old man", "score": -12.75, …}    an object on each line

A list is a stretch of lines with one id. Every number of a line is a feature that can be weighted:
those of Moses by their names (the second value of TM is TM.2), those of a table by their column,
those of an object by their key, where "-1" is a number too. The list's own score, the last field of
Moses, is called `score` in all three. Lines are bytes, and what is not added or replaced is written
as it was read.
"""

from __future__ import annotations

import csv
import json
import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from seqlm.errors import DataError, UsageError, did_you_mean, fault_of, shown
from seqlm.text.reading import (
    BOM,
    LONGEST_LINE,
    check_encoding,
    decompress,
    open_source,
    read_chunk,
    source_name,
)

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
        """A part of the line as text, without the byte-order mark of the file. Errors: DataError
        where it is no UTF-8."""
        try:
            return (data.removeprefix(BOM) if self.number == 1 else data).decode()
        except UnicodeDecodeError as error:
            wrong = data[error.start]
            raise DataError(f"{self.place}: invalid UTF-8 (the byte 0x{wrong:02x})") from None


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
    total: str = "total"
    """Of the new score, beside which a table and an object keep their own."""


DEFAULT_COLUMNS = Columns()


class NBestFormat(ABC):
    """How a line is read, and written with more in it."""

    header: Line | None = None
    """The line with the names of the columns."""
    replaces_score = False
    """Whether a new score takes the place of the list's own, and is no field of its own."""

    @abstractmethod
    def read(self, line: Line) -> Candidate:
        """Errors: DataError where the line has not this form."""

    @abstractmethod
    def with_fields(self, line: Line, added: Mapping[str, float], score: float | None) -> bytes:
        """The line, whole, with the fields `added`, and with a new `score` where one is given."""

    def with_header(self, names: Iterable[str]) -> bytes:
        """The line of the header, whole, with the names of added columns."""
        return b""

    def check_new(self, name: str, candidate: Candidate, setting: str = "name") -> None:
        """Errors: UsageError where the line of `candidate` has a field called `name`, which is what
        `setting` says."""
        if name in self.names_in(candidate):
            raise UsageError(
                f"{candidate.line.place}: there is a field {name!r} already (`{setting}` gives the"
                " new one another name)"
            )

    def names_in(self, candidate: Candidate) -> Iterable[str]:
        """The names of the fields of a line."""
        return candidate.features


class MosesFormat(NBestFormat):
    replaces_score = True

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
    are called 1, 2, …, and a name that comes again goes on where it was."""
    name, places = "", Counter[str]()
    for token in field.split():
        label, equals, rest = token.rpartition(b"=")
        if equals:
            name = line.text(label)
        if rest:
            places[name] += 1
            place = places[name]
            full = str(place) if not name else name if place == 1 else f"{name}.{place}"
            yield full, number_in(line, rest, f"feature {full}")


class TableFormat(NBestFormat):
    def __init__(self, header: Line, columns: Columns) -> None:
        """Errors: DataError where the header lacks the column of the text, or names one twice."""
        self.header, self.columns = header, columns
        self.names = self.cells(header)
        for name, times in Counter(self.names).items():
            if times > 1:
                raise DataError(f"{header.place}: two columns are named {name!r}; rename one")
        if columns.text not in self.names:
            near = did_you_mean(columns.text, self.names)
            raise DataError(
                f"{header.place}: there is no column {columns.text!r}{near}"
                " (`text_column` names the one with the text)"
            )

    def cells(self, line: Line) -> list[str]:
        text = line.text(line.data)
        try:
            return next(csv.reader([text], csv.excel_tab, strict=True), [])
        except csv.Error as error:
            wrong = str(error)
            if wrong == "unexpected end of data":
                wrong = "a quotation mark is opened and not closed"
            raise DataError(f"{line.place}: {wrong}") from None

    def read(self, line: Line) -> Candidate:
        cells = self.cells(line)
        if len(cells) != len(self.names):
            raise DataError(
                f"{line.place}: {len(cells)} cells, where the header has {len(self.names)}"
            )
        values = dict(zip(self.names, cells))
        numbers = ((name, as_number(cell)) for name, cell in values.items())
        features = {name: number for name, number in numbers if number is not None}
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
        return read_object(candidate.line)

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def read(self, line: Line) -> Candidate:
        values = read_object(line)
        text = values.get(self.columns.text)
        if not isinstance(text, str):
            raise DataError(
                f"{line.place}: no object with a text under {self.columns.text!r}"
                " (`text_column` names its key)"
            )
        if surrogate := SURROGATE.search(text):
            raise DataError(
                f"{line.place}: the text has {surrogate[0]!r}, which is half of a character"
            )
        features = {}
        for name, value in values.items():
            number = json_number(line, name, value)
            if number is not None:
                features[name] = number
        if self.columns.score in values:
            if self.columns.score not in features:
                value = shown(values[self.columns.score], 40)
                raise DataError(f"{line.place}: {self.columns.score} is {value}, and no number")
            features[SCORE] = features[self.columns.score]
        list_id = values.get(self.columns.id)
        return Candidate(None if list_id is None else str(list_id), text, features, line)

    def with_fields(self, line: Line, added: Mapping[str, float], score: float | None) -> bytes:
        values = {**added, **({self.columns.total: score} if score is not None else {})}
        rounded = {
            name: float(format_score(value)) if math.isfinite(value) else None  # as JSON has it
            for name, value in values.items()
        }
        fields = json.dumps(rounded, ensure_ascii=False)[1:-1]
        head, brace, tail = line.data.rpartition(b"}")
        return head + b", " + fields.encode() + brace + tail + line.end


NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character beyond U+FFFF, which a JSON escape can name alone."""


def as_number(text: str) -> float | None:
    """The finite number that a text is, or None."""
    number = float(text) if NUMBER.fullmatch(text.strip()) else math.inf
    return number if math.isfinite(number) else None


def number_in(line: Line, data: bytes, what: str) -> float:
    """Errors: DataError where `data` is no number."""
    text = line.text(data).strip()
    number = as_number(text)
    if number is None:
        raise DataError(f"{line.place}: {what} is {text!r:.40}, and no number")
    return number


def json_number(line: Line, name: str, value: Any) -> float | None:
    """The number under a key of an object, written as one or in quotation marks; None where there
    is none. Errors: DataError where it is NaN, or infinite."""
    if isinstance(value, str):
        return as_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(f"{line.place}: {name} is {shown(value, 40)}, and no finite number")
    return number


def read_object(line: Line) -> dict[str, Any]:
    """The JSON object of a line. Errors: DataError where there is none, or a key comes twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, times in Counter(name for name, _ in pairs).items():
            if times > 1:
                raise DataError(f"{line.place}: the key {name!r} comes twice in an object")
        return dict(pairs)

    text = line.text(line.data)
    try:
        values = json.loads(text, object_pairs_hook=unique)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"{line.place} is no JSON{fault_of(error)}") from None
    return values if isinstance(values, dict) else {}


def format_score(value: float) -> str:
    return f"{value:.6f}"


# ------------------------------------------------------------------------------------------ reading


def read_raw_lines(source: str) -> Iterator[Line]:
    """The lines of a file, compressed or not, or of standard input (-), as they come.

    Errors: DataError where it cannot be read, is UTF-16 or 32, or a line is longer than
    LONGEST_LINE.
    """
    name = source_name(source)
    with open_source(source, name) as raw, decompress(raw, name) as stream:
        for number in range(1, 1 << 62):
            data = read_chunk(stream, name, by_line=True)
            if not data:
                return
            if number == 1:
                check_encoding(data, name)
            if len(data) >= LONGEST_LINE:
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
        raise DataError(f"{source_name(source)} is empty: there are no lists")
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
    if first.removeprefix(BOM).lstrip().startswith(b"{"):
        return "json"
    return "moses" if SEPARATOR in first else "tsv"
