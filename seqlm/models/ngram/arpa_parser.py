"""The lines of an ARPA file -> arrays: fields and numbers, all lines at a time.

-1.7044345 <TAB> the frog <TAB> -0.21      log₁₀ p, k words, log₁₀ β

F fields, newlines among them · U lines that hold any · Q numbers
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
SHORT = 18
"""The most bytes of a number that is read here; the digits fit 63 bits. Others are left to Python,
as are exponents."""
LONGEST = 1 << 24  # bytes of a line


class Part(NamedTuple):
    """A marker, or some whole lines between two."""

    data: bytes
    line: int
    """Number of the first, from 1."""

    @property
    def is_marker(self) -> bool:
        return self.data.startswith(b"\\")


def parts(stream: BinaryIO, name: str) -> Iterator[Part]:
    """The whole of a file. Errors: ModelError on a line that goes on and on; DataError."""
    line, rest, chunk = 1, b"", read_chunk(stream, name).removeprefix(BOM)
    while chunk or rest:
        pending = rest + chunk if chunk else rest + b"\n"  # the last line may lack its end
        end = pending.rfind(b"\n") + 1
        data, rest = pending[:end], pending[end:]
        if len(rest) > LONGEST:
            raise ModelError(f"{name} has a line of more than {LONGEST:,} bytes")
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
    at = start
    while (at := data.find(b"\\", at + 1)) >= 0:
        if data[at - 1] == NEWLINE:
            return at
    return len(data)


class Lines(NamedTuple):
    data: bytes
    fields: TokenSpans  # (F,)
    first: np.ndarray  # (U,) the first field of each line
    sizes: np.ndarray  # (U,) how many it has
    numbers: np.ndarray  # (U,) of the line, from 0, counting those without fields

    def text(self, field: int) -> bytes:
        start = int(self.fields.start[field])
        return self.data[start : start + int(self.fields.length[field])]


def take_apart(data: bytes) -> Lines:
    """The fields of whole lines; what parts them is any white space, as in `bytes.split`."""
    fields = find_tokens(data)
    last = np.flatnonzero(np.frombuffer(data, np.uint8)[fields.start] == NEWLINE)
    sizes = np.diff(last, prepend=-1) - 1
    there = np.flatnonzero(sizes)
    sizes = sizes[there]
    return Lines(data, fields, last[there] - sizes, sizes, there)


def numbers(lines: Lines, which: np.ndarray) -> np.ndarray:
    """(Q,) float64 that the fields `which` (Q,) spell in base 10; NaN for those that spell none."""
    text = np.frombuffer(lines.data + bytes(SHORT), np.uint8)
    start, length = lines.fields.start[which], lines.fields.length[which]
    sign = text[start]
    signed = (sign == ord("-")) | (sign == ord("+"))
    value = np.zeros(len(which), np.int64)
    digits, points, decimals = np.zeros((3, len(which)), np.int8)
    for place in range(min(length.max(initial=0), SHORT)):
        byte, inside = text[start + place], length > place
        digit = byte - ord("0")  # of what is no digit more than 9, as uint8 wraps
        is_digit = (digit <= 9) & inside
        value = np.where(is_digit, value * 10 + digit, value)
        digits += is_digit
        points += (byte == ord(".")) & inside
        decimals += is_digit & (points > 0)
    found = value / 10.0**decimals
    np.negative(found, out=found, where=sign == ord("-"))
    plain = (digits > 0) & (points < 2) & (signed + digits + points == length)
    for row in np.flatnonzero(~plain).tolist():
        spelled = lines.text(which[row])
        found[row] = float(spelled) if NUMBER.fullmatch(spelled) else np.nan
    return found
