"""Files to blocks of clean text, and the errors of files that cannot be read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import DataError
from seqlm.text import reading
from seqlm.text.reading import Block, read_blocks, read_lines

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}
BLOCK = 1 << 12


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 4 KB, so that small files have many."""
    monkeypatch.setattr(reading, "BLOCK_SIZE", BLOCK)


@pytest.fixture(params=COMPRESSORS)
def compress(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return COMPRESSORS[request.param]


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Writes bytes to a file and returns its path."""

    def write(data: bytes, name: str = "text") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def text_of(*sources: Path | str, errors: str = "strict") -> bytes:
    return b"".join(block.data for block in read_blocks(list(sources), errors))


def normalized(data: bytes) -> bytes:
    """What reading a file returns, computed at once."""
    text = data.removeprefix(reading.BOM).replace(b"\r\n", b"\n")
    return text if text.endswith(b"\n") or not text else text + b"\n"


# -------------------------------------------------------------------------------------- compression


def test_compressed_files_are_recognized_by_their_bytes_and_not_their_names(compress, file) -> None:
    path = file(compress(b"one\ntwo\n"), "text.txt")
    assert text_of(path) == b"one\ntwo\n"


@pytest.mark.parametrize("name", ["text.gz", "text.bz2", "text.xz", "text.zst"])
def test_plain_text_is_read_whatever_its_name(name, file) -> None:
    assert text_of(file(b"plain\n", name)) == b"plain\n"


@pytest.mark.parametrize("text", [b"BZh is no archive\n", b"BZh9 neither\n", b"\x1f\n", b"("])
def test_text_that_begins_like_an_archive_is_text(text, file) -> None:
    assert text_of(file(text)) == normalized(text)


def test_two_archives_one_after_the_other_are_both_read(compress, file) -> None:
    assert text_of(file(compress(b"one\n") + compress(b"two\n"))) == b"one\ntwo\n"


def test_an_empty_archive_is_an_empty_text(compress, file) -> None:
    assert list(read_blocks([file(compress(b""))])) == []


@pytest.mark.parametrize("length", [0.3, 0.9, -1])
def test_a_truncated_archive_is_an_error_that_names_it(length, compress, file) -> None:
    whole = compress(os.urandom(3 * BLOCK).hex().encode())
    path = file(whole[: int(len(whole) * length) if length > 0 else length])
    with pytest.raises(DataError, match=f"{path} is truncated"):
        text_of(path)


def test_a_damaged_archive_is_an_error_that_names_it(compress, file) -> None:
    whole = bytearray(compress(os.urandom(10_000).hex().encode()))
    for index in range(len(whole) // 2, len(whole) // 2 + 16):
        whole[index] ^= 0xFF
    path = file(bytes(whole))
    with pytest.raises(DataError, match=str(path)):
        text_of(path)


def test_files_are_closed(compress, file) -> None:
    path = file(compress(b"one\n"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        text_of(path)
    assert not caught


# ------------------------------------------------------------------------------------------ sources


def test_several_files_are_read_in_order_each_counting_its_own_lines(file) -> None:
    first, second = file(b"a\nb", "1"), file(b"c\n", "2")
    assert list(read_blocks([first, second])) == [
        Block(b"a\n", str(first), 1),
        Block(b"b\n", str(first), 2),
        Block(b"c\n", str(second), 1),
    ]


def test_a_pipe_is_read_however_small_its_pieces(tmp_path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as stream:
            for byte in "drüben\r\nfern".encode():
                stream.write(bytes([byte]))

    writer = threading.Thread(target=write)
    writer.start()
    assert text_of(pipe) == "drüben\nfern\n".encode()
    writer.join()


def test_a_missing_file_is_named_with_the_nearest_name(file) -> None:
    existing = file(b"", "corpus.txt")
    with pytest.raises(DataError, match=r"corpus\.tx; did you mean 'corpus\.txt'\?"):
        text_of(existing.with_name("corpus.tx"))


def test_a_missing_file_in_a_missing_folder_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"no file .*nowhere/text"):
        text_of(tmp_path / "nowhere" / "text")


def test_a_folder_is_no_text(tmp_path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        text_of(tmp_path)


def test_what_cannot_be_read_is_named() -> None:
    with pytest.raises(DataError, match="/proc/self/mem cannot be read"):
        text_of("/proc/self/mem")


# ----------------------------------------------------------------------------------------- newlines


@pytest.mark.parametrize(
    "data",
    [b"a b\n\nc\n", b"a b\r\n\r\nc\r\n", b"\xef\xbb\xbfa b\n\nc\n", b"a b\n\nc", b"a b\r\n\nc"],
    ids=["lf", "crlf", "bom", "no last newline", "mixed"],
)
def test_newlines_and_marks_make_no_difference(data, file) -> None:
    assert text_of(file(data)) == b"a b\n\nc\n"


@pytest.mark.parametrize(
    "character", ["\u2028", "\u2029", "\x85", "\v", "\f", "\x1c", "\r", "\0", "\u00a0"]
)
def test_nothing_but_a_newline_ends_a_line(character, file) -> None:
    text = f"one{character}two\n".encode()
    assert text_of(file(text)) == text


def test_a_bom_is_dropped_from_the_start_of_each_file_and_nowhere_else(file) -> None:
    marked = reading.BOM + b"a\n" + reading.BOM + b"b\n"
    assert text_of(file(marked, "1"), file(marked, "2")) == 2 * (b"a\n" + reading.BOM + b"b\n")


@pytest.mark.parametrize("shift", range(-3, 3))
def test_crlf_and_characters_may_fall_on_the_border_of_blocks(shift, file) -> None:
    data = b"x" * (BLOCK + shift) + "\r\n\r\nö€𝄞\r\n".encode() * 3
    assert text_of(file(data)) == normalized(data)


# -------------------------------------------------------------------------------------------- UTF-8


@pytest.mark.parametrize("before", [0, 3 * BLOCK], ids=["first block", "later block"])
@pytest.mark.parametrize("bom", [b"", reading.BOM], ids=["", "bom"])
def test_invalid_utf8_is_located_to_the_byte(before, bom, file) -> None:
    good = "grün\r\n".encode() * (before // 7 + 2)
    path = file(bom + good + b"caf\xe9 au lait\n")
    line, offset = good.count(b"\n") + 1, len(bom + good) + 3
    with pytest.raises(DataError, match=rf"{path}, line {line}: invalid UTF-8 at byte {offset} "):
        text_of(path)


def test_invalid_utf8_inside_an_archive_is_located_in_its_text(compress, file) -> None:
    path = file(compress(b"good\n" * BLOCK + b"\xff\n"))
    with pytest.raises(DataError, match=rf"line {BLOCK + 1}: invalid UTF-8 at byte {5 * BLOCK} "):
        text_of(path)


@pytest.mark.parametrize("end", [b"\xc3", b"\xe2\x82", b"\xf0\x9d\x84"])
def test_a_character_cut_off_at_the_end_is_invalid(end, file) -> None:
    with pytest.raises(DataError, match="line 1: invalid UTF-8 at byte 2 "):
        text_of(file(b"ab" + end))


def test_invalid_utf8_can_be_replaced(file) -> None:
    path = file(b"caf\xe9\n\xff\xfe ok \xe2\x82\n")
    assert text_of(path, errors="replace").decode() == "caf\ufffd\n\ufffd\ufffd ok \ufffd\n"


# ------------------------------------------------------------------------------------- line by line


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"a\nb", b"a\nb\r", b"x\r\r\ny\r\n", reading.BOM + b"a\r\nb\n", reading.BOM],
    ids=repr,
)
def test_lines_are_those_of_the_blocks(data, file) -> None:
    for path in (file(data, "plain"), file(gzip.compress(data), "packed")):
        text = text_of(path)
        assert [block.data for block in read_blocks([path], by_line=True)] == [
            line + b"\n" for line in text.split(b"\n")[:-1]
        ]
        assert list(read_lines([path, path])) == 2 * text.decode().split("\n")[:-1]


def test_a_long_line_is_one_line(file) -> None:
    long = "grün und blau " * BLOCK
    assert list(read_lines([file(f"{long}\r\nkurz".encode())])) == [long, "kurz"]


def test_errors_and_warnings_are_the_same_line_by_line(file) -> None:
    good = "grün\r\n".encode() * BLOCK
    bad = file(reading.BOM + good + b"caf\xe9\n")
    messages = []
    for by_line in (False, True):
        with pytest.raises(DataError) as error:
            list(read_blocks([bad], by_line=by_line))
        messages.append(str(error.value))
        with pytest.warns(UserWarning, match="holds NUL bytes") as warned:
            list(read_blocks([file(b"a\0\n\0\n" * BLOCK, "nul")], by_line=by_line))
        assert len(warned) == 1
    assert messages[0] == messages[1]
    assert f"line {BLOCK + 1}: invalid UTF-8 at byte {len(reading.BOM + good) + 3} " in messages[0]


def test_a_line_is_there_as_soon_as_it_is_written(tmp_path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    answered = threading.Semaphore(0)

    def write() -> None:
        with pipe.open("wb", buffering=0) as stream:
            for number in range(3):
                stream.write(f"line {number}\n".encode())
                assert answered.acquire(timeout=30)

    writer = threading.Thread(target=write)
    writer.start()
    for number, line in enumerate(read_lines([pipe])):
        assert line == f"line {number}"
        answered.release()
    writer.join()


# --------------------------------------------------------------------------------------- long lines


LONG = {
    "spaces": b"word and another " * (8 * BLOCK // 17),
    "tabs": b"word\t\tand\tanother" * (8 * BLOCK // 17),
    "wide spaces": "字\u3000  文 ".encode() * (8 * BLOCK // 13),
    "returns": b"\r" * (8 * BLOCK),
    "one word": "ü€𝄞".encode() * (8 * BLOCK // 9),
    "no text at all": b"\x80" * (8 * BLOCK),
}


@pytest.mark.parametrize("kind", LONG)
def test_a_long_line_comes_in_bounded_blocks(kind, file) -> None:
    data = LONG[kind]
    pieces = list(read_blocks([file(data)], errors="replace"))
    whole = data.decode(errors="replace").encode()
    assert b"".join(piece.data for piece in pieces) == normalized(whole)
    most = max(len(piece.data) for piece in pieces)
    assert most <= 5 * BLOCK * len(whole) / len(data), most
    assert {piece.line for piece in pieces} == {1}


# --------------------------------------------------------------------------------------------- fuzz

PIECES = st.sampled_from(
    [
        *(character.encode() for character in ["a", *" \t\r\n\0\ufeffü€𝄞\u2028\u3000"]),
        *(
            b"\r\n",
            b"BZh9",
            b"\x80",
            b"\x85",
            b"\xc3",
            b"\xff",
            b"\xe2\x82",
            b"\xf0\x9d",
            b"\xed\xa0\x80",
        ),
    ]
)
MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
ANY_BYTES = st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=60).map(b"".join)).filter(
    lambda data: not data.startswith((*MAGIC, *reading.WIDE_ENCODINGS.values()))
)


@given(data=ANY_BYTES, size=st.integers(3, 9))
def test_any_bytes_are_clean_text_or_an_error(tmp_path_factory, data, size) -> None:
    """Blocks of a few bytes put block boundaries everywhere."""
    path = tmp_path_factory.getbasetemp() / "fuzz"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_SIZE", size)
        try:
            plain = data.decode().encode()
        except UnicodeDecodeError as error:
            with pytest.raises(DataError, match=f"at byte {error.start} "):
                text_of(path)
            plain = data.decode(errors="replace").encode()
        for by_line in (False, True):
            blocks = list(read_blocks([path], "replace", by_line=by_line))
            assert b"".join(block.data for block in blocks) == normalized(plain)
            line = 1
            for block in blocks:
                assert block.line == line
                line += block.data.count(b"\n")
        assert list(read_lines([path], "replace")) == normalized(plain).decode().split("\n")[:-1]


def test_a_file_of_many_megabytes_is_read_in_blocks(file, monkeypatch) -> None:
    monkeypatch.undo()  # back to the real block size
    data = b"one line of many\r\n" * 300_000
    pieces = list(read_blocks([file(data)]))
    assert b"".join(piece.data for piece in pieces) == normalized(data)
    assert max(len(piece.data) for piece in pieces) <= 2 << 20


def test_a_long_line_of_words_comes_in_blocks_no_larger_than_those_of_short_lines(tmp_path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"frog heron " * (7 * reading.BLOCK_SIZE // 22) + b"\n")
    blocks = [block.data for block in reading.read_blocks([path])]
    assert b"".join(blocks) == path.read_bytes()
    assert max(map(len, blocks)) <= reading.BLOCK_SIZE + 100
    assert all(block.startswith(b" ") for block in blocks[1:])


class Dripping(io.RawIOBase):
    """A pipe that hands over its bytes by ones, twos and threes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.count = data, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[override]
        self.count += 1
        part, self.data = self.data[: self.count % 3 + 1], self.data[self.count % 3 + 1 :]
        buffer[: len(part)] = part
        return len(part)


def read_eagerly(data: bytes, errors: str, monkeypatch: pytest.MonkeyPatch) -> bytes | str:
    """The text of a pipe as it comes, or the error."""
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(Dripping(data))))
        try:
            return b"".join(block.data for block in read_blocks(["-"], errors, eager=True))
        except DataError as error:
            return str(error).removeprefix("<stdin>")


