"""JSON Lines: an object on each line, with a text and its label under two of its keys.

    {"text": "A warm, funny film.", "label": "positive"}

A label may be a number or true or false as well; as a label it is what stands in the file.
"""

from __future__ import annotations

import json
import re
from typing import Any

from seqlm.errors import did_you_mean, fault_of, shown
from seqlm.text.labeled.record import NOTHING, FormatOptions, LineFormat, Record, words_of

SURROGATE = re.compile("[\ud800-\udfff]")
JSON_SPACE = re.compile(r"[ \t\r]*")
DECODER = json.JSONDecoder()


class ObjectsFormat(LineFormat):
    name = "jsonl"
    label_column = "label"
    has_text_column = True
    unwritable = NOTHING

    def __init__(self, file: str, options: FormatOptions, labels_needed: bool) -> None:
        super().__init__(file, options, labels_needed)
        self.text_key = options.text_column or "text"
        self.label_key = options.label_column or "label"

    def read_line(self, line: str, number: int) -> Record:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.error(number, f"the line is no JSON{fault_of(error)}") from None
        if not isinstance(values, dict):
            raise self.error(number, f"no JSON object, but {shown(values)}")
        text = self.value_of(values, self.text_key, "text_column", number)
        if not isinstance(text, str):
            raise self.error(number, f"{shown(self.text_key)} is {shown(text)}, and no text")
        label = values.get(self.label_key)
        if label in (None, "") and self.labels_needed:
            self.value_of(values, self.label_key, "label_column", number)
            raise self.error(number, f"{shown(self.label_key)} is {shown(label)}, and no label")
        if isinstance(label, dict | list):
            raise self.error(number, f"{shown(self.label_key)} is {shown(label)}, and no label")
        if label is not None and not isinstance(label, str):
            label = json.dumps(label)
        for value in (text, label or ""):
            if half := SURROGATE.search(value):
                raise self.error(number, f"half a character, {half[0]!a}, stands alone")
        columns = {"label": [label]} if label else {}
        return Record(words_of(text), columns, [line], self.file, number, [0], self)

    def value_of(self, values: dict[str, Any], key: str, option: str, number: int) -> Any:
        if key not in values:
            raise self.error(
                number, f"there is no key {shown(key)} (`{option}`){did_you_mean(key, values)}"
            )
        return values[key]

    def relabel(self, record: Record, column: str, labels: list[str]) -> list[str]:
        (line,), (label,) = record.lines, labels
        spans = value_spans(line)
        if self.label_key not in spans:
            at = line.rindex("}")
            comma = ", " if spans else ""
            return [f"{line[:at]}{comma}{quoted(self.label_key)}: {quoted(label)}{line[at:]}"]
        start, end = spans[self.label_key]
        is_text = line[start] == '"' or line[start:end] == "null"
        return [line[:start] + (quoted(label) if is_text else scalar(label)) + line[end:]]


def value_spans(line: str) -> dict[str, tuple[int, int]]:
    """Where the values of an object stand in the JSON text of it, by their keys."""
    spans = {}
    at = after_space(line, line.index("{") + 1)
    while line[at] != "}":
        key, at = DECODER.raw_decode(line, at)
        start = after_space(line, after_space(line, at) + 1)  # behind the colon
        _, end = DECODER.raw_decode(line, start)
        spans[key] = start, end
        at = after_space(line, end)
        if line[at] == ",":
            at = after_space(line, at + 1)
    return spans


def after_space(line: str, at: int) -> int:
    """The first position from `at` that is no white space."""
    space = JSON_SPACE.match(line, at)
    assert space is not None
    return space.end()


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def scalar(label: str) -> str:
    """A label as it stood in the file: a number, true or false without quotation marks."""
    try:
        value = json.loads(label)
    except ValueError:
        return quoted(label)
    return label if isinstance(value, int | float) and json.dumps(value) == label else quoted(label)
