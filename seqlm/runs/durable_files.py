"""Atomic, crash-safe writing of files and folders.

A file is written beside its path, synced, and renamed over it; then its folder is synced, so that
the new name too is on disk.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from seqlm.errors import SeqlmError


def write_text(path: Path, text: str) -> None:
    """Replaces `path` in one step that survives a crash. Errors: SeqlmError."""
    with replacing(path) as file:
        file.write(text.encode(errors="surrogateescape"))  # a file name in it may be any bytes


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """A file of `pieces`, compressed where its name ends in .gz, written whole or not at all.

    Errors: SeqlmError where the disk refuses.
    """
    if path.suffix == ".gz":
        from seqlm.threads import prefetch_map

        # A gzip file may have many members, so that threads can compress the pieces.
        compressed = prefetch_map(partial(gzip.compress, compresslevel=6, mtime=0), pieces)
        pieces = (member for _, member in compressed)
    with replacing(path) as file:
        file.writelines(pieces)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that replaces `path` once it is whole and on disk. Errors: SeqlmError."""
    # A pipe or a device has no content to replace, and is written to directly.
    is_replaced = not path.exists() or path.is_file()
    target = draft_path(path) if is_replaced else path
    try:
        with target.open("wb") as file:
            yield file
            if is_replaced:
                file.flush()
                os.fsync(file.fileno())
        if is_replaced:
            target.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise SeqlmError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        if is_replaced:
            with suppress(OSError):
                target.unlink()


def draft_path(path: Path) -> Path:
    """Where a file is written before it replaces `path`."""
    return path.with_name(f".{path.name}.tmp")


def sync_folder(path: Path) -> None:
    """Waits until the names in a folder are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
