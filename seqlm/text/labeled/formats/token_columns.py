"""Columns as in the shared tasks of CoNLL: a token and its tags on a line.

    Confidence  NN  B-NP
    in          IN  B-PP

Tabs or runs of spaces separate the columns, and a blank line ends a sentence. The first column is
`token` and the last is `tag`, with the names of CoNLL-2000 and CoNLL-2003 for those between them:

    token
    token tag
    token pos tag
    token pos chunk tag

Every column is known by its number as well, the first as 1. Lines of `-DOCSTART-`, which CoNLL-2003
has between documents, are no tokens.
"""

from __future__ import annotations

import re

from seqlm.text.labeled.record import BREAKS, SPACE, WHITE, FormatOptions, SentenceFormat, words_of

BETWEEN = {3: ["pos"], 4: ["pos", "chunk"]}
"""The names of the columns between token and tag, by the number of all columns."""
GAP = re.compile(rf"([{SPACE}]+)")
DOCUMENT_START = "-DOCSTART-"


class ColumnsFormat(SentenceFormat):
    name = "columns"
    token_column = "token"
    unwritable = WHITE

    def __init__(self, file: str, options: FormatOptions, labels_needed: bool) -> None:
        super().__init__(file, options, labels_needed)
        self.label_column = options.label_column or "tag"
        self.width = 0
        """Columns of the file; 0 before its first token."""
        self.places: dict[str, int] = {}
        """Where the columns stand, by their names."""

    def read_block(self, block: list[str], start: int) -> tuple[dict[str, list[str]], list[int]]:
        places = [n for n, line in enumerate(block) if not line.startswith(DOCUMENT_START)]
        rows = [cells_of(block[place]) for place in places]
        if not rows:
            return {}, []
        if not self.places:
            self.set_width(len(rows[0]), start + places[0])
            if self.width == 1 or "\t" in block[places[0]]:
                self.unwritable = BREAKS
        if {*map(len, rows)} != {self.width}:
            place, row = next((p, r) for p, r in zip(places, rows) if len(r) != self.width)
            raise self.error(
                start + place,
                f"{len(row)} columns, where the first token has {self.width}; all lines of a file"
                " have the same",
            )
        values = [*map(list, zip(*rows))]
        for name in (self.token_column, *([self.label_column] if self.labels_needed else [])):
            column = values[self.places[name]]
            if "" in column:
                raise self.error(start + places[column.index("")], f"the {name} is empty")
        return {name: values[at] for name, at in self.places.items()}, places

    def set_width(self, width: int, line: int) -> None:
        """Names the columns, of which `line` is the first to have so many.

        Errors: DataError or UsageError where the column of the labels is needed and missing.
        """
        self.width = width
        self.places = {str(at + 1): at for at in range(width)}
        self.places |= {name: at for at, name in enumerate(["token", *BETWEEN.get(width, [])])}
        if width > 1:
            self.places["tag"] = width - 1
        if self.labels_needed and self.label_column not in self.places:
            if width == 1:
                raise self.error(line, "the token has no tag; it stands in a column behind it")
            raise self.no_column(list(self.places))

    def relabel_line(self, line: str, column: str, label: str) -> str:
        if "\t" in line:
            cells = line.split("\t")
            at = self.places.get(column, len(cells))
            cells[at : at + 1] = [label]  # in the place of another, or behind the last
            return "\t".join(cells)
        if column not in self.places and self.width == 1:
            return f"{line.strip(SPACE)}\t{label}"
        parts = GAP.split(line)  # cells and gaps in turn
        if column not in self.places:
            return f"{line}{parts[-2] if parts[-1] else ''}{label}"
        parts[2 * self.places[column] + 2 * (not parts[0])] = label
        return "".join(parts)


def cells_of(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else words_of(line)
