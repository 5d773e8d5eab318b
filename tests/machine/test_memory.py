"""Arrays beyond the limit are arrays like any other, and leave no file."""

import errno
import gc
import os
from pathlib import Path

import numpy as np
import pytest

from seqlm.errors import SeqlmError
from seqlm.machine import memory as memory_module
from seqlm.machine.memory import Memory, in_usual_pages, resident_bytes


def test_arrays_on_disk_hold_what_is_written(tmp_path: Path) -> None:
    memory = Memory(1, tmp_path)  # any process holds more
    one, two = memory.empty(1000, np.int32), memory.zeros(3, np.float64)
    one[:] = np.arange(1000)
    two += 0.5
    memory.release_pages()
    assert np.array_equal(one, np.arange(1000))
    assert two.tolist() == [0.5] * 3
    assert memory.copy(np.array([1, 2])).tolist() == [1, 2]
    assert not list(tmp_path.iterdir())


def test_what_is_let_go_leaves_memory(tmp_path: Path) -> None:
    memory = Memory(1, tmp_path)
    before = resident_bytes()
    big = memory.empty(32 << 20, np.int32)
    big[:] = 7
    assert resident_bytes() - before > 100 << 20
    memory.release_pages()
    assert resident_bytes() - before < 30 << 20
    assert int(big[-1]) == 7


def test_files_end_with_their_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "FILE_SIZE", 1 << 16)
    memory = Memory(1, tmp_path)
    kept = [memory.empty(1 << 14, np.int32) for _ in range(5)]
    assert len(memory._maps) == 5
    del kept[1:]
    gc.collect()
    assert len(memory._maps) == 2  # the first, and the one that the next array goes into


@pytest.mark.parametrize("size", [0, 3, 1 << 20, (1 << 20) + 1])
def test_arrays_in_usual_pages_hold_what_is_written(size: int) -> None:
    array = in_usual_pages(size, np.int32)
    assert (array.shape, array.dtype) == ((size,), np.int32)
    array[:] = np.arange(size)
    assert np.array_equal(array.view(np.uint8).view(np.int32), np.arange(size))


def test_arrays_in_usual_pages_leave_memory() -> None:
    before = resident_bytes()
    array = in_usual_pages(8 << 20, np.int32)
    array.fill(7)
    part = array[-3:]
    del array
    assert resident_bytes() - before > 30 << 20  # which the last view of it holds
    assert part.tolist() == [7] * 3
    del part
    assert resident_bytes() - before < 4 << 20


def test_ids_are_joined_in_memory_and_on_disk(tmp_path: Path) -> None:
    pieces = [np.arange(n, dtype=np.int32) for n in (3, 0, 5)]
    expected = [0, 1, 2, 0, 1, 2, 3, 4]
    for memory in (Memory(), Memory(1, tmp_path)):
        ids = memory.concatenate(iter(pieces))
        assert ids.tolist() == expected
        ids[0] = 9  # both can be written to
        assert len(memory.concatenate([])) == 0


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SeqlmError, match="No space left on device"):
        Memory(1, tmp_path).empty(10, np.int32)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(memory_module.glibc() is None, reason="the C library is not glibc")
def test_what_is_freed_between_other_things_goes_back_when_it_is_trimmed() -> None:
    pieces = [np.ones(50_000, np.uint8) for _ in range(4000)]  # 200 MB, each too small for a map
    pinned = pieces[::1000]
    del pieces
    before = resident_bytes()
    memory_module.trim_heap()
    assert before - resident_bytes() > 100 << 20
    assert all(piece.all() for piece in pinned)
