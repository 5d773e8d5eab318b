"""Files of tensors: those of torch are what the library writes, and arrays come back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from seqlm.errors import ModelError
from seqlm.runs import tensor_files
from seqlm.runs.tensor_files import map_arrays, read_tensors, write_tensors

ARRAYS = {
    "wide": np.arange(12, dtype=np.int32).reshape(3, 4),
    "number": np.array(2.5, np.float32),
    "empty": np.empty((0, 2), np.int64),
    "bytes": np.array([1, 2, 255], np.uint8),
}


@pytest.mark.parametrize("piece", [1 << 24, 7])
def test_a_file_of_tensors_is_what_the_library_writes(piece, tmp_path: Path, monkeypatch) -> None:
    """All types that a checkpoint may have, a number alone, and an empty tensor."""
    monkeypatch.setattr(tensor_files, "PIECE", piece)
    generator = torch.Generator().manual_seed(1)
    tensors = {
        f"{name}{number}": torch.randint(0, 2, shape, generator=generator).to(getattr(torch, dtype))
        for number, dtype in enumerate(tensor_files.DTYPES)
        for name, shape in (("b", (3, 5)), ("a", ()), ("empty", (0, 4)))
    }
    write_tensors(tmp_path / "ours", tensors)
    save_file(tensors, tmp_path / "theirs")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    read = read_tensors(tmp_path / "ours")
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)


def test_arrays_come_back_and_the_library_reads_them(tmp_path: Path) -> None:
    write_tensors(tmp_path / "file", ARRAYS)
    mapped, data = map_arrays(tmp_path / "file").arrays, (tmp_path / "file").read_bytes()
    of_library = load_file(tmp_path / "file")
    assert mapped.keys() == of_library.keys() == ARRAYS.keys()
    for name, expected in ARRAYS.items():
        values, offset = mapped[name]
        for read in (values, of_library[name]):
            assert (read.dtype, read.shape) == (expected.dtype, expected.shape)
            assert np.array_equal(read, expected)
        assert data[offset : offset + expected.nbytes] == expected.tobytes()
        assert not values.flags.writeable
    assert min(offset for _, offset in mapped.values()) % 64 == 0


def forged(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(start: object, stop: object, shape: object = (2,), dtype: object = "I32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        (1 << 40).to_bytes(8, "little"),
        forged(b"no json"),
        forged(b"[" * 100_000),
        forged([1]),
        forged({"a": 1}),
        forged({"a": {}}),
        forged({"a": entry(0, 8, dtype="F99")}, bytes(8)),
        forged({"a": entry(0, 8, dtype=[])}, bytes(8)),
        forged({"a": entry(0, 8)}, bytes(7)),
        forged({"a": entry(0, 8)}, bytes(9)),
        forged({"a": entry(4, 12)}, bytes(12)),
        forged({"a": entry(0, 8, [3])}, bytes(8)),
        forged({"a": entry(0, 8, [-1, -2])}, bytes(8)),
        forged({"a": entry(0, 8, [2.0])}, bytes(8)),
        forged({"a": entry(0, 8, [True, 2])}, bytes(8)),
        forged({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
        forged({"a": entry("0", "8")}, bytes(8)),
        forged({"a": entry(0, 1, [1], "U8"), "b": entry(1, 9)}, bytes(9)),  # not aligned
    ],
)
def test_other_files_are_refused_in_a_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ModelError, match=r"file is not a safetensors file: .*") as refused:
        map_arrays(tmp_path / "file")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_missing_is_not_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        map_arrays(tmp_path / "none")


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write_tensors(path, {"a": torch.ones(2)})
    assert read_tensors(path)["a"].tolist() == [1, 1]
    write_tensors(path, {"a": np.ones(2)})
    assert map_arrays(path).arrays["a"].values.tolist() == [1, 1]
