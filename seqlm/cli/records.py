"""Records on stdout: a table of tab-separated values with a header, or a JSON object a line.

The table is quoted as `csv.excel_tab` quotes (RFC 4180 with tabs), which the default readers of
pandas and R take back: a cell is quoted where it holds a quotation mark, a tab or a line break. The
words NA, null and nan are words here, so that pandas must be told: `keep_default_na=False`, and R:
`na.strings = ""`.
"""

from __future__ import annotations

import csv
import json as json_module
import math
import sys
from collections.abc import Sequence
from typing import Any

from seqlm.cli import console


class RecordWriter:
    """Prints records of equal `columns`, each as it comes."""

    def __init__(self, columns: Sequence[str], json: bool = False, flush: bool = False) -> None:
        """`json` gives an object a line, `flush` sends each record on before the next is made."""
        self.columns, self.json, self.flush = list(columns), json, flush
        self.table = csv.writer(sys.stdout, csv.excel_tab, lineterminator="\n")
        if not json:
            self.table.writerow(self.columns)

    def write(self, record: Sequence[Any]) -> None:
        """Prints the values of one record, in the order of the columns.

        None is an empty cell, or null. A number is printed with nine digits in a table, and whole
        in JSON, which has no infinity: it is null there.
        """
        if self.json:
            finite = (None if is_infinite(value) else value for value in record)
            print(json_module.dumps(dict(zip(self.columns, finite)), ensure_ascii=False))
        else:
            self.table.writerow([format_cell(value) for value in record])
        if self.flush:
            sys.stdout.flush()


def print_records(
    columns: Sequence[str], records: Sequence[Sequence[Any]], json: bool = False
) -> None:
    """Prints all `records` as RecordWriter does; on a terminal, as a table for people to read. A
    figure that is not a number is an empty cell, or null."""
    records = [[None if is_nan(value) else value for value in record] for record in records]
    if json or not console.is_tty(sys.stdout):
        writer = RecordWriter(columns, json)
        for record in records:
            writer.write(record)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for place, name in enumerate(columns):
        is_number = any(isinstance(record[place], int | float) for record in records)
        table.add_column(name, justify="right" if is_number else "left")
    for record in records:
        table.add_row(*(Text(for_people(value)) for value in record))
    Console(highlight=False).print(table)


def for_people(value: Any) -> str:
    """A cell, with four digits of a number."""
    if value is None:
        return ""
    return f"{value + 0.0:.4g}" if isinstance(value, float) else str(format_cell(value))


def is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def is_infinite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def format_cell(value: Any) -> Any:
    """A number with nine digits and without the sign of a negative zero; other values than numbers
    and text as JSON writes them."""
    if isinstance(value, float):
        return f"{value + 0.0:.9g}"
    if isinstance(value, bool | list | dict):
        return json_module.dumps(value, ensure_ascii=False)
    return value
