"""Word vectors as text: every spelling of the formats, and everything that can be wrong."""

from __future__ import annotations

import bz2
import gzip
import lzma
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import ModelError
from seqlm.runs.vector_files.read_vectors import read_vectors
from seqlm.runs.vector_files.text_vectors import parse_header, parse_row, split_row
from seqlm.runs.vector_files.word_vectors import MAX_WIDTH
from seqlm.text import reading
from tests.runs.vector_files.vector_file_bytes import (
    VECTORS,
    WORDS,
    Read,
    text_lines,
    word2vec_text,
)

SPELLINGS: dict[str, bytes] = {
    "GloVe": text_lines(),
    "word2vec": word2vec_text(),
    "space at the end of lines": word2vec_text().replace(b"\n", b" \n"),
    "CRLF": word2vec_text().replace(b"\n", b"\r\n"),
    "byte-order mark": reading.BOM + word2vec_text(),
    "no last newline": text_lines()[:-1],
    "two spaces after the word": text_lines().replace(b"the ", b"the  "),
    "gzip": gzip.compress(word2vec_text()),
    "bzip2": bz2.compress(text_lines()),
    "xz": lzma.compress(text_lines()),
}


@pytest.mark.parametrize("data", SPELLINGS.values(), ids=SPELLINGS)
def test_all_spellings_give_the_same_words_and_vectors(data: bytes, read: Read) -> None:
    vectors = read(data)
    assert vectors.words == WORDS
    assert vectors.num_listed == len(WORDS)
    assert vectors.vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors.vectors, VECTORS)


def test_only_wanted_words_are_kept_in_the_order_of_the_file(read: Read) -> None:
    vectors = read(word2vec_text(), wanted={"中文", "the", "toad"})
    assert vectors.words == ["the", "中文"]
    np.testing.assert_array_equal(vectors.vectors, VECTORS[[0, 3]])


def test_the_first_words_are_kept_and_no_more_is_read(read: Read) -> None:
    vectors = read(text_lines() + b"not a row\n", most=2)
    assert vectors.words == WORDS[:2]
    np.testing.assert_array_equal(vectors.vectors, VECTORS[:2])


def test_reading_ends_with_the_last_wanted_word(read: Read) -> None:
    assert read(text_lines() + b"not a row\n", wanted=["中文", "frog"]).words == ["frog", "中文"]


def test_numbers_of_unwanted_words_are_not_parsed(read: Read) -> None:
    data = b"the 1 2\nfrog x y\npond 3 4\n"
    assert read(data, wanted=["pond", "toad"]).words == ["pond"]
    with pytest.raises(ModelError, match=r"line 2: 'x y' are not 2 numbers"):
        read(data)


def test_no_word_wanted_is_no_vector(read: Read) -> None:
    assert read(text_lines(), wanted=[]).vectors.shape == (0, 3)


def test_words_may_have_spaces(read: Read) -> None:
    vectors = read(b"the 1 2\n. . 0.5 4\nat name@domain.com 5 6\nsection 8 7 .75\n")
    assert vectors.words == ["the", ". .", "at name@domain.com", "section 8"]
    assert vectors.vectors.tolist() == [[1, 2], [0.5, 4], [5, 6], [7, 0.75]]


def test_the_first_word_may_be_a_number(read: Read) -> None:
    assert read(b"7 0.5 1.5\n8 1 2\n").words == ["7", "8"]


def test_spaces_that_only_unicode_knows_are_part_of_a_word(read: Read) -> None:
    words = ["\x85", "a\u2028b", "\xa0"]
    assert read(text_lines(words, VECTORS[:3])).words == words


def test_the_first_of_two_vectors_is_kept_with_one_warning(read: Read) -> None:
    with pytest.warns(UserWarning, match="repeats 2 words") as caught:
        vectors = read(b"4 1\na 1\nb 2\na 3\na 4\n")
    assert len(caught) == 1
    assert (vectors.words, vectors.vectors.tolist()) == (["a", "b"], [[1], [2]])


