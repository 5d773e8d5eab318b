"""Files of word vectors that are written, read back and spelled out by hand."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import ModelError, SeqlmError, UsageError
from seqlm.runs.vector_files import write_vectors as module
from seqlm.runs.vector_files.read_vectors import read_vectors
from seqlm.runs.vector_files.vector_formats import FORMATS
from seqlm.runs.vector_files.write_vectors import write_vectors
from tests.runs.vector_files.vector_file_bytes import (
    VECTORS,
    WORDS,
    text_lines,
    word2vec_binary,
    word2vec_text,
)

EXPECTED = {
    "word2vec": word2vec_text(),
    "vec": word2vec_text(),
    "glove": text_lines(),
    "word2vec-binary": word2vec_binary(end=b"\n"),
}


@pytest.mark.parametrize("to", FORMATS)
def test_the_bytes_are_those_of_the_format(to: str, tmp_path: Path) -> None:
    assert write_vectors(tmp_path / "file", WORDS, VECTORS, to) == 0
    assert (tmp_path / "file").read_bytes() == EXPECTED[to]
    write_vectors(tmp_path / "file.gz", WORDS, VECTORS, to)
    assert gzip.decompress((tmp_path / "file.gz").read_bytes()) == EXPECTED[to]


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_vectors(None, WORDS, VECTORS, "glove")
    assert capfdbinary.readouterr().out == text_lines()


CHARACTERS = st.characters(
    exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(33)))
)
WRITABLE = st.lists(st.text(CHARACTERS, min_size=1, max_size=5), unique=True, max_size=9)
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(WRITABLE.filter(bool), st.integers(3, 6), st.data())
@pytest.mark.parametrize("to", FORMATS)
def test_every_bit_reads_back(
    tmp_path_factory: pytest.TempPathFactory,
    to: str,
    words: list[str],
    width: int,
    data: st.DataObject,
) -> None:
    if words[0].startswith("\ufeff"):
        words.insert(0, "first")
    size = len(words) * width
    numbers = data.draw(st.lists(NUMBERS, min_size=size, max_size=size))
    vectors = np.array(numbers, np.float32).reshape(-1, width)
    vectors[0, 0] = -1e-30  # no bytes of text
    path = tmp_path_factory.getbasetemp() / "round-trip"
    write_vectors(path, words, vectors, to)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_vectors(path)
    assert found.words == words
    np.testing.assert_array_equal(found.vectors.view(np.uint32), vectors.view(np.uint32))


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("numbers", [1, 7, 3000])
def test_blocks_may_end_anywhere(
    to: str, numbers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"w{n}" for n in range(500)]
    vectors = np.random.default_rng(1).normal(size=(500, 3)).astype(np.float32)
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", numbers)
    write_vectors(tmp_path / "file", [*words, "a b"], np.append(vectors, [[1, 2, 3]], 0), to, True)
    found = read_vectors(tmp_path / "file")
    assert found.words == words
    np.testing.assert_array_equal(found.vectors, vectors)


UNWRITABLE = {
    "": "the word '', which is empty",
    "New York": "the word 'New York', which has white space",
    "two\nlines": r"the word 'two\\nlines', which has white space",
    "tab\t": r"the word 'tab\\t', which has white space",
    "\0": r"the word '\\x00', which has white space or a control character",
    "\ud800": r"the word '\\ud800', which has half a character",
}


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(("word", "message"), UNWRITABLE.items(), ids=UNWRITABLE.values())
def test_a_word_that_no_format_can_hold(to: str, word: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    words = ["the", word, "\xa0", " "]
    with pytest.raises(ModelError, match=rf"to {to} cannot hold {message}.*, 2 of 4$") as caught:
        write_vectors(path, words, VECTORS, to)
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "before"
    assert write_vectors(path, words, VECTORS, to, skip=True) == 2
    found = read_vectors(path)
    assert found.words == ["the", "\xa0"]
    np.testing.assert_array_equal(found.vectors, VECTORS[[0, 2]])


def test_a_word_that_one_format_cannot_hold(tmp_path: Path) -> None:
    cases = {"word2vec-binary": ["w" * 5000, "b"], "glove": ["\ufeffa", "b"]}
    for refusing, words in cases.items():
        for to in FORMATS:
            if to == refusing:
                with pytest.raises(ModelError, match=f"to {to} cannot hold the word"):
                    write_vectors(tmp_path / "file", words, VECTORS[:2], to)
            else:
                write_vectors(tmp_path / "file", words, VECTORS[:2], to)
                assert read_vectors(tmp_path / "file").words == words


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_written(to: str, number: float, tmp_path: Path) -> None:
    vectors = VECTORS.copy()
    vectors[2, 1] = number
    with pytest.raises(ModelError, match="the vector of 'Café' has a number that is not finite"):
        write_vectors(tmp_path / "file", WORDS, vectors, to)
    assert not list(tmp_path.iterdir())


def test_other_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"to is 'word2vek'; did you mean 'word2vec'\?"):
        write_vectors(tmp_path / "file", WORDS, VECTORS, "word2vek")
    with pytest.raises(SeqlmError, match="cannot be written: No such file"):
        write_vectors(tmp_path / "no" / "file", WORDS, VECTORS)


def test_a_byte_order_mark_is_a_word_but_at_the_start_of_a_file(tmp_path: Path) -> None:
    write_vectors(tmp_path / "file", ["a", "\ufeff"], VECTORS[:2], "glove")
    assert read_vectors(tmp_path / "file").words == ["a", "\ufeff"]
    words = [" ", "\ufeff", "b", "\ufeff"]
    assert write_vectors(tmp_path / "file", words, VECTORS, "glove", skip=True) == 2
    assert read_vectors(tmp_path / "file").words == ["b", "\ufeff"]


def test_no_words(tmp_path: Path) -> None:
    write_vectors(tmp_path / "file", [], VECTORS[:0])
    assert (tmp_path / "file").read_bytes() == b"0 3\n"
