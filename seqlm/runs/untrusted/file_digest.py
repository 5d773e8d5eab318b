"""The digest of a file, of any size, and of its pieces.

    SHA-256 of the file                               where it is one piece
    SHA-256 of the SHA-256 of its pieces, in order    where it is several

A processor computes about 1 GB/s of SHA-256. Pieces are computed in as many threads as there are,
so that a file of several gigabytes is checked whenever it is opened. Tables of n-grams have
*blocks*, pieces so small that those that are read can be checked alone (`verified_blocks.py`).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from seqlm.machine.threads import thread_pool

PIECE = 1 << 26
BLOCK = 1 << 18
READ_AT_ONCE = 1 << 20


def digest(path: Path) -> str:
    """The digest of a file in hexadecimal digits. Errors: OSError, also where it is no file."""
    return root_digest(piece_digests(path, PIECE))


def piece_digests(path: Path, size: int) -> list[str]:
    """The SHA-256 of each piece of `size` bytes; an empty file has one.

    Errors: OSError, also where it is no file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a file")
        starts = range(0, max(status.st_size, 1), size)
        if len(starts) == 1:
            return [digest_of_piece(handle, 0, size)]
        with thread_pool() as pool:
            return list(pool.map(lambda start: digest_of_piece(handle, start, size), starts))
    finally:
        os.close(handle)


def digest_of_piece(handle: int, start: int, size: int) -> str:
    """The SHA-256 of the bytes from `start` on, `size` of them or up to the end of the file."""
    sha256, at = hashlib.sha256(), start
    while data := os.pread(handle, min(READ_AT_ONCE, start + size - at), at):
        sha256.update(data)
        at += len(data)
    return sha256.hexdigest()


def root_digest(pieces: Sequence[str]) -> str:
    """The digest of a file by those of its pieces. Errors: ValueError where one is no digest."""
    if len(pieces) == 1:
        return pieces[0]
    return hashlib.sha256(b"".join(map(bytes.fromhex, pieces))).hexdigest()
