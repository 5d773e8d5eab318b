"""A small file is replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seqlm.errors import SeqlmError
from seqlm.runs.durable_files import write_text


def test_a_small_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "latest"
    write_text(path, "old")

    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SeqlmError, match="latest cannot be written: No space left"):
        write_text(path, "new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"latest": b"old"}
