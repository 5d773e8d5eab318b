"""Files of word vectors, read from their bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqlm.runs.vector_files.read_vectors import read_vectors
from seqlm.runs.vector_files.word_vectors import WordVectors
from tests.runs.vector_files.vector_file_bytes import Read


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads the vectors of a file with these bytes."""

    def read_bytes(data: bytes, *args: object, **options: object) -> WordVectors:
        path = tmp_path / "vectors.file"
        path.write_bytes(data)
        return read_vectors(path, *args, **options)  # type: ignore[arg-type]

    return read_bytes
