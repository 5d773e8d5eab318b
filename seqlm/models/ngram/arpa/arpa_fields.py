"""The lines of an ARPA file -> arrays: fields and numbers, all lines at a time.

-1.7044345 <TAB> the frog <TAB> -0.21      log₁₀ p, k words, log₁₀ β

F fields, newlines among them · U lines that hold any field · Q numbers
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from seqlm.errors import ModelError
from seqlm.text.reading import BOM, read_chunk
from seqlm.text.word_index import NEWLINE, TokenSpans, find_tokens

NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MINUS_INFINITY = re.compile(rb"-inf(inity)?", re.IGNORECASE)
LONGEST_NUMBER = 18
"""Bytes of a number that is parsed here: its digits fit 63 bits. Python parses longer ones, and
those with exponents."""
LONGEST_LINE = 1 << 24
"""Bytes of a line; a longer one is refused, before it fills the memory."""


class Part(NamedTuple):
    """A marker, which is a line that begins with a backslash, or whole lines between two."""

    data: bytes
    line: int
    """The number of the first line, from 1."""

    @property
    def is_marker(self) -> bool:
        return self.data.startswith(b"\\")


def parts(stream: BinaryIO, name: str) -> Iterator[Part]:
    r"""The whole of a file. Errors: ModelError on a line that never seems to end; DataError.

    >>> [part.data for part in parts(io.BytesIO(b"\\2-grams:\n-1 a b\n-2 b b\n\\end\\"), "toy")]
    [b'\\2-grams:\n', b'-1 a b\n-2 b b\n', b'\\end\\\n']
    """
    line, rest, chunk = 1, b"", read_chunk(stream, name).removeprefix(BOM)
    while chunk or rest:
        pending = rest + chunk if chunk else rest + b"\n"  # the last line may lack its end
        end = pending.rfind(b"\n") + 1
        data, rest = pending[:end], pending[end:]
        if len(rest) > LONGEST_LINE:
            raise ModelError(f"{name} has a line of more than {LONGEST_LINE:,} bytes")
        start = 0
        while start < end:
            part = Part(data[start : part_end(data, start)], line)
            yield part
            start += len(part.data)
            line += part.data.count(b"\n")
        chunk = read_chunk(stream, name) if chunk else b""


def part_end(data: bytes, start: int) -> int:
    """Where the part of `data` that begins at `start` ends."""
    if data.startswith(b"\\", start):
        return data.index(b"\n", start) + 1
    backslash = start
    while (backslash := data.find(b"\\", backslash + 1)) >= 0:
        if data[backslash - 1] == NEWLINE:
            return backslash
    return len(data)


class FieldLines(NamedTuple):
    """The fields of some lines, but of the empty ones."""

    data: bytes
    fields: TokenSpans  # (F,)
    first_fields: np.ndarray  # (U,) the index of the first field of each line
    field_counts: np.ndarray  # (U,)
    line_numbers: np.ndarray  # (U,) from 0, counting the empty lines too

    def text(self, field: int) -> bytes:
        start = int(self.fields.start[field])
        return self.data[start : start + int(self.fields.length[field])]


def split_fields(data: bytes) -> FieldLines:
    r"""The fields of whole lines, between any white space, as in `bytes.split`.

    >>> lines = split_fields(b"-0.3\told frog\n\n-1 frog\n")
    >>> lines.first_fields.tolist(), lines.field_counts.tolist(), lines.line_numbers.tolist()
    ([0, 5], [3, 2], [0, 2])
    """
    fields = find_tokens(data)
    newlines = np.flatnonzero(np.frombuffer(data, np.uint8)[fields.start] == NEWLINE)
    field_counts = np.diff(newlines, prepend=-1) - 1
    line_numbers = np.flatnonzero(field_counts)
    field_counts = field_counts[line_numbers]
    first_fields = newlines[line_numbers] - field_counts
    return FieldLines(data, fields, first_fields, field_counts, line_numbers)


def parse_numbers(lines: FieldLines, fields: np.ndarray) -> np.ndarray:
    r"""(Q,) float64 of the `fields` (Q,) by index; NaN for one that is neither a number nor -inf.

    >>> parse_numbers(split_fields(b"-0.3 frog 7e-1 -inf\n"), np.arange(4)).tolist()
    [-0.3, nan, 0.7, -inf]
    """
    text = np.frombuffer(lines.data + bytes(LONGEST_NUMBER), np.uint8)
    start, length = lines.fields.start[fields], lines.fields.length[fields]
    sign = text[start]
    signs = (sign == ord("-")) | (sign == ord("+"))
    digits_value = np.zeros(len(fields), np.int64)
    digits, points, decimals = np.zeros((3, len(fields)), np.int8)
    for position in range(min(length.max(initial=0), LONGEST_NUMBER)):
        byte, inside = text[start + position], length > position
        digit = byte - ord("0")  # more than 9 for what is no digit, because uint8 wraps around
        is_digit = (digit <= 9) & inside
        digits_value = np.where(is_digit, digits_value * 10 + digit, digits_value)
        digits += is_digit
        points += (byte == ord(".")) & inside
        decimals += is_digit & (points > 0)
    values = digits_value / 10.0**decimals
    np.negative(values, out=values, where=sign == ord("-"))
    is_plain = (digits > 0) & (points < 2) & (signs + digits + points == length)
    for row in np.flatnonzero(~is_plain).tolist():
        field = lines.text(fields[row])
        values[row] = parse_number(field)
    return values


def parse_number(field: bytes) -> float:
    """The value of a number or of -inf; NaN for anything else, numbers beyond all bounds too."""
    if MINUS_INFINITY.fullmatch(field):
        return -np.inf
    value = float(field) if NUMBER.fullmatch(field) else np.nan
    return value if np.isfinite(value) else np.nan
