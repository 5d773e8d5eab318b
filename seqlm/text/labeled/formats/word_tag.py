"""A sentence on a line: with tags, as in `The_DT dog_NN barks_VBZ`, or without.

White space separates the words. A word ends at its last `_`, so that it may have others in it.
"""

from __future__ import annotations

import re

from seqlm.errors import shown
from seqlm.text.labeled.record import WHITE, FormatOptions, LineFormat, Record, words_of

WORD = re.compile(r"[^ \t\r\v\f]+")


class WordTagFormat(LineFormat):
    name = "word-tag"
    label_column = "tag"
    unwritable = re.compile(rf"{WHITE.pattern}|_")

    def __init__(self, file: str, options: FormatOptions, labels_needed: bool) -> None:
        super().__init__(file, options, labels_needed)
        self.check_label_column()

    def read_line(self, line: str, number: int) -> Record:
        parts = [word.rpartition("_") for word in words_of(line)]
        tokens, _, tags = map(list, zip(*parts))
        if "" in tokens or "" in tags:
            word = next("".join(part) for part in parts if not (part[0] and part[2]))
            raise self.error(number, f"{shown(word)} is no word and tag, as The_DT is")
        columns = {"token": tokens, "tag": tags}
        return Record(tokens, columns, [line], self.file, number, [0], self)

    def relabel(self, record: Record, column: str, labels: list[str]) -> list[str]:
        assert len(labels) == len(record.tokens), "not one label for each token"
        pairs = zip(record.tokens, labels)
        words = iter([f"{token}_{label}" for token, label in pairs])
        return [WORD.sub(lambda _: next(words), record.lines[0])]


class SentencesFormat(LineFormat):
    """Sentences without tags. They are written as word-tag."""

    name = "text"
    label_column = "tag"
    unwritable = WordTagFormat.unwritable

    def __init__(self, file: str, options: FormatOptions, labels_needed: bool) -> None:
        super().__init__(file, options, labels_needed)
        self.check_label_column()
        if labels_needed:
            raise self.no_labels()

    def read_line(self, line: str, number: int) -> Record:
        tokens = words_of(line)
        return Record(tokens, {"token": tokens}, [line], self.file, number, [0], self)

    def relabel(self, record: Record, column: str, labels: list[str]) -> list[str]:
        assert len(labels) == len(record.tokens), "not one label for each token"
        return [" ".join([f"{token}_{label}" for token, label in zip(record.tokens, labels)])]
