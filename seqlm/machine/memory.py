"""Where big arrays of numpy are: in memory or, under a limit, in temporary files.

Such a file is memory-mapped, so that its arrays are used like any other. It is unlinked right after
it is opened: its space is freed when the last array on it is released, however the process ends.
Pages of a mapped file count as memory once they are touched; `release_pages`, called between the
blocks of a pass, returns them to the system near the limit.

Arrays in memory are in pages of the usual size. For an array of more than 4 MB numpy asks Linux for
huge pages. Those are for arrays that are read in a random order: a virtual machine whose host has
to find the memory takes several times as long to touch them for the first time
(`benchmarks/ngram_books.py` measures both).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import tempfile
import weakref
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from seqlm.errors import SeqlmError

HUGE = 1 << 22
"""Bytes of an array from which on numpy asks for huge pages."""
FILE_SIZE = 1 << 28
"""Bytes of a temporary file, which many arrays share; a larger array has a file of its own."""


class Memory:
    """Makes arrays: in files where there is a limit, otherwise in memory.

    `limit` is how many bytes of memory the process may use, None for any number; `folder` is where
    the files are, by default that of the system.

    >>> memory = Memory(limit=1 << 30)
    >>> counts = memory.zeros(4, np.int64)  # in a file
    >>> memory.concatenate([np.array([1, 2]), np.array([3])]).tolist()
    [1, 2, 3]
    """

    def __init__(self, limit: int | None = None, folder: Path | None = None) -> None:
        self.limit, self.folder = limit, folder
        self._maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._map: mmap.mmap | None = None  # the one that the next array goes into
        self._used = 0  # bytes of it

    def empty(self, size: int, dtype: DTypeLike) -> np.ndarray:
        """(size,) of any values. Errors: SeqlmError if the disk is full."""
        if self.limit is None or size == 0:
            return in_usual_pages(size, dtype)
        needed = size * np.dtype(dtype).itemsize
        if self._map is None or self._used + needed > len(self._map):
            self._map, self._used = self._new_map(max(needed, FILE_SIZE)), 0
        array = np.frombuffer(self._map, dtype, size, self._used)
        self._used += -(-needed // mmap.PAGESIZE) * mmap.PAGESIZE
        return array

    def zeros(self, size: int, dtype: DTypeLike) -> np.ndarray:
        """(size,) of 0. Errors: SeqlmError if the disk is full."""
        array = self.empty(size, dtype)
        array.fill(0)
        return array

    def available(self) -> int:
        """Bytes that the process may still take, less a reserve. There has to be a limit.

        What it holds without need, freed memory and pages of files, is returned to the system.
        """
        assert self.limit is not None
        trim_heap()
        self._return_pages()
        return max(0, int(0.8 * self.limit) - resident_bytes())

    def copy(self, array: np.ndarray) -> np.ndarray:
        """A copy of `array` (N,) in a file; without a limit the array itself."""
        if self.limit is None:
            return array
        copied = self.empty(len(array), array.dtype)
        copied[:] = array
        return copied

    def concatenate(self, pieces: Iterable[np.ndarray]) -> np.ndarray:
        """(N,) int32, one piece after the other; each is released as soon as it is copied."""
        if self.limit is None:
            remaining = list(pieces)
            ids = in_usual_pages(sum(map(len, remaining)), np.int32)
            start = 0
            remaining.reverse()
            while remaining:
                piece = remaining.pop()
                ids[start : start + len(piece)] = piece
                start += len(piece)
            return ids
        try:
            with tempfile.TemporaryFile(dir=self.folder, prefix="seqlm-") as file:
                for piece in pieces:
                    file.write(piece.astype(np.int32, copy=False).data)
                file.flush()
                if file.tell() == 0:
                    return np.empty(0, np.int32)
                mapped = mmap.mmap(file.fileno(), file.tell())
        except OSError as error:
            raise self._disk_error(error) from None
        self._maps.add(mapped)
        trim_heap()  # of what it took to make the pieces
        return np.frombuffer(mapped, np.int32)

    def release_pages(self) -> None:
        """Returns the pages of all files, and freed memory, to the system, if the process is near
        the limit."""
        if self.limit is not None and resident_bytes() > 0.75 * self.limit:
            self._return_pages()
            trim_heap()

    def _return_pages(self) -> None:
        for mapped in list(self._maps):
            mapped.madvise(mmap.MADV_DONTNEED)

    def _new_map(self, size: int) -> mmap.mmap:
        try:
            with tempfile.TemporaryFile(dir=self.folder, prefix="seqlm-") as file:
                os.truncate(file.fileno(), size)
                if hasattr(os, "posix_fallocate"):  # a full disk fails here, not by a signal later
                    os.posix_fallocate(file.fileno(), 0, size)
                mapped = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise self._disk_error(error) from None
        self._maps.add(mapped)
        return mapped

    def _disk_error(self, error: OSError) -> SeqlmError:
        folder = self.folder or tempfile.gettempdir()
        return SeqlmError(
            f"{folder}: {error.strerror}; data beyond the `memory` limit is stored in this folder"
        )


def in_usual_pages(size: int, dtype: DTypeLike) -> np.ndarray:
    """(size,) of any values, in memory."""
    needed = size * np.dtype(dtype).itemsize
    if needed < HUGE or not hasattr(mmap, "MAP_PRIVATE"):  # that is Windows
        return np.empty(size, dtype)
    return np.frombuffer(mmap.mmap(-1, needed, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), dtype)


def resident_bytes() -> int:
    """Bytes of memory that this process holds; more than any limit if the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - called thousands of times
            return int(file.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 1 << 62


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The numbers of glibc's malloc.h."""


@cache
def keep_freed_memory() -> None:
    """Lets the allocator keep up to 256 MB that were freed, for what is allocated next.

    It is for many arrays of some megabytes that live for a moment: to get each of them from the
    system anew, page by page, takes a tenth of the time of what is done with them.
    """
    library = glibc()
    if library is not None:
        library.mallopt(M_TRIM_THRESHOLD, 1 << 28)
        library.mallopt(M_MMAP_THRESHOLD, 1 << 25)


def trim_heap() -> None:
    """Returns freed memory that the C library keeps to the system, if the library is glibc.

    Among arrays that all differ in size it keeps more and more pieces, none quite large enough.
    """
    library = glibc()
    if library is not None:
        library.malloc_trim(0)


@cache
def glibc() -> ctypes.CDLL | None:
    """The C library of this process if it is glibc, else None."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


IN_MEMORY = Memory()
"""Without a limit: all arrays are in memory."""