def test_broken_characters_are_replaced(read: Read) -> None:
    with pytest.warns(UserWarning, match="2 words have U\\+FFFD, .* the first is 'b\ufffd'"):
        vectors = read(b"the 1 2\nb\xc3 3 4\nc\xe9 5 6\n")
    assert vectors.words == ["the", "b\ufffd", "c\ufffd"]


ERRORS: dict[str, tuple[bytes, str]] = {
    "too few words": (b"3 2\na 1 2\nb 3 4\n", r"line 1: the header says 3 words, and .* has 2;"),
    "too many words": (b"1 2\na 1 2\nb 3 4\n", r"line 1: the header says 1 words, and .* has 2;"),
    "too wide": (b"2 3\na 1 2\nb 3 4\n", r"line 2: a word and 2 numbers, where line 1 calls for 3"),
    "too narrow": (b"1 2\na 1.5 2.5 3.5\n", r"line 2: a word and more than 2 numbers"),
    "no width": (b"1 0\na\n", r"vectors of 0 numbers, where 1 to 65,536 are read"),
    "width beyond all": (b"1 99999999999\na 1\n", r"vectors of 99,999,999,999 numbers"),
    "short row": (b"a 1 2\nb 3\n", r"line 2: a word and 1 numbers, where line 1 calls for 2"),
    "long row": (b"a 1 2\nb 3.0 4.0 5.0\n", r"line 2: a word and more than 2 numbers"),
    "long row of whole numbers": (b"a 1 2\nb 3 4 5\n", r"line 2: a word and more than 2 numbers"),
    "long row of exponents": (b"a 1 2\nb 3e-2 4.5 5\n", r"line 2: a word and more than 2"),
    "empty row": (b"a 1 2\n\nb 3 4\n", r"line 2: a word and 0 numbers"),
    "no word": (b"a 1 2\n 3 4\n", r"line 2: a word and 1 numbers"),
    "no number": (b"a 1 2\nb 3 x\n", r"line 2: '3 x' are not 2 numbers"),
    "hexadecimal": (b"a 1 2\nb 3 0x4\n", r"line 2: '3 0x4' are not 2 numbers"),
    "two in one field": (b"a 1 2\nb 3-4 .5.6\n", r"line 2: '3-4 .5.6' are not 2 numbers"),
    "NaN": (b"a 1 2\nb nan 4\n", r"line 2: the vector of 'b' has a number that is not finite"),
    "infinity": (b"a 1 2\nb 3 4\nc 3 -inf\n", r"line 3: the vector of 'c' has a number"),
    "overflow": (b"a 1 2\nb 3 1e39\n", r"line 2: the vector of 'b' has a number"),
    "count beyond all": (b"9" * 30 + b" 1\na 1\n", r"the header says 999,999.* and the file has 1"),
    "header of fractions": (b"2.0 2\na 1 2\n", r"line 2: a word and more than 1 numbers"),
    "words only": (b"the old frog\n", r"line 1: 'the old frog' is neither a header nor a word"),
    "header only": (b"5 2\n", r"is empty"),
    "empty": (b"", r"is empty"),
    "newline": (b"\n", r"line 1: '' is neither a header"),
    "tabs": (b"a\t1\t2\n", r"line 1: 'a\\t1\\t2' is neither"),
    "zip": (b"PK\x03\x04\x14\0\0\0", r"is a zip archive: unpack it first"),
    "UTF-16": ("a 1 2\n".encode("utf-16"), r"is UTF-16LE text"),
    "commas": (b"a,1,2\n", r"line 1: 'a,1,2' is neither .*, with spaces between them"),
    "pickle": (b"\x80\x04\x95\x0b\0\0\0", r"is a pickle, which is not read; if gensim saved it"),
    "table of numbers": (b"\x93NUMPY\1\0v\0", r"is no file of word vectors"),
    "cut gzip": (gzip.compress(text_lines())[:-9], r"is truncated"),
    "gzip of nothing": (gzip.compress(b""), r"is empty"),
}


