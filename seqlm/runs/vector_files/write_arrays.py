"""The vectors of sentences, as they come, to a file of numpy or of safetensors.

    FILE.npy            (R, D) float32, the vectors of all words, one sentence after the other
    FILE.lengths.npy    (S,) int32, the words of each sentence, in a file beside it
    FILE.safetensors    the same two as the tensors `vectors` and `lengths`

A header says how many rows there are, which is known in the end: room is left for it, and it is
written last. Where each sentence has one vector, the rows are the sentences, without lengths.

    S sentences · R words of all · D numbers of a vector
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seqlm.errors import UsageError
from seqlm.runs.durable_files import check_not_read, check_writable, replacing

FORMATS = (".npy", ".safetensors")
ROOM = 256
"""Bytes of the header of safetensors, a multiple of eight."""


def lengths_path(path: Path) -> Path:
    """The file of the lengths beside FILE.npy."""
    return path.with_suffix(".lengths.npy")


def check_array_path(path: Path, sources: Iterable[Path], overwrite: bool) -> None:
    """Errors: UsageError where no arrays can be written to `path`, or where it is a model that is
    read, or another file and `overwrite` is False."""
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: the name of a file of vectors ends in {' or '.join(FORMATS)}")
    check_not_read(path, list(sources))
    for file in {path, lengths_path(path)} if path.suffix == ".npy" else {path}:
        check_writable(file, overwrite)
        if file.exists() and not file.is_file():
            raise UsageError(f"{file} is no file, and the header of arrays is written last")


def write_arrays(path: Path, arrays: Iterable[np.ndarray], width: int, by_word: bool) -> int:
    """Writes the vectors of each sentence, (W, D) float32, D being `width`, and with `by_word` the
    lengths W. Returns R. Errors: SeqlmError where the disk refuses."""
    with replacing(path) as file:
        if path.suffix == ".npy":
            lengths = write_numpy(file, arrays, width)
        else:
            lengths = write_safetensors(file, arrays, width, by_word)
    if path.suffix == ".npy" and by_word:
        with replacing(lengths_path(path)) as file:
            np.save(file, np.array(lengths, np.int32))
    return sum(lengths)


def write_numpy(file: BinaryIO, arrays: Iterable[np.ndarray], width: int) -> list[int]:
    """Writes the vectors, and returns the lengths."""
    file.write(numpy_header(0, width))
    lengths = [write_rows(file, vectors) for vectors in arrays]
    file.seek(0)
    file.write(numpy_header(sum(lengths), width))
    return lengths


def write_safetensors(
    file: BinaryIO, arrays: Iterable[np.ndarray], width: int, by_word: bool
) -> list[int]:
    """Writes the vectors, with `by_word` the lengths, and returns these."""
    file.write(bytes(ROOM))
    lengths = [write_rows(file, vectors) for vectors in arrays]
    if by_word:
        file.write(np.array(lengths, "<i4").tobytes())
    file.seek(0)
    file.write(safetensors_header(sum(lengths), width, len(lengths) if by_word else None))
    return lengths


def write_rows(file: BinaryIO, vectors: np.ndarray) -> int:
    """Writes the vectors of a sentence (W, D), and returns W."""
    file.write(vectors.astype("<f4", copy=False).tobytes())
    return len(vectors)


def numpy_header(rows: int, width: int) -> bytes:
    """The header of (R, D) float32, whose size does not depend on R: numpy leaves room for files
    that grow."""
    stream = BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(stream, fields)
    return stream.getvalue()


def safetensors_header(rows: int, width: int, sentences: int | None) -> bytes:
    """ROOM bytes: the size of the JSON that follows, and the JSON, filled up with spaces."""
    end = 4 * rows * width
    fields: dict[str, Any] = {
        "vectors": {"dtype": "F32", "shape": [rows, width], "data_offsets": [0, end]}
    }
    if sentences is not None:
        offsets = [end, end + 4 * sentences]
        fields["lengths"] = {"dtype": "I32", "shape": [sentences], "data_offsets": offsets}
    text = json.dumps(fields).encode().ljust(ROOM - 8)
    return len(text).to_bytes(8, "little") + text
