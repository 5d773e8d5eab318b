"""Where big arrays live: in memory, or beyond a limit in files without a name.

Files are mapped, so that an array is an array either way. A file has no name from the start: it is
gone when its arrays are, however the process ends. What is mapped counts as memory once touched;
`release_pages`, called between blocks of a pass, hands it back to the system near the limit.
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
import torch
from torch import Tensor

from seqlm.errors import SeqlmError

CHUNK = 1 << 28  # bytes of a file, so that many arrays share one


class Memory:
    """`limit` is in bytes, None for no bound; `folder` is where the files are."""

    def __init__(
        self,
        limit: int | None = None,
        folder: Path | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.limit, self.folder, self.device = limit, folder, device
        self._maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._open: mmap.mmap | None = None
        self._used = 0

    def empty(self, size: int, dtype: torch.dtype) -> Tensor:
        """(size,) of anything. Errors: SeqlmError where the disk is full."""
        if self.limit is None or size == 0:
            return torch.empty(size, dtype=dtype, device=self.device)
        needed = size * dtype.itemsize
        if self._open is None or self._used + needed > len(self._open):
            self._open, self._used = self._map(max(needed, CHUNK)), 0
        tensor = torch.frombuffer(self._open, dtype=dtype, count=size, offset=self._used)
        self._used += -(-needed // mmap.PAGESIZE) * mmap.PAGESIZE
        return tensor

    def zeros(self, size: int, dtype: torch.dtype) -> Tensor:
        return self.empty(size, dtype).zero_()

    def available(self) -> int:
        """Bytes the process may still take, with some in reserve."""
        assert self.limit is not None
        return max(0, int(0.85 * self.limit) - resident_bytes())

    def copy(self, tensor: Tensor) -> Tensor:
        """The same values, where this memory keeps them."""
        return tensor if self.limit is None else self.empty(len(tensor), tensor.dtype).copy_(tensor)

    def concatenate(self, pieces: Iterable[np.ndarray]) -> np.ndarray:
        """(N,) int32, one behind the other; a piece is let go as soon as it is copied."""
        if self.limit is None:
            held = list(pieces)
            ids = np.empty(sum(map(len, held)), np.int32)
            at = 0
            held.reverse()
            while held:
                piece = held.pop()
                ids[at : at + len(piece)] = piece
                at += len(piece)
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
            raise self._full(error) from None
        self._maps.add(mapped)
        return np.frombuffer(mapped, np.int32)

    def release_pages(self) -> None:
        """Hands mapped memory back where the process comes near the limit."""
        if self.limit is not None and resident_bytes() > 0.9 * self.limit:
            for mapped in list(self._maps):
                mapped.madvise(mmap.MADV_DONTNEED)

    def _map(self, size: int) -> mmap.mmap:
        try:
            with tempfile.TemporaryFile(dir=self.folder, prefix="seqlm-") as file:
                os.truncate(file.fileno(), size)
                if hasattr(os, "posix_fallocate"):  # a full disk is told now, not by a signal later
                    os.posix_fallocate(file.fileno(), 0, size)
                mapped = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise self._full(error) from None
        self._maps.add(mapped)
        return mapped

    def _full(self, error: OSError) -> SeqlmError:
        place = self.folder or tempfile.gettempdir()
        return SeqlmError(
            f"{place}: no room for what --memory leaves no room for: {error.strerror}"
        )


def resident_bytes() -> int:
    """Bytes of memory this process holds; where the system does not tell, too many."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - asked thousands of times
            return int(file.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 1 << 62


def trim_heap() -> None:
    """Hands back to the system what is freed and the C library keeps, where that is glibc.

    Between tensors that are each of another size it keeps more and more, none quite large enough.
    """
    library = glibc()
    if library is not None:
        library.malloc_trim(0)


@cache
def glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


IN_MEMORY = Memory()
