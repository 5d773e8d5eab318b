"""word2vec's binary format, and what can be wrong with it."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable

import numpy as np
import pytest

from seqlm.errors import ModelError
from seqlm.runs.vector_files import binary_vectors
from seqlm.runs.vector_files.read_vectors import is_word2vec_binary
from seqlm.text import reading
from tests.runs.vector_files.vector_file_bytes import (
    VECTORS,
    WORDS,
    Read,
    word2vec_binary,
    word2vec_text,
)


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_words_and_vectors(end: bytes, compress: Callable[[bytes], bytes], read: Read) -> None:
    vectors = read(compress(word2vec_binary(end=end)))
    assert vectors.words == WORDS
    assert vectors.num_listed == len(WORDS)
    np.testing.assert_array_equal(vectors.vectors, VECTORS)


def test_one_file_byte_by_byte(read: Read) -> None:
    data = b"2 1\nfrog " + struct.pack("<f", 0.5) + b"\nx " + struct.pack("<f", -2) + b"\n"
    vectors = read(data)
    assert (vectors.words, vectors.vectors.tolist()) == (["frog", "x"], [[0.5], [-2]])


def test_only_wanted_words_are_kept(read: Read) -> None:
    vectors = read(word2vec_binary(), wanted=["toad", "中文", "frog"])
    assert vectors.words == ["frog", "中文"]
    np.testing.assert_array_equal(vectors.vectors, VECTORS[[1, 3]])


def test_reading_ends_where_no_other_word_can_be_wanted(read: Read) -> None:
    cut = word2vec_binary()[:-1]
    assert read(cut, most=3).words == WORDS[:3]
    assert read(cut, wanted=["frog"]).words == ["frog"]


def test_the_first_of_two_vectors_is_kept_with_one_warning(read: Read) -> None:
    with pytest.warns(UserWarning, match="repeats 1 words"):
        vectors = read(word2vec_binary(["a", "b", "a"], VECTORS[:3]))
    np.testing.assert_array_equal(vectors.vectors, VECTORS[:2])


def test_a_word_cut_within_a_character_is_repaired(read: Read) -> None:
    data = word2vec_binary().replace("Café".encode(), b"Caf\xc3")
    with pytest.warns(UserWarning, match="1 words have U\\+FFFD"):
        assert read(data).words[2] == "Caf\ufffd"


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_may_end_anywhere(block: int, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(1500, dtype=np.float32).reshape(500, 3) + 0.1
    words = [f"w{n}" for n in range(500)]
    data = word2vec_binary(words, rows, b"\n")
    path_start = is_word2vec_binary(data)
    monkeypatch.setattr(binary_vectors, "BLOCK_SIZE", block)
    vectors = read(data)
    assert path_start
    assert vectors.words == words
    np.testing.assert_array_equal(vectors.vectors, rows)


def test_chunks_may_end_anywhere(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(1500, dtype=np.float32).reshape(500, 3) + 0.1
    words = [f"w{n}" for n in range(500)]
    monkeypatch.setattr(reading, "BLOCK_SIZE", 61)
    np.testing.assert_array_equal(read(word2vec_binary(words, rows)).vectors, rows)


NAN = np.array([[1, 2, 3], [4, np.nan, 5]], np.float32)
ERRORS: dict[str, tuple[bytes, str]] = {
    "cut in a vector": (word2vec_binary()[:-3], r"ends within word 4, and its header says 4 words"),
    "cut in a word": (word2vec_binary()[:-14], r"ends within word 4, and its header says 4 words"),
    "fewer words": (word2vec_binary().replace(b"4 3", b"9 3"), r"ends within word 5"),
    "more words": (word2vec_binary().replace(b"4 3", b"2 3"), r"goes on after the 2 words"),
    "narrower": (word2vec_binary().replace(b"4 3", b"4 2"), r"word 2 would be '\\x00"),
    "wider than the file": (word2vec_binary().replace(b"4 3", b"4 65000"), r"ends within word 1"),
    "wider than all": (word2vec_binary().replace(b"4 3", b"4 999999"), r"vectors of 999,999"),
    "no width": (word2vec_binary().replace(b"4 3", b"4 0"), r"vectors of 0 numbers"),
    "count beyond all": (
        word2vec_binary().replace(b"4 3", b"999999999999999999 3"), r"ends within word 5"
    ),
    "count beyond all numbers": (word2vec_binary().replace(b"4 3", b"9" * 30 + b" 3"), r"word 5"),
    "NaN": (word2vec_binary(["a", "b"], NAN), r"the vector of 'b' has a number that is not finite"),
    "long word": (word2vec_binary(["a", "b" * 9999, "c"], VECTORS[:3]), r"word 2 would be 'bbb"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), ERRORS.values(), ids=ERRORS)
def test_what_is_wrong_is_said_in_one_line(data: bytes, message: str, read: Read) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read(data)
    assert "vectors.file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_long_word_without_end_is_refused(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_SIZE", 5000)
    data = word2vec_binary(["a", "b" * 50_000], VECTORS[:2])
    with pytest.raises(ModelError, match=r"word 2 would be 'bbb"):
        read(data)


def test_binary_is_told_from_text() -> None:
    rng = random.Random(1)
    for _ in range(200):
        count, width = rng.randrange(1, 5), rng.randrange(4, 60)
        rows = np.array([[rng.gauss(0, 0.5) for _ in range(width)] for _ in range(count)])
        words = [rng.choice(["a", "é", "中文"]) + str(n) for n in range(count)]
        rows = rows.astype(np.float32)
        assert is_word2vec_binary(word2vec_binary(words, rows))
        assert not is_word2vec_binary(word2vec_text(words, rows))