@pytest.mark.parametrize(("data", "message"), ERRORS.values(), ids=ERRORS)
def test_what_is_wrong_is_said_in_one_line(data: bytes, message: str, read: Read) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read(data)
    assert "vectors.file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lines_are_numbered_across_blocks(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_SIZE", 64)
    words = [f"w{n}" for n in range(100)]
    rows = np.arange(300, dtype=np.float32).reshape(100, 3)
    np.testing.assert_array_equal(read(word2vec_text(words, rows)).vectors, rows)
    data = word2vec_text(words, rows).replace(b"w77 231.0", b"w77 -")
    with pytest.raises(ModelError, match=r"line 79: '- 232.0 233.0' are not 3 numbers"):
        read(data)


def test_a_line_without_end_is_refused(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_SIZE", 64)
    with pytest.raises(ModelError, match=r"line 1: the line is too long"):
        read(b"a" + b" 1" * 1000 + b"\n")


def test_a_width_is_bounded(read: Read) -> None:
    assert read(b"a" + b" 1" * MAX_WIDTH).vectors.shape == (1, MAX_WIDTH)
    with pytest.raises(ModelError, match=r"vectors of 65,537 numbers"):
        read(b"a" + b" 1" * (MAX_WIDTH + 1))


# ------------------------------------------------------------------------------------ slow oracles


FIELDS = st.sampled_from(["a", ".", "1", "-0.5", "1e-3", "é", "x.y", "+7."])


def is_one_more(field: str, numbers: list[str]) -> bool:
    """Whether a field of FIELDS before `numbers` cannot be the end of a word."""
    return field in ("-0.5", "1e-3") or (field == "1" and set(numbers) == {"1"})


@given(st.lists(FIELDS, min_size=1, max_size=6), st.integers(1, 4))
def test_a_row_is_split_as_by_its_fields(fields: list[str], width: int) -> None:
    line = " ".join(fields).encode()
    if len(fields) <= width:
        with pytest.raises(ValueError, match="calls for"):
            split_row(line, width)
        return
    word, numbers = fields[:-width], fields[-width:]
    if len(word) > 1 and is_one_more(word[-1], numbers):
        with pytest.raises(ValueError, match="more than"):
            split_row(line, width)
        return
    assert split_row(line, width) == (" ".join(word).encode(), " ".join(numbers).encode())


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_numbers_are_those_that_python_reads(numbers: list[float]) -> None:
    text = " ".join(map(repr, numbers)).encode()
    expected = np.array([float(number) for number in text.split()], np.float32)
    np.testing.assert_array_equal(parse_row(text), expected)


@pytest.mark.parametrize("line", [b"3\n", b"3 4 5\n", b"-3 4\n", b"3 4.0\n", b"3  4\n", b""])
def test_what_is_no_header(line: bytes) -> None:
    assert parse_header(line) is None


CHARACTERS = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=" ")
LINES = st.lists(
    st.tuples(
        st.text(CHARACTERS, min_size=1, max_size=4),
        st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=2),
    ),
    min_size=1,
    max_size=20,
)


@given(LINES, st.sets(st.sampled_from("abcdef0é")), st.booleans())
def test_reading_equals_reading_every_line(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[str, list[float]]],
    wanted: set[str],
    has_header: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    lines = [("first", [0.5, 0.5]), *lines]
    words, rows = [word for word, _ in lines], np.array([row for _, row in lines], np.float32)
    path.write_bytes(word2vec_text(words, rows) if has_header else text_lines(words, rows))
    expected = {word: row for word, row in reversed(lines) if word in wanted}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vectors = read_vectors(path, wanted)
    assert dict(zip(vectors.words, vectors.vectors.tolist(), strict=True)) == expected
    assert vectors.words == sorted(expected, key=words.index)
