"""The digest of a file, of any size.

    SHA-256 of the file                                           up to 64 MiB
    SHA-256 of the SHA-256 of its pieces of 64 MiB, in order      beyond

A processor computes about 1 GB/s of SHA-256. Pieces are computed in as many threads as torch has,
so that tables of several gigabytes are checked whenever they are opened.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from seqlm.threads import thread_pool

PIECE = 1 << 26
READ_AT_ONCE = 1 << 20


def digest(path: Path) -> str:
    """The digest of a file in hexadecimal digits. Errors: OSError, also where it is no file."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a file")
        starts = range(0, max(status.st_size, 1), PIECE)
        if len(starts) == 1:
            return digest_of_piece(handle, 0).hex()
        with thread_pool() as pool:
            pieces = pool.map(lambda start: digest_of_piece(handle, start), starts)
            return hashlib.sha256(b"".join(pieces)).hexdigest()
    finally:
        os.close(handle)


def digest_of_piece(handle: int, start: int) -> bytes:
    """The SHA-256 of the bytes from `start` on, PIECE of them or up to the end of the file."""
    sha256, at = hashlib.sha256(), start
    while data := os.pread(handle, min(READ_AT_ONCE, start + PIECE - at), at):
        sha256.update(data)
        at += len(data)
    return sha256.digest()
