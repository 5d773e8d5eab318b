"""Files of vectors as an attacker writes them: each is one line and exit 4, or is read with a
warning."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import pytest

from tests.command import seqlm_inside
from tests.runs.vector_files.vector_file_bytes import (
    VECTORS,
    fasttext_bytes,
    text_lines,
    word2vec_binary,
    word2vec_text,
)

TEXT, BINARY, GLOVE = word2vec_text(), word2vec_binary(end=b"\n"), text_lines()
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "gzip of nothing": (gzip.compress(b""), "is empty"),
    "header only": (b"4 3\n", "is empty"),
    "a header that says more": (TEXT.replace(b"4 3", b"5 3"), "the header says 5 words"),
    "a header that says less": (TEXT.replace(b"4 3", b"3 3"), "the header says 3 words"),
    "a header the wrong way round": (TEXT.replace(b"4 3", b"3 4"), "line 2: a word and 3 numbers"),
    "a header beyond all numbers": (TEXT.replace(b"4 3", b"9" * 30 + b" 3"), "says 999,999,"),
    "a width beyond all": (TEXT.replace(b"4 3", b"4 " + b"9" * 30), "where 1 to 65,536 are read"),
    "a header of 5,000 digits": (TEXT.replace(b"4 3", b"9" * 5000 + b" 3"), "line 2: a word and"),
    "a negative header": (TEXT.replace(b"4 3", b"-4 3"), "line 2: a word and more than 1 numbers"),
    "a header with a tab": (TEXT.replace(b"4 3", b"4\t3"), r"it begins with '4\t3'"),
    "tabs": (GLOVE.replace(b" ", b"\t"), r"it begins with 'the\t0.5\t-1.0\t2.0'"),
    "commas": (GLOVE.replace(b".", b","), "it begins with 'the 0,5 -1,0 2,0'"),
    "CR alone": (TEXT.replace(b"\n", b"\r"), "spaces between them"),
    "a row too short": (GLOVE.replace(b" 3.0 ", b" "), "line 2: a word and 2 numbers"),
    "a row too long": (GLOVE.replace(b" 3.0 ", b" 3.0 4.5 "), "line 2: a word and more than 3"),
    "a row of whole numbers too long": (b"a 1 2\nb 3 4 5\n", "line 2: a word and more than 2"),
    "an empty row": (GLOVE.replace(b"\n", b"\n\n"), "line 2: a word and 0 numbers"),
    "NaN": (GLOVE.replace(b"3.0", b"nan"), "line 2: the vector of 'frog' has a number"),
    "infinity": (GLOVE.replace(b"3.0", b"1e999"), "line 2: the vector of 'frog' has a number"),
    "no number": (GLOVE.replace(b"3.0", b"3_0"), "line 2: '0.25 3_0 -0.125' are not 3 numbers"),
    "a cut gzip": (gzip.compress(BINARY)[:-9], "is truncated"),
    "a binary with a short last row": (BINARY[:-5], "ends within word 4"),
    "a binary that goes on": (BINARY + b"x", "goes on after the 4 words"),
    "a binary with a huge header": (BINARY.replace(b"4 3", b"9" * 30 + b" 3"), "within word 5"),
    "a binary word with a space": (
        word2vec_binary(["a", "b c", "d"], VECTORS[:3]), "v.txt: word 3 would be "
    ),
    "a cut fastText model": (fasttext_bytes([b"a"], VECTORS)[:-20], "is it complete?"),
    "a pickle": (pickle.dumps({"a": [1.0]}), "is a pickle, which is not read"),
    "UTF-16": (TEXT.decode().encode("utf-16"), "is UTF-16LE text"),
    "a page of the web": (b"<!DOCTYPE html>\n<html>\n", "it begins with '<!DOCTYPE html>'"),
}  # fmt: skip
WARNED: dict[str, tuple[bytes, int, str]] = {
    "words twice": (TEXT.replace("Café".encode(), b"frog"), 3, "repeats 1 words"),
    "no UTF-8": (TEXT.replace("é".encode(), b"\xe9"), 4, r"1 words have U+FFFD"),
    "CRLF and a byte-order mark": (b"\xef\xbb\xbf" + TEXT.replace(b"\n", b"\r\n"), 4, ""),
    "CRLF after the header of a binary": (BINARY.replace(b"4 3\n", b"4 3\r\n"), 4, ""),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_a_bad_file_is_one_line_and_exit_4(data: bytes, message: str, workplace: Path) -> None:
    Path("v.txt").write_bytes(data)
    result = seqlm_inside("vectors", "export", "-m", "v.txt", "--to", "vec")
    assert (result.code, result.out) == (4, "")
    assert result.err.startswith("seqlm: error: v.txt")
    assert result.err.count("\n") == 1
    assert message in result.error


@pytest.mark.parametrize(("data", "words", "warning"), WARNED.values(), ids=WARNED)
def test_what_can_be_read_is_read(data: bytes, words: int, warning: str, workplace: Path) -> None:
    Path("v.txt").write_bytes(data)
    result = seqlm_inside("vectors", "export", "-m", "v.txt", "--to", "vec")
    assert result.code == 0
    assert result.out.startswith(f"{words} 3\n")
    assert [warning in line for line in result.warnings] == [True] * bool(warning)
