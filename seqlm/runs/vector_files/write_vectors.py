"""Words and vectors -> a file of word vectors, which `read_vectors` and other programs read.

Numbers as text are the shortest decimals that read back as the same float32, so that no format
changes a bit. The file is written block by block: there is no second copy of the vectors.

    N words · D numbers of a vector · n words of a block
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from seqlm.errors import ModelError, shown
from seqlm.runs.durable_files import write_pieces
from seqlm.runs.vector_files.shortest_decimals import spell_rows
from seqlm.runs.vector_files.vector_formats import check_format, why_not

NUMBERS_AT_ONCE = 1 << 15
"""Numbers of a block, which fit the cache of a processor."""


def write_vectors(
    path: Path | None,
    words: Sequence[str],
    vectors: np.ndarray,
    to: str = "word2vec",
    skip: bool = False,
) -> int:
    """Writes `words` (N) and `vectors` (N, D) to a file, compressed where its name ends in .gz;
    None is standard output. `to` is one of `vector_formats.FORMATS`.

    A word that the format cannot hold is an error; with `skip` such words are left out. Returns how
    many were left out.
    Errors: UsageError on `to`; ModelError naming the word, or one whose vector is not finite;
    SeqlmError where the disk refuses.
    """
    check_format(to)
    rows = writable_rows(words, to, skip)
    write_pieces(path, pieces(words, vectors, rows, to))
    return len(words) - len(rows)


def writable_rows(words: Sequence[str], to: str, skip: bool) -> np.ndarray:
    """The rows of the words that can be written. Errors: ModelError on others without `skip`."""
    refused: dict[int, str] = {}
    for row, word in enumerate(words):
        if reason := why_not(word, to, is_first=row == len(refused)):
            refused[row] = reason
    if refused and not skip:
        row, reason = next(iter(refused.items()))
        raise ModelError(
            f"`to={to}` cannot hold the word {shown(words[row])}, {reason}; `skip` leaves out such"
            f" words, {len(refused):,} of {len(words):,}"
        )
    return np.delete(np.arange(len(words)), list(refused))


def pieces(words: Sequence[str], vectors: np.ndarray, rows: np.ndarray, to: str) -> Iterator[bytes]:
    """The file with `rows`, block by block. Errors: ModelError on a vector that is not finite."""
    width = vectors.shape[1]
    write_block = binary_block if to == "word2vec-binary" else text_block
    if to != "glove":
        yield b"%d %d\n" % (len(rows), width)
    at_once = max(1, NUMBERS_AT_ONCE // width)
    for start in range(0, len(rows), at_once):
        block = rows[start : start + at_once]  # (n,)
        numbers = vectors[block].astype("<f4", copy=False)  # (n, D)
        is_finite = np.isfinite(numbers).all(axis=1)
        if not is_finite.all():
            word = shown(words[block[is_finite.argmin()]])
            raise ModelError(f"the vector of {word} has a number that is not finite")
        yield write_block([words[row].encode() for row in block.tolist()], numbers)


def text_block(words: Sequence[bytes], numbers: np.ndarray) -> bytes:
    """Lines of n `words` and their `numbers` (n, D)."""
    return b"".join(word + row + b"\n" for word, row in zip(words, spell_rows(numbers)))


def binary_block(words: Sequence[bytes], numbers: np.ndarray) -> bytes:
    """The same with the bytes of the numbers."""
    return b"".join(word + b" " + row.tobytes() + b"\n" for word, row in zip(words, numbers))
