"""CoNLL-U, the format of Universal Dependencies: ten columns on the line of each word.

    # text = I've seen it
    1-2  I've  _     _     _    _  _  _       _  _
    1    I     I     PRON  PRP  _  3  nsubj   _  _
    2    've   have  AUX   VBP  _  3  aux     _  _
    ...

Tabs separate the columns, and a blank line ends a sentence. Words have the ids 1, 2, ...; comments,
multiword tokens (1-2) and empty nodes (1.1) are no tokens, and stay as they are. A first line
`# global.columns = ID FORM ...` names other columns (CoNLL-U Plus).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from seqlm.errors import shown
from seqlm.text.labeled.record import FormatOptions, Record, SentenceFormat

COLUMNS = ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"]
GLOBAL_COLUMNS = re.compile(r"# *global\.columns *=")
UNSPECIFIED = "_"
OFTEN_EMPTY = ("feats", "deps", "misc")
"""Columns in which `_` says that there is nothing, and not that nothing is known."""
OTHER_ID = re.compile(r"[0-9]+(-[0-9]+|\.[0-9]+)")
"""The id of a multiword token or an empty node."""
IDS = [str(number) for number in range(1, 1001)]
"""The ids of all but the longest sentences."""


class ConlluFormat(SentenceFormat):
    name = "conllu"
    token_column = "form"

    def __init__(self, file: str, options: FormatOptions, labels_needed: bool) -> None:
        super().__init__(file, options, labels_needed)
        self.label_column = options.label_column or "upos"
        self.names = COLUMNS

    def read(self, lines: Iterator[str]) -> Iterator[Record]:
        first = list(islice(lines, 1))
        for line in first:
            if named := GLOBAL_COLUMNS.match(line):
                self.names = line[named.end() :].lower().split()
                if len(set(self.names)) < len(self.names) or self.names[:1] != ["id"]:
                    raise self.error(1, "global.columns begins with ID, and names no column twice")
                if "form" not in self.names:
                    raise self.error(1, "global.columns names no column FORM")
        if self.labels_needed and self.label_column not in self.names:
            raise self.no_column(self.names)
        return super().read(chain(first, lines))

    def read_block(self, block: list[str], start: int) -> tuple[dict[str, list[str]], list[int]]:
        places, rows = [], []
        for place, line in enumerate(block):
            if line.startswith("#"):
                continue
            row = line.split("\t")
            if len(row) != len(self.names):
                raise self.error(
                    start + place,
                    f"{len(row)} columns, where {self.name} has {len(self.names)} separated by"
                    " tabs",
                )
            if row[0].isdecimal() or not OTHER_ID.fullmatch(row[0]):
                places.append(place)
                rows.append(row)
        columns = dict(zip(self.names, map(list, zip(*rows))))
        if rows:
            self.check(columns, places, start)
        return columns, places

    def check(self, columns: dict[str, list[str]], places: list[int], start: int) -> None:
        """Errors: DataError on ids that do not count the words, an empty form or a missing
        label."""
        ids, forms = columns["id"], columns["form"]
        if ids != IDS[: len(ids)]:
            for number, (found, place) in enumerate(zip(ids, places), 1):
                if found != str(number):
                    raise self.error(
                        start + place,
                        f"the id is {shown(found)}, and that of the next word of the sentence is"
                        f" {number}; a blank line ends a sentence",
                    )
        if "" in forms:
            raise self.error(start + places[forms.index("")], "the form is empty")
        if self.labels_needed and self.label_column not in OFTEN_EMPTY:
            labels = columns[self.label_column]
            for missing in {"", UNSPECIFIED} & set(labels):
                raise self.error(
                    start + places[labels.index(missing)],
                    f"the word has no {self.label_column}; leave the sentence out, or name another"
                    " column by `label_column`",
                )

    def relabel_line(self, line: str, column: str, label: str) -> str:
        if column not in self.names:
            raise self.unknown_column("label_column", column, self.names)
        cells = line.split("\t")
        cells[self.names.index(column)] = label
        return "\t".join(cells)
