"""A table of items, one in each row: its text in one column, and what is known of it in the others.

The table is read as `csv` reads it (RFC 4180): separated by commas where the name of the file ends
in .csv, with or without a suffix of compression, and by tabs otherwise; a cell that holds a
separator, a quotation mark or a line break stands between quotation marks. This is what pandas and
R write. The first row names the columns. Blank lines are no rows, and CRLF is LF.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seqlm.errors import DataError, UsageError, did_you_mean
from seqlm.text.reading import read_lines, source_name


class Item(NamedTuple):
    """A row of the table."""

    line: int  # of the file, the last of the row
    text: str
    others: list[str]  # the cells of the other columns, in their order


class ItemTable(NamedTuple):
    """The items of a table, which can be read once."""

    other_columns: list[str]
    items: Iterator[Item]


def read_items(
    source: str, text_column: str, errors: str = "strict", reserved: Sequence[str] = ()
) -> ItemTable:
    """The items of the table at `source`, whose texts are in `text_column`.

    `errors` is what `read_blocks` takes; `reserved` are the names that no other column may have.
    Errors: UsageError where there is no such column; DataError naming file and line.
    """
    rows = read_rows(source, errors)
    line, header = next(rows, (0, []))
    name = source_name(source)
    if not header:
        raise DataError(f"{name} is empty: a table of items begins with the names of its columns")
    for column in header:
        if header.count(column) > 1:
            raise DataError(f"{name}, line {line}: two columns are named {column!r}; rename one")
    if text_column not in header:
        raise UsageError(
            f"{name} has no column `text_column={text_column}`{did_you_mean(text_column, header)}"
        )
    at = header.index(text_column)
    others = header[:at] + header[at + 1 :]
    for column in others:
        if column in reserved:
            raise DataError(
                f"{name}, line {line}: a column is named {column!r}, as one of the result is;"
                " rename it"
            )
    return ItemTable(others, check_items(rows, name, len(header), at))


def check_items(
    rows: Iterator[tuple[int, list[str]]], name: str, columns: int, at: int
) -> Iterator[Item]:
    """The items of `rows`, whose texts are in column `at` of so many columns. Errors: DataError."""
    for line, row in rows:
        if len(row) != columns:
            raise DataError(
                f"{name}, line {line}: {len(row)} cells where the first row has {columns}; cells"
                " with a separator in them need quotation marks"
            )
        text = row[at]
        if "\n" in text or "\r" in text:
            raise DataError(
                f"{name}, line {line}: the text of an item has a line break; put a space there, or"
                " make it two items"
            )
        yield Item(line, text, row[:at] + row[at + 1 :])


def read_rows(source: str, errors: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table that are not blank, each with the number of its last line."""
    delimiter = "," if ".csv" in (suffix.lower() for suffix in Path(source).suffixes) else "\t"
    lines = (f"{line}\n" for line in read_lines([source], errors))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        name = source_name(source)
        raise DataError(
            f"{name}, line {reader.line_num}: {error} (a cell that begins with a quotation mark"
            " ends with one, and those inside it are doubled)"
        ) from None
