"""A table with a text and its label in each row, as `csv` reads it (RFC 4180).

    text,label
    "A warm, funny film.",positive

The first row names the columns. A cell with a separator, a quotation mark or a line break in it
stands between quotation marks. CSV separates the cells by commas, and TSV by tabs.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import ClassVar

from seqlm.text.labeled.record import NOTHING, SPACE, Format, FormatOptions, Record, words_of


class TableFormat(Format):
    """CSV; a subclass has another separator."""

    name = "csv"
    has_text_column = True
    label_column = "label"
    unwritable = NOTHING
    separator: ClassVar[str] = ","

    def __init__(self, file: str, options: FormatOptions, labels_needed: bool) -> None:
        super().__init__(file, options, labels_needed)
        self.header: list[str] = []
        self.text_at = 0
        self.label_at: int | None = None
        """None where no column has the labels."""
        self.header_end = 0
        """The index of the header's last line."""
        self.cell = re.compile(rf'(?:^|{self.separator})("(?:[^"]|"")*"|[^{self.separator}]*)')

    def read(self, lines: Iterator[str]) -> Iterator[Record]:
        taken: list[str] = []

        def feed() -> Iterator[str]:
            for line in lines:
                taken.append(line)
                yield f"{line}\n"

        start, content = 1, 0  # the number of the first line taken, and the index of the row's
        rows = csv.reader(feed(), delimiter=self.separator, strict=True)
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                raise self.error(
                    rows.line_num,
                    f"{error} (a cell that begins with a quotation mark ends with one, and those"
                    " inside it are doubled)",
                ) from None
            line = start + content
            if row is None:
                break
            if len(taken) == content + 1 and not taken[-1].strip(SPACE):
                content = len(taken)
            elif not self.header:
                self.read_header(row, line)
                content = len(taken)
                self.header_end = content - 1
            else:
                yield self.make_record(row, taken.copy(), start, content)
                start, content = start + len(taken), 0
                taken.clear()
        if taken:
            yield self.blank(taken, start)

    def read_header(self, header: list[str], line: int) -> None:
        """Errors: UsageError where a column is not there; DataError where it is there twice."""
        for column in header:
            if header.count(column) > 1:
                raise self.error(line, f"two columns are named {column!r}; rename one")
        self.header = header
        text = self.options.text_column or "text"
        label = self.options.label_column or "label"
        if text not in header:
            raise self.unknown_column("text_column", text, header)
        self.text_at = header.index(text)
        self.label_at = header.index(label) if label in header else None
        if self.label_at is None and self.labels_needed:
            raise self.no_column(header)

    def make_record(self, row: list[str], lines: list[str], start: int, content: int) -> Record:
        line = start + content
        if len(row) != len(self.header):
            raise self.error(
                line,
                f"{len(row)} cells, where the first row has {len(self.header)}; a cell with a"
                " separator in it needs quotation marks",
            )
        label = "" if self.label_at is None else row[self.label_at]
        if self.labels_needed and not label:
            raise self.error(line, f"the column {self.header[self.label_at or 0]!r} is empty")
        columns = {"label": [label]} if label else {}
        return Record(
            words_of(row[self.text_at]), columns, lines, self.file, start, [content], self
        )

    def relabel(self, record: Record, column: str, labels: list[str]) -> list[str]:
        (content,) = record.places
        before, row = record.lines[:content], "\n".join(record.lines[content:])
        cell = self.quoted(labels[0])
        if self.label_at is not None:
            found = [*self.cell.finditer(row)][self.label_at]
            return [*before, row[: found.start(1)] + cell + row[found.end(1) :]]
        if record.line == 1:
            name = self.options.label_column or self.label_column
            before[self.header_end] += self.separator + self.quoted(name)
        return [*before, row + self.separator + cell]

    def quoted(self, value: str) -> str:
        """`value` as a cell."""
        if re.search(rf'["\r\n{self.separator}]', value):
            return '"' + value.replace('"', '""') + '"'
        return value


class TabTableFormat(TableFormat):
    name = "tsv"
    separator = "\t"
