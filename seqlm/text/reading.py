"""Files and standard input to blocks of clean UTF-8 text, in bounded memory.

A newline ends a line, and a missing last one is supplied. A byte-order mark at the start of a file
is dropped and CRLF becomes LF; nothing else is changed, and nothing else breaks a line. Compressed
files are recognized by their magic bytes, whatever their name.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import sys
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from seqlm.errors import DataError, nearest, shown
from seqlm.machine.compilation import expect
from seqlm.progress import Progress, silent

BLOCK_SIZE = 1 << 21  # bytes read at once
BYTES_PER_TOKEN = 5
"""About, with the space after each."""
STDIN = STDOUT = "-"
BOM = b"\xef\xbb\xbf"
WIDE_ENCODINGS = {
    "UTF-32LE": b"\xff\xfe\0\0",
    "UTF-32BE": b"\0\0\xfe\xff",
    "UTF-16LE": b"\xff\xfe",
    "UTF-16BE": b"\xfe\xff",
}
"""The byte-order marks of other encodings; the longer ones first."""
LONGEST_MARK = 4
"""Bytes of the longest byte-order mark: a pipe may hand over the first ones one by one."""
BZIP2 = re.compile(rb"BZh[1-9](1A|\x17r)")  # the three letters alone might be a word
# Where a line too long for one block may be cut: before the last white space that precedes a token,
# which is a boundary for words, characters and byte-level BPE alike. Unicode's white space beyond
# ASCII is part of a word, but BPE takes it together with other white space.
WIDE_SPACE = (
    rb"\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80"
)
SAFE_CUT = re.compile(rb"[ \t\r\v\f](?=.{3})(?!\s|" + WIDE_SPACE + rb")", re.DOTALL)
DAMAGED = "its compressed data is damaged"
"""What is wrong where a library says it to programmers only."""
LONGEST_LINE = 1 << 20
"""Bytes of a line that is read as a whole: a prompt, or a sentence to translate. A longer one has
lost its ends of lines."""


class Block(NamedTuple):
    """Some whole lines of one file (or a part of a single very long line)."""

    data: bytes
    file: str
    line: int
    """Number of the first line, from 1."""

    def location(self, offset: int) -> str:
        """'file, line n' of the byte at `offset` in `data`."""
        number = self.line + self.data.count(b"\n", 0, offset)
        return f"{self.file}, line {number}"


def source_name(source: str) -> str:
    """A source as messages name it: the file, or <stdin>."""
    return "<stdin>" if source == STDIN else source


def short_name(source: str) -> str:
    """A short name for a text: its file name without suffixes."""
    return "stdin" if source == STDIN else Path(source).name.split(".")[0]


def absolute_path(source: str) -> str:
    """The absolute path of a file; '-' stays '-'."""
    return source if source == STDIN else str(Path(source).absolute())


def read_blocks(
    sources: Sequence[str | Path],
    errors: str = "strict",
    progress: Progress = silent,
    by_line: bool = False,
    eager: bool = False,
) -> Iterator[Block]:
    """The text of all `sources` ('-' is standard input), one after the other.

    `errors` is 'strict' (invalid UTF-8 is refused, and the message names this setting), 'replace'
    (U+FFFD takes its place), or 'refuse' (as 'strict', for files that no such setting is about).
    `by_line` yields one block for each line, as soon as it can be read; `eager` yields the lines
    that are there, and never waits for more.
    Errors: DataError naming file, line and byte offset.
    """
    for source in sources:
        yield from read_file_blocks(str(source), errors, progress, by_line, eager)


def read_lines(
    sources: Sequence[str | Path], errors: str = "strict", longest: int | None = None
) -> Iterator[str]:
    """The lines of all `sources` without their newlines, each as soon as it can be read.

    Errors: as `read_blocks`; DataError on a line of more than `longest` bytes.
    """
    parts: list[str] = []  # of a line too long for one block
    for block in read_blocks(sources, errors, by_line=True):
        if longest is not None and sum(map(len, parts)) + len(block.data) > longest + 1:
            raise DataError(
                f"{block.file}, line {block.line}: the line is longer than {longest:,} bytes, and"
                " is not read"
            )
        parts.append(block.data.decode())
        if parts[-1].endswith("\n"):
            yield "".join(parts)[:-1]
            parts = []


def read_file_blocks(
    source: str,
    errors: str,
    progress: Progress = silent,
    by_line: bool = False,
    eager: bool = False,
) -> Iterator[Block]:
    """The text of one source, as `read_blocks`."""
    name = source_name(source)
    size = 0 if source == STDIN or not Path(source).is_file() else Path(source).stat().st_size
    with open_source(source, name) as raw, decompress(raw, name) as stream:
        line, offset, rest = 1, 0, b""
        at_start, has_warned = True, False
        while True:
            chunk = read_chunk(stream, name, by_line, eager)
            pending = rest + chunk
            if at_start:
                if chunk and len(pending) < LONGEST_MARK and b"\n" not in pending:
                    rest = pending
                    continue
                at_start = False
                check_encoding(pending, name)
                if pending.startswith(BOM):
                    pending, offset = pending[len(BOM) :], len(BOM)
            if not pending and not chunk:
                return
            cut = find_cut(pending) if chunk else len(pending)
            data, rest = pending[:cut], pending[cut:]
            if not data:
                continue
            clean = check_utf8(data, name, line, offset, errors).replace(b"\r\n", b"\n")
            if not chunk and not clean.endswith(b"\n"):
                clean += b"\n"
            if b"\0" in clean and not has_warned:
                has_warned = True
                warnings.warn(f"{name} holds NUL bytes; they are kept", stacklevel=2)
            progress(f"reading {name}", raw.tell() / size if size else None)
            expect(max(size, offset) // BYTES_PER_TOKEN)
            yield Block(clean, name, line)
            line += clean.count(b"\n")
            offset += len(data)


def check_files(sources: Sequence[str]) -> None:
    """Checks that all files exist, before long work with them. Errors: DataError."""
    for source in sources:
        path = Path(source)
        if source == STDIN:
            continue
        try:
            path.stat()
        except (OSError, ValueError) as error:  # a ValueError: a path with a null byte
            if isinstance(error, OSError) and path.is_symlink():
                raise DataError(f"{source} {where_link_leads(path)}") from None
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise DataError(f"{shown(source)} cannot be read: {reason(error)}") from None
            folder = path.parent if path.parent.is_dir() else Path()
            near = nearest(path.name, [p.name for p in folder.iterdir()][:1000])
            raise DataError(f"no file {source}{near}") from None
        if path.is_dir():
            raise DataError(f"{source} is a folder, not a text file")


def where_link_leads(path: Path) -> str:
    """What is wrong with a symbolic link that leads to no file, as the end of a message."""
    try:
        path.stat()
    except FileNotFoundError:
        return f"is a symbolic link to {path.readlink()}, which does not exist"
    except OSError as error:
        return f"is a symbolic link to {path.readlink()}: {reason(error)}"
    return f"is a symbolic link to {path.readlink()}"


def reason(error: OSError | ValueError) -> str:
    """Why the system refuses a file, for a message."""
    if isinstance(error, ValueError):  # a null byte, or half a character
        return "no file can have such a name"
    return error.strerror or str(error)


def open_source(source: str, name: str) -> io.BufferedReader:
    """Opens a file or standard input; `name` is for messages. Errors: DataError."""
    if source == STDIN:
        return cast(io.BufferedReader, sys.stdin.buffer)
    check_files([source])
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}") from None


def decompress(raw: io.BufferedReader, name: str) -> BinaryIO:
    """The content of `raw`, decompressed if its first bytes are those of a compressed file."""
    try:
        magic = raw.peek(6)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}") from None
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if BZIP2.match(magic):
        return cast(BinaryIO, bz2.BZ2File(raw))
    if magic.startswith(b"\xfd7zXZ\x00"):
        return cast(BinaryIO, lzma.LZMAFile(raw))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return open_zstd(raw)
    return cast(BinaryIO, raw)


def open_zstd(raw: BinaryIO) -> BinaryIO:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return cast(BinaryIO, zstd.ZstdFile(raw))


def read_chunk(stream: BinaryIO, name: str, by_line: bool = False, eager: bool = False) -> bytes:
    """At most BLOCK_SIZE bytes of `stream`: with `by_line` of its next line, with `eager` those
    that are there. Errors: DataError."""
    try:
        if eager:
            return cast(io.BufferedReader, stream).read1(BLOCK_SIZE)
        return stream.readline(BLOCK_SIZE) if by_line else stream.read(BLOCK_SIZE)
    except EOFError:
        raise DataError(f"{name} is truncated: its compressed data ends too early") from None
    except (OSError, zlib.error, lzma.LZMAError) as error:
        system = error.strerror if isinstance(error, OSError) else None
        raise DataError(f"{name} cannot be read: {system or DAMAGED}") from None
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # its module is imported only where it is needed
            raise
        raise DataError(f"{name} cannot be read: {DAMAGED}") from None


def find_cut(pending: bytes) -> int:
    """Where to end a block of `pending`, the start of a longer text; 0 asks to read more first."""
    cut = pending.rfind(b"\n") + 1
    if cut or len(pending) < BLOCK_SIZE:
        return cut
    for window in (1 << 12, BLOCK_SIZE):  # most often the last few bytes have white space
        spaces = [m.start() for m in SAFE_CUT.finditer(pending, max(1, len(pending) - window))]
        if spaces:
            return spaces[-1]
    if len(pending) < 4 * BLOCK_SIZE:
        return 0
    last = len(pending) - 1  # a CR there stays with its LF
    starts = (at for at in range(last, last - 4, -1) if pending[at] & 0xC0 != 0x80)
    return next(starts, last)  # before a character, if there is one


def check_encoding(start: bytes, name: str) -> None:
    """Errors: DataError where the first bytes of a text are the byte-order mark of UTF-16 or 32."""
    for encoding, mark in WIDE_ENCODINGS.items():
        if start.startswith(mark):
            raise DataError(
                f"{name} is {encoding} text, and UTF-8 is read: convert it, as by"
                f" `iconv -f {encoding} -t UTF-8`"
            )


def check_utf8(data: bytes, name: str, line: int, offset: int, errors: str) -> bytes:
    """`data` itself if it is valid UTF-8; otherwise repaired if `errors` is 'replace'.

    `line` and `offset` are those of its first byte in the file. Errors: DataError.
    """
    if data.isascii():  # ten times as fast as decoding
        return data
    try:
        data.decode()
        return data
    except UnicodeDecodeError as error:
        if errors == "replace":
            return data.decode(errors="replace").encode()
        number = line + data.count(b"\n", 0, error.start)
        remedy = " (`errors=replace` puts U+FFFD in its place)" if errors == "strict" else ""
        raise DataError(
            f"{name}, line {number}: invalid UTF-8 at byte {offset + error.start}{remedy}"
        ) from None
