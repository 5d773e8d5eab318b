"""Word vectors as text: a line has a word and its numbers, separated by spaces.

    400000 50                 a header, words and numbers of each: word2vec, fastText's .vec
    the 0.418 0.24968 …       no header: GloVe
    at name@domain.com 0.1 …  a word of GloVe may have spaces: the last D fields are the numbers

Every line is checked for its number of fields, and only the numbers of wanted words are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlm.errors import ModelError, shown
from seqlm.runs.vector_files.word_vectors import VectorCollector, WordVectors
from seqlm.text.reading import BOM, Block, read_blocks

# A byte-order mark may come first.
HEADER = re.compile(rb"(?:\xef\xbb\xbf)?(\d{1,99}) (\d{1,99})[ \r]*(?:\n|\Z)")
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)", re.IGNORECASE)
DECIMAL = re.compile(rb"[+-]?(\d*\.\d+([eE][+-]?\d+)?|\d+\.?[eE][+-]?\d+)")
WHOLE = re.compile(rb"[+-]?\d+")


class VectorHeader(NamedTuple):
    """The first line of word2vec's formats."""

    num_words: int
    width: int
    end: int
    """Its length in bytes."""

    def check_count(self, count: int, name: str) -> None:
        """Errors: ModelError if the file has another number of words than the header says."""
        if count != self.num_words:
            raise ModelError(
                f"{name}, line 1: the header says {self.num_words:,} words, and the file has"
                f" {count:,}; is it complete?"
            )


def parse_header(start: bytes) -> VectorHeader | None:
    """The header at the start of a file, or None where there is none."""
    match = HEADER.match(start)
    return match and VectorHeader(int(match[1]), int(match[2]), match.end())


def begins_text_vectors(start: bytes) -> bool:
    """Whether the first line of a file is a header, or a word and its numbers."""
    line, _, _ = start.removeprefix(BOM).partition(b"\n")
    return parse_header(start) is not None or numbers_at_end(split_fields(line.rstrip())) > 0


def read_text_vectors(
    path: Path, wanted: Collection[str] | None = None, most: int | None = None
) -> WordVectors:
    """As `read_vectors`, of a text. Bytes that are no UTF-8 become U+FFFD.

    Errors: ModelError naming the line; DataError where the file cannot be read.
    """
    name, count, header = str(path), 0, None
    collector: VectorCollector | None = None
    for block in read_blocks([path], "replace"):
        lines = lines_of(block)
        first_line = block.line
        if collector is None:
            header = parse_header(block.data)
            width = count_numbers(lines[0], name) if header is None else header.width
            collector = VectorCollector(name, width, wanted, most)
            if header is not None:
                lines, first_line = lines[1:], 2
        add_rows(lines, first_line, collector)
        count += len(lines)
        if collector.is_full:
            return collector.finish()
    if collector is None or count == 0:
        raise ModelError(f"{name} is empty: there are no word vectors in it")
    if header is not None:
        header.check_count(count, name)
    return collector.finish()


def lines_of(block: Block) -> list[bytes]:
    """Errors: ModelError on a line that is longer than a block."""
    if not block.data.endswith(b"\n"):
        raise ModelError(f"{block.file}, line {block.line}: the line is too long for a word vector")
    return block.data[:-1].split(b"\n")


def count_numbers(line: bytes, name: str) -> int:
    """The numbers at the end of the first line, after its word. Errors: ModelError on none."""
    width = numbers_at_end(split_fields(line))
    if width < 1:
        raise ModelError(
            f"{name}, line 1: {shown(line.decode())} is neither a header nor a word and its"
            " numbers, with spaces between them"
        )
    return width


def numbers_at_end(fields: Sequence[bytes]) -> int:
    """How many numbers follow the last field that is none, or the first field; less than 1 where
    there are none."""
    words = (index for index, field in enumerate(fields) if not NUMBER.fullmatch(field))
    return len(fields) - 1 - max(words, default=0)


def add_rows(lines: Sequence[bytes], first_line: int, collector: VectorCollector) -> None:
    """Adds the wanted ones of some lines. Errors: ModelError naming the line."""
    rows, line_numbers = [], []
    for number, line in enumerate(lines, first_line):
        if collector.is_full:
            break
        try:
            word, row = split_row(line.rstrip(b" "), collector.width)
        except ValueError as error:
            raise ModelError(f"{collector.name}, line {number}: {error}") from None
        if collector.take(word.decode()):
            rows.append(row)
            line_numbers.append(number)
    values = parse_row(b" ".join(rows))
    if values.size != len(rows) * collector.width:
        bad = next(n for n, row in enumerate(rows) if parse_row(row).size != collector.width)
        raise ModelError(
            f"{collector.name}, line {line_numbers[bad]}: {shown(rows[bad].decode())} are not"
            f" {collector.width:,} numbers"
        )
    collector.add(values.reshape(-1, collector.width), line_numbers)


def split_row(line: bytes, width: int) -> tuple[bytes, bytes]:
    """A word and the text of its numbers. Errors: ValueError on another number of fields.

    >>> split_row(b". . 0.1 0.2", 2)
    (b'. .', b'0.1 0.2')
    """
    if line.count(b" ") == width and not line.startswith(b" "):
        word, _, row = line.partition(b" ")
        return word, row
    fields = split_fields(line)
    has_more = len(fields) > width + 1 and is_number_of_row(fields[-width - 1], fields[-width:])
    if len(fields) <= width or has_more:
        found = f"more than {width:,}" if has_more else f"{max(len(fields) - 1, 0):,}"
        raise ValueError(f"a word and {found} numbers, where line 1 calls for {width:,}")
    return b" ".join(fields[:-width]), b" ".join(fields[-width:])


def is_number_of_row(field: bytes, numbers: Sequence[bytes]) -> bool:
    """Whether a field before `numbers` is one of them rather than the end of a word.

    A word of GloVe may end in a whole number, as "section 8", but in none with decimals, and not
    where all numbers after it are whole ones, too.
    """
    if DECIMAL.fullmatch(field):
        return True
    return WHOLE.fullmatch(field) is not None and all(map(WHOLE.fullmatch, numbers))


def split_fields(line: bytes) -> list[bytes]:
    return [field for field in line.split(b" ") if field]


def parse_row(text: bytes) -> np.ndarray:
    """(n,) float32, the numbers of a text; none where one of them is no number.

    >>> parse_row(b"0.5 -2 1e-1").tolist(), parse_row(b"0.5 x").tolist()
    ([0.5, -2.0, 0.10000000149011612], [])
    """
    try:
        return np.fromstring(text, np.float32, sep=" ")
    except ValueError:
        return np.empty(0, np.float32)