MARKS = [b"", reading.BOM, *reading.WIDE_ENCODINGS.values()]


@pytest.mark.filterwarnings("ignore:.*NUL bytes")
@pytest.mark.parametrize("mark", MARKS, ids=repr)
@pytest.mark.parametrize("errors", ["strict", "replace"])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4])
def test_a_mark_is_known_though_it_comes_in_pieces(
    mark: bytes, errors: str, length: int, file, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in (b"", b"\n", b"a\n\nb", b"caf\xc3\xa9\r\n", reading.BOM + b"\n"):
        data = mark[:length] + text
        path = str(file(data, "whole"))
        try:
            whole: bytes | str = b"".join(block.data for block in read_blocks([path], errors))
        except DataError as error:
            whole = str(error).removeprefix(path)
        assert read_eagerly(data, errors, monkeypatch) == whole, data


@pytest.mark.parametrize("source", ["file", "-"])
def test_the_size_of_a_text_is_announced_before_its_parts(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a stream it is known as far as it has been read."""
    data = b"a b c d\n" * 100
    announced: list[int] = []
    monkeypatch.setattr(reading, "expect", announced.append)
    monkeypatch.setattr(reading, "BLOCK_SIZE", 200)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
    (tmp_path / "file").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    blocks = list(read_blocks([source]))
    assert len(announced) == len(blocks) == 4
    whole = len(data) // reading.BYTES_PER_TOKEN
    assert announced == ([whole] * 4 if source == "file" else [0, 40, 80, 120])
