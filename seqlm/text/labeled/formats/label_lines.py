"""A text on a line: behind its label and a tab, with the label as a word of it, or without one.

label-text    positive<TAB>A warm , funny film .
fasttext      __label__positive A warm , funny film .
text          A warm , funny film .
"""

from __future__ import annotations

import re

from seqlm.text.labeled.record import WHITE, FormatOptions, LineFormat, Record, words_of

PREFIX = "__label__"
LABEL_WORD = re.compile(r"(?<![^ \t\r\v\f])__label__[^ \t\r\v\f]*")


class TextLineFormat(LineFormat):
    """A format whose records are lines with a text and at most one label."""

    label_column = "label"

    def __init__(self, file: str, options: FormatOptions, labels_needed: bool) -> None:
        super().__init__(file, options, labels_needed)
        self.check_label_column()

    def make_record(self, text: str, labels: list[str], line: str, number: int) -> Record:
        columns = {"label": labels} if labels else {}
        return Record(words_of(text), columns, [line], self.file, number, [0], self)


class LabelTextFormat(TextLineFormat):
    name = "label-text"

    def read_line(self, line: str, number: int) -> Record:
        label, tab, text = line.partition("\t")
        if not tab:
            raise self.error(number, "no tab between the label and the text")
        if self.labels_needed and not label:
            raise self.error(number, "the text has no label; it stands before the tab")
        return self.make_record(text, [label] if label else [], line, number)

    def relabel(self, record: Record, column: str, labels: list[str]) -> list[str]:
        return [labels[0] + record.lines[0][record.lines[0].index("\t") :]]


class FastTextFormat(TextLineFormat):
    name = "fasttext"
    unwritable = WHITE

    def read_line(self, line: str, number: int) -> Record:
        labels = [word.removeprefix(PREFIX) for word in LABEL_WORD.findall(line)]
        if len(labels) > 1:
            raise self.error(number, f"{len(labels)} labels; one label of a text is read")
        if labels == [""] or (self.labels_needed and not labels):
            raise self.error(number, f"the text has no label, as in `{PREFIX}positive A warm film`")
        return self.make_record(LABEL_WORD.sub("", line), labels, line, number)

    def relabel(self, record: Record, column: str, labels: list[str]) -> list[str]:
        line, word = record.lines[0], PREFIX + labels[0]
        return [LABEL_WORD.sub(lambda _: word, line) if record.columns else f"{word} {line}"]


class TextsFormat(TextLineFormat):
    """Texts without labels. They are written as label-text."""

    name = "text"

    def __init__(self, file: str, options: FormatOptions, labels_needed: bool) -> None:
        super().__init__(file, options, labels_needed)
        if labels_needed:
            raise self.no_labels()

    def read_line(self, line: str, number: int) -> Record:
        return self.make_record(line, [], line, number)

    def relabel(self, record: Record, column: str, labels: list[str]) -> list[str]:
        return [f"{labels[0]}\t{record.lines[0]}"]
