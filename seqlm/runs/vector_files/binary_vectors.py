"""Word vectors in word2vec's binary format.

    3000000 300                  a line of text: words, and numbers of each
    the <4 · 300 bytes> [\\n]     word, space, float32; some writers end the line
    …

All numbers are little-endian. A word that a wrong width would cut out of the numbers is recognized
by its control characters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from seqlm.errors import ModelError, shown
from seqlm.runs.vector_files.text_vectors import VectorHeader, parse_header
from seqlm.runs.vector_files.vector_formats import LONGEST_WORD
from seqlm.runs.vector_files.word_vectors import VectorCollector, WordVectors
from seqlm.text.reading import BLOCK_SIZE, decompress, open_source, read_chunk

CONTROL = re.compile(rb"[\0-\x1f]")


def read_binary_vectors(
    path: Path, wanted: Collection[str] | None = None, most: int | None = None
) -> WordVectors:
    """As `read_vectors`, of a binary file. Bytes of words that are no UTF-8 become U+FFFD.

    Errors: ModelError naming the word; DataError where the file cannot be read.
    """
    name = str(path)
    with open_source(name, name) as raw, decompress(raw, name) as stream:
        start = read_chunk(stream, name)
        header = parse_header(start)
        assert header is not None, "a file without a header was taken for a binary one"
        collector = VectorCollector(name, header.width, wanted, most)
        rows = bytearray()  # of words that are taken, and not added yet
        for word, row in entries(stream, name, start[header.end :], header):
            if collector.take(word.decode(errors="replace")):
                rows += row
            if len(rows) >= BLOCK_SIZE:
                collector.add(as_rows(rows, header.width))
                rows.clear()
            if collector.is_full:
                break
    collector.add(as_rows(rows, header.width))
    return collector.finish()


def as_rows(data: bytearray, width: int) -> np.ndarray:
    """(n, D)"""
    return np.frombuffer(bytes(data), "<f4").reshape(-1, width)


def entries(
    stream: BinaryIO, name: str, data: bytes, header: VectorHeader
) -> Iterator[tuple[bytes, bytes]]:
    """Every word and the bytes of its vector; `data` is what was read of `stream` already.

    Errors: ModelError where the file does not fit its header; DataError.
    """
    at = 0
    for number in range(1, header.num_words + 1):
        while (space := data.find(b" ", at)) < 0 or len(data) <= space + 4 * header.width:
            if space < 0 and len(data) - at > LONGEST_WORD:
                space = len(data)
                break
            chunk = read_chunk(stream, name)
            if not chunk:
                raise ModelError(
                    f"{name} ends within word {number:,}, and its header says {header.num_words:,}"
                    f" words of {header.width:,} numbers; is it complete?"
                )
            data, at = data[at:] + chunk, 0
        word = data[at:space].removeprefix(b"\n")
        if len(word) > LONGEST_WORD or CONTROL.search(word):
            start = shown(word[:60].decode(errors="replace"))
            raise ModelError(
                f"{name}: word {number:,} would be {start}; has each word the"
                f" {header.width:,} numbers that the header says?"
            )
        at = space + 1 + 4 * header.width
        yield word, data[space + 1 : at]
    if (data[at:] + read_chunk(stream, name)).strip():
        raise ModelError(
            f"{name} goes on after the {header.num_words:,} words that its header says"
        )
