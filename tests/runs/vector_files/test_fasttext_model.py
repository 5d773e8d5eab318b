"""fastText models: vectors computed by hand, and files that do not fit themselves."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from seqlm.errors import ModelError
from tests.models.vectors.test_character_ngrams import hash_slowly, ngrams_slowly
from tests.runs.vector_files.vector_file_bytes import Read, fasttext_bytes

WORDS = ["</s>", "frog", "naïve", "a"]
BUCKETS = 7
ROWS = np.arange(2 * (len(WORDS) + BUCKETS), dtype=np.float32).reshape(-1, 2) ** 1.5


def model_bytes(words: list[str] = WORDS, rows: np.ndarray = ROWS, **options: Any) -> bytes:
    return fasttext_bytes([word.encode() for word in words], rows, **options)


def vector_slowly(word: str, shortest: int, longest: int) -> np.ndarray:
    """The mean of the rows of a word and its n-grams, one after the other."""
    rows = [WORDS.index(word)] if word in WORDS else []
    if word != "</s>":
        ngrams = ngrams_slowly(word, shortest, longest)
        rows += [len(WORDS) + hash_slowly(ngram) % BUCKETS for ngram in ngrams]
    return np.mean([ROWS[row].astype(np.float64) for row in rows], axis=0)


def test_the_vector_of_a_word_is_the_mean_of_its_row_and_those_of_its_ngrams(read: Read) -> None:
    """<a> is the only 3-gram of "a"; its hash is 2359087600, which is 2 modulo 7."""
    vectors = read(model_bytes(), wanted=["a"])
    assert vectors.words == ["a"]
    np.testing.assert_allclose(vectors.vectors[0], (ROWS[3] + ROWS[4 + 2]) / 2, rtol=1e-6)


@pytest.mark.parametrize(("shortest", "longest"), [(3, 6), (1, 2), (0, 0), (2, 64), (5, 3)])
def test_all_words_of_the_dictionary(shortest: int, longest: int, read: Read) -> None:
    vectors = read(model_bytes(min_n=shortest, max_n=longest))
    assert vectors.words == WORDS
    assert vectors.num_listed == len(WORDS)
    expected = [vector_slowly(word, shortest, longest) for word in WORDS]
    np.testing.assert_allclose(vectors.vectors, expected, rtol=1e-6)


def test_words_that_were_never_seen_have_the_vector_of_their_ngrams(read: Read) -> None:
    wanted = ["toad", "frog", "Überfrosch", "中"]
    vectors = read(model_bytes(), wanted=wanted)
    assert vectors.words == ["frog", "toad", "Überfrosch", "中"]
    assert vectors.num_listed == 1
    expected = [vector_slowly(word, 3, 6) for word in vectors.words]
    np.testing.assert_allclose(vectors.vectors, expected, rtol=1e-6)


def test_a_word_without_ngrams_is_not_found(read: Read) -> None:
    assert read(model_bytes(min_n=5), wanted=["xy", "toad"]).words == ["toad"]
    assert read(model_bytes(min_n=0, max_n=0), wanted=["toad", "frog"]).words == ["frog"]
    lacks_end = model_bytes(WORDS[1:], ROWS, buckets=BUCKETS + 1)
    assert read(lacks_end, wanted=["</s>"]).words == []


def test_the_first_words(read: Read) -> None:
    assert read(model_bytes(), most=2).words == WORDS[:2]
    assert read(model_bytes(), wanted=["toad", "a", "b"], most=2).words == ["a", "b"]


def test_many_words_are_read_in_parts(read: Read) -> None:
    words = [f"w{n}" for n in range(2500)]
    rows = np.arange(2500 * 2, dtype=np.float32).reshape(-1, 2)
    vectors = read(model_bytes(words, rows, max_n=0))
    assert vectors.words == words
    np.testing.assert_array_equal(vectors.vectors, rows)


def test_labels_are_no_words(read: Read) -> None:
    data = model_bytes(labels=[b"__label__1"], model=3, max_n=0)
    assert read(data).words == WORDS


def test_old_classifiers_have_no_ngrams(read: Read) -> None:
    vectors = read(model_bytes(version=11, model=3))
    np.testing.assert_array_equal(vectors.vectors, ROWS[: len(WORDS)])
    assert read(model_bytes(version=11), wanted=["toad"]).words == ["toad"]


def test_a_word_twice_has_its_first_row(read: Read) -> None:
    with pytest.warns(UserWarning, match="repeats 1 words"):
        vectors = read(model_bytes(["a", "b", "a"], ROWS, max_n=0))
    np.testing.assert_array_equal(vectors.vectors, ROWS[:2])


NAN = np.where(np.arange(len(ROWS))[:, None] == 1, np.nan, ROWS)
HUGE = np.full_like(ROWS, 3e38)
LABEL_FIRST = model_bytes().replace(
    b"frog\0" + struct.pack("<qb", 7, 0), b"frog\0" + bytes(8) + b"\1"
)
ERRORS: dict[str, tuple[bytes, str]] = {
    "magic": (model_bytes(magic=793712315), r"is no file of word vectors"),
    "version": (model_bytes(version=13), r"version 13 of fastText's format"),
    "quantized": (model_bytes(quantized=1), r"is a quantized model"),
    "pruned": (model_bytes(num_pruned=5), r"is a pruned model"),
    "wrong width": (model_bytes(width=3), r"a matrix of 11 × 2, where .* vectors of 3 numbers"),
    "negative width": (model_bytes(width=-2), r"the sizes in its header"),
    "more buckets": (model_bytes(buckets=9), r"a matrix of 11 × 2, where .* 9 buckets"),
    "many buckets": (model_bytes(buckets=2**31 - 1), r"2,147,483,647 buckets"),
    "no buckets": (model_bytes(buckets=0), r"the sizes in its header"),
    "long n-grams": (model_bytes(max_n=2**30), r"the sizes in its header"),
    "more words": (model_bytes(num_words=5), r"entry 5 of its dictionary"),
    "many words": (model_bytes(num_words=2**31 - 1), r"ends too early"),
    "no words": (model_bytes(num_words=0), r"the sizes in its header"),
    "long word": (model_bytes(["b" * 9999, "a"]), r"entry 1 of its dictionary has no end"),
    "a label first": (LABEL_FIRST, r"entry 2 of its dictionary is of type 1"),
    "header only": (model_bytes()[:40], r"ends too early"),
    "magic only": (model_bytes()[:4], r"ends too early"),
    "cut in the dictionary": (model_bytes()[:110], r"ends too early|has no end"),
    "cut in the matrix": (model_bytes()[:-30], r"ends too early"),
    "cut in the output": (model_bytes()[:-1], r"ends too early"),
    "too long": (model_bytes() + b"\0", r"bytes, which do not fit the sizes"),
    "NaN": (
        model_bytes(rows=NAN, max_n=0),
        r"the vector of 'frog' has a number",
    ),
    "overflow": (model_bytes(rows=HUGE), r"the vector of 'frog' has a number"),
}


@pytest.mark.parametrize(("data", "message"), ERRORS.values(), ids=ERRORS)
def test_what_is_wrong_is_said_in_one_line(data: bytes, message: str, read: Read) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read(data)
    assert "vectors.file" in str(caught.value)
    assert "\n" not in str(caught.value)
