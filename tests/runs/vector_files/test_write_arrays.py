"""Vectors of sentences in files that numpy and safetensors read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from seqlm.errors import UsageError
from seqlm.runs.vector_files.write_arrays import (
    check_array_path,
    numpy_header,
    safetensors_header,
    write_arrays,
)

LENGTHS = [3, 0, 1, 5]
ROWS = np.random.default_rng(1).normal(size=(sum(LENGTHS), 7)).astype(np.float32)
SENTENCES = np.split(ROWS, np.cumsum(LENGTHS)[:-1])


def test_numpy_reads_the_vectors_and_the_lengths(tmp_path: Path) -> None:
    assert write_arrays(tmp_path / "a.npy", iter(SENTENCES), 7, by_word=True) == 9
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), ROWS)
    lengths = np.load(tmp_path / "a.lengths.npy")
    assert lengths.tolist() == LENGTHS
    back = np.split(np.load(tmp_path / "a.npy"), np.cumsum(lengths)[:-1])  # as documented
    assert all((one == other).all() for one, other in zip(back, SENTENCES, strict=True))


def test_safetensors_reads_the_vectors_and_the_lengths(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.safetensors", iter(SENTENCES), 7, by_word=True)
    tensors = load_file(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(tensors["vectors"], ROWS)
    assert tensors["lengths"].tolist() == LENGTHS
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.get_tensor("lengths").tolist() == LENGTHS
        np.testing.assert_array_equal(file.get_tensor("vectors").numpy(), ROWS)


@pytest.mark.parametrize("name", ["a.npy", "a.safetensors"])
def test_one_vector_a_sentence_needs_no_lengths(name: str, tmp_path: Path) -> None:
    write_arrays(tmp_path / name, (row[None] for row in ROWS), 7, by_word=False)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    found = np.load(tmp_path / name) if name == "a.npy" else load_file(tmp_path / name)["vectors"]
    np.testing.assert_array_equal(found, ROWS)


@pytest.mark.parametrize("name", ["a.npy", "a.safetensors"])
def test_no_sentences(name: str, tmp_path: Path) -> None:
    assert write_arrays(tmp_path / name, iter([]), 7, by_word=True) == 0
    found = np.load(tmp_path / name) if name == "a.npy" else load_file(tmp_path / name)["vectors"]
    assert found.shape == (0, 7)


def test_headers_have_one_size() -> None:
    for make in (numpy_header, lambda rows, width: safetensors_header(rows, width, rows)):
        sizes = {len(make(rows, width)) for rows in (0, 9, 10**12) for width in (1, 65_536)}
        assert len(sizes) == 1


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"before")

    def failing() -> Iterator[np.ndarray]:
        yield SENTENCES[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_arrays(tmp_path / "a.npy", failing(), 7, by_word=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npy"]
    assert (tmp_path / "a.npy").read_bytes() == b"before"


def test_what_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "b.lengths.npy").write_bytes(b"precious")
    os.mkfifo(tmp_path / "pipe.npy")
    cases = {
        "a.txt": r"a.txt: the name of a file of vectors ends in .npy or .safetensors",
        "b.npy": r"b.lengths.npy exists already",
        "pipe.npy": r"pipe.npy is no file, and the header",
        "model.npy": r"model.npy is the model that is read",
    }
    for name, message in cases.items():
        with pytest.raises(UsageError, match=message):
            check_array_path(tmp_path / name, [tmp_path / "model.npy"], overwrite=False)
    check_array_path(tmp_path / "b.npy", [], overwrite=True)
    check_array_path(tmp_path / "b.safetensors", [], overwrite=False)
