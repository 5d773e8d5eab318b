"""Files of word vectors -> words and vectors; the format is recognized by the content.

    word2vec text     a header, then lines              also fastText's .vec
    word2vec binary   a header, then words and float32
    GloVe text        lines
    fastText model    its .bin: a vector for any word, composed of character n-grams

The first three may be compressed. Files of several gigabytes are read in one pass, and only what is
wanted is kept.
"""

from __future__ import annotations

import codecs
import stat
from collections.abc import Collection
from pathlib import Path

from seqlm.errors import DataError, ModelError
from seqlm.runs.untrusted.plain_files import kind_of_file
from seqlm.runs.vector_files import fasttext_model
from seqlm.runs.vector_files.binary_vectors import CONTROL, read_binary_vectors
from seqlm.runs.vector_files.fasttext_model import read_fasttext_vectors
from seqlm.runs.vector_files.text_vectors import (
    begins_text_vectors,
    parse_header,
    read_text_vectors,
)
from seqlm.runs.vector_files.word_vectors import WordVectors
from seqlm.text.reading import (
    check_encoding,
    check_files,
    decompress,
    open_source,
    read_chunk,
    reason,
)

SAMPLE = 1 << 12
"""Bytes by which binary vectors are told from text."""
ZIP = b"PK\x03\x04"
PICKLES = tuple(bytes([0x80, version]) for version in range(2, 6))


def read_vectors(
    path: str | Path, wanted: Collection[str] | None = None, most: int | None = None
) -> WordVectors:
    """The vectors of a file: of the `wanted` words, or of all, but at most of the first `most`.

    Words that come twice have their first vector, and a warning counts them. A fastText model has a
    vector for each wanted word that has character n-grams, in its dictionary or not.

    Reading ends where no other word can be wanted; what comes after is not checked.
    Errors: ModelError naming the file, and the line or the word, where it cannot be read, its
    header is wrong, a row has another number of numbers, or a wanted one a NaN or an infinity.
    """
    path = Path(path)
    try:
        start = first_bytes(path)
        if start.startswith(fasttext_model.MAGIC):
            return read_fasttext_vectors(path, wanted, most)
        if is_word2vec_binary(start):
            return read_binary_vectors(path, wanted, most)
        check_text(start, str(path))
        return read_text_vectors(path, wanted, most)
    except DataError as error:
        raise ModelError(error.marked) from None


def is_vectors(start: bytes) -> bool:
    """Whether these are the first bytes of a file of word vectors, of any format."""
    if start.startswith(fasttext_model.MAGIC) or is_word2vec_binary(start):
        return True
    return begins_text_vectors(start) and not has_control(start[:SAMPLE])


def first_bytes(path: Path) -> bytes:
    """The start of a file, decompressed. Errors: ModelError where it is no file; DataError."""
    name = str(path)
    check_files([name])
    try:
        mode = path.stat().st_mode
    except OSError as error:  # of "-", which is no standard input here
        raise ModelError(f"{name} cannot be read: {reason(error)}") from None
    if not stat.S_ISREG(mode):
        raise ModelError(f"{name} is {kind_of_file(mode)}, not a file")
    with open_source(name, name) as raw, decompress(raw, name) as stream:
        start = read_chunk(stream, name)
        if start.startswith(fasttext_model.MAGIC) and stream is not raw:
            raise ModelError(f"{name} is a compressed fastText model: decompress it first")
        return start


def is_word2vec_binary(start: bytes) -> bool:
    """Whether there is a header, and what follows the first word is no text."""
    header = parse_header(start)
    if header is None:
        return False
    first_row = start.find(b" ", header.end) + 1
    return not is_text(start[first_row : first_row + min(4 * max(header.width, 1), SAMPLE)])


def is_text(data: bytes) -> bool:
    """Whether these are the first bytes of UTF-8 text without control characters."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return not has_control(data)


def has_control(data: bytes) -> bool:
    """Whether there are control characters but for those that separate lines and fields."""
    return CONTROL.search(data.translate(None, b"\t\n\r")) is not None


def check_text(start: bytes, name: str) -> None:
    """Errors: ModelError where a file is of none of the formats; DataError on UTF-16 or 32."""
    check_readable(start, name)
    if has_control(start[:SAMPLE]):
        raise ModelError(
            f"{name} is no file of word vectors: these are word2vec's text and binary files, text"
            " of GloVe, and .vec and .bin of fastText"
        )


def check_readable(start: bytes, name: str) -> None:
    """Errors: ModelError where a file is to be unpacked first, or is a pickle; DataError on UTF-16
    or 32."""
    check_encoding(start, name)
    if start.startswith(ZIP):
        raise ModelError(f"{name} is a zip archive: unpack it first")
    if start.startswith(PICKLES):
        raise ModelError(
            f"{name} is a pickle, which is not read; if gensim saved it, write its vectors with"
            " save_word2vec_format"
        )
