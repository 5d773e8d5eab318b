"""Atomic, crash-safe writing of files and folders.

A file is written beside its path under a fresh name, synced, and renamed over it; then its folder
is synced, so that the new name too is on disk. Of several writers at once, the last one's file is
there, whole.

Such a *draft* is created exclusively, so that nothing is written through a link, and locked as long
as it is written. A draft whose lock is free was left by a process that died: the next writer of the
same path removes it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gzip
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from seqlm.errors import SeqlmError, UsageError

DRAFT = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.tmp", re.DOTALL)
"""The name of a draft, in which `name` is that of the file that it becomes."""


def write_text(path: Path, text: str) -> None:
    """Replaces `path` in one step that survives a crash. Errors: SeqlmError."""
    with replacing(path) as file:
        file.write(text.encode(errors="surrogateescape"))  # a file name in it may be any bytes


def write_pieces(path: Path | None, pieces: Iterable[bytes]) -> None:
    """A file of `pieces`, compressed where its name ends in .gz, written whole or not at all. None
    is standard output.

    Errors: SeqlmError where the disk refuses.
    """
    if path is None:
        sys.stdout.buffer.writelines(pieces)
        sys.stdout.buffer.flush()
        return
    if path.suffix == ".gz":
        from seqlm.machine.threads import prefetch_map

        # A gzip file may have many members, so that threads can compress the pieces.
        compressed = prefetch_map(partial(gzip.compress, compresslevel=6, mtime=0), pieces)
        pieces = (member for _, member in compressed)
    with replacing(path) as file:
        file.writelines(pieces)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that replaces `path` once it is whole and on disk. Errors: SeqlmError."""
    try:
        if path.exists() and not path.is_file():
            # A pipe or a device has no content to replace, and is written to directly.
            with path.open("wb") as file:
                yield file
            return
        remove_dead_drafts(path)
        with create_draft(path) as file:
            draft = Path(file.name)
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                draft.replace(path)
            except BaseException:
                with suppress(OSError):
                    draft.unlink()
                raise
        sync_folder(path.parent)
    except OSError as error:
        raise SeqlmError(f"{path} cannot be written: {error.strerror or error}") from None


def check_writable(path: Path, overwrite: bool) -> None:
    """Refuses, before any work is done, a file that could not be written.

    Errors: UsageError where `path` is a folder, or in none that can be written to, or a file
    already and `overwrite` is False.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a file")
    if path.exists() and not path.is_file():
        return  # a pipe or a device
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists already; set `overwrite` to replace it")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: the folder {path.parent} cannot be written to")


def check_not_read(path: Path, sources: Sequence[Path]) -> None:
    """Errors: UsageError where `path` is one of the models that are read."""
    if path.resolve() in [source.resolve() for source in sources]:
        raise UsageError(f"{path} is the model that is read; name another `output`")


# ----------------------------------------------------------------------------------------- drafts


def draft_name(name: str) -> str:
    """A name that no file has yet, for the draft of a file or folder `name`."""
    return f".{name}.{secrets.token_hex(4)}.tmp"


def create_draft(path: Path) -> BinaryIO:
    """A new file beside `path`, open and locked. Errors: OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    while True:
        draft = path.with_name(draft_name(path.name))
        file = open(draft, "wb", opener=lambda name, _: os.open(name, flags, 0o666))  # noqa: SIM115
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # nobody took it for a dead one before it was locked
            return file
        file.close()


def remove_dead_drafts(path: Path) -> None:
    """Removes the drafts of `path` that processes left which have died."""
    with suppress(OSError):
        for file in path.parent.iterdir():
            match = DRAFT.fullmatch(file.name)
            if match and match["name"] == path.name:
                remove_dead_draft(file)


def remove_dead_draft(draft: Path) -> None:
    """Removes `draft` where it is a file that no process has locked."""
    with suppress(OSError):
        handle = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.unlink()
        finally:
            os.close(handle)


# ---------------------------------------------------------------------------------------- folders


def sync_folder(path: Path) -> None:
    """Waits until the names in a folder are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def exchange(first: Path, second: Path) -> None:
    """Two folders swap their names: in one step where the system can, and otherwise in three.

    Errors: OSError.
    """
    sys.audit("seqlm.exchange", first, second)  # which tests of every instant listen to
    if not exchange_at_once(first, second):
        aside = second.with_name(draft_name(second.name))
        second.rename(aside)
        first.rename(second)
        aside.rename(first)


AT_FDCWD = -100
RENAME_EXCHANGE = 2


def exchange_at_once(first: Path, second: Path) -> bool:
    """Linux's renameat2; False where the system or the disk has none. Errors: OSError."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    names = os.fsencode(first), os.fsencode(second)
    if rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(second))
