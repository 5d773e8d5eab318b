"""Word vectors in memory, of every format of files, and what is said of words that have none."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest

from seqlm.errors import ModelError, UsageError
from seqlm.runs.loading import load_vectors as module
from seqlm.runs.loading.load_vectors import LoadedVectors, load_vectors
from seqlm.runs.loading.locate import locate
from tests.models.vectors.test_character_ngrams import hash_slowly, ngrams_slowly
from tests.runs.vector_files.vector_file_bytes import (
    VECTORS,
    WORDS,
    fasttext_bytes,
    text_lines,
    word2vec_binary,
    word2vec_text,
)


def load_bytes(folder: Path, data: bytes) -> LoadedVectors:
    (folder / "vectors.file").write_bytes(data)
    return load_vectors(locate(folder / "vectors.file", "vectors"))


@pytest.mark.parametrize("data", [text_lines(), word2vec_text(), word2vec_binary()])
def test_every_format_gives_words_and_vectors(data: bytes, tmp_path: Path) -> None:
    table = load_bytes(tmp_path, data)
    assert table.words == WORDS
    np.testing.assert_array_equal(table.vectors, VECTORS)
    assert table.vectors.dtype == np.float32
    assert (len(table), table.width) == VECTORS.shape
    assert table.compose is table.config is table.counts is None
    assert table.path == tmp_path / "vectors.file"
    assert table.weights_digest == hashlib.sha256(data).hexdigest()[:12]


def test_words_are_looked_up_as_they_are(tmp_path: Path) -> None:
    table = load_bytes(tmp_path, text_lines())
    assert [table.row(word) for word in ("the", "中文", "The", "")] == [0, 3, None, None]
    np.testing.assert_array_equal(table.vector("frog"), VECTORS[1])


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        ("The", "; did you mean 'the'?"),
        ("café", "; did you mean 'Café'?"),
        ("frogs", "; did you mean 'frog'?"),
        ("zebra", ""),
        ("", ""),
    ],
)
def test_a_word_without_a_vector_is_named_with_the_nearest(
    word: str, ending: str, tmp_path: Path
) -> None:
    table = load_bytes(tmp_path, text_lines())
    with pytest.raises(UsageError) as error:
        table.vector(word)
    assert str(error.value) == f"no vector of {word!r} in {table.path}{ending}"
    with pytest.raises(UsageError, match="3 is no word"):
        table.vector(3)  # type: ignore[arg-type]


def test_norms_are_those_of_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [sum(x * x for x in row) ** 0.5 for row in VECTORS.tolist()]
    assert load_bytes(tmp_path, text_lines()).norms == pytest.approx(expected)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 3)
    table = load_bytes(tmp_path, text_lines())
    assert table.norms == pytest.approx(expected)
    assert table.norms is table.norms


def test_norms_of_the_smallest_and_largest_numbers(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        norms = load_bytes(tmp_path, b"a 3e-30 4e-30\nb 3e37 4e37\nc 3e38 3e38\nd 0 0\n").norms
    assert norms[:2] == pytest.approx([5e-30, 5e37])
    assert norms[2:].tolist() == [np.inf, 0]


def test_a_fasttext_model_composes_unseen_words(tmp_path: Path) -> None:
    rows = np.arange(2 * (3 + 7), dtype=np.float32).reshape(-1, 2) ** 1.5
    table = load_bytes(tmp_path, fasttext_bytes([b"</s>", b"frog", b"a"], rows))
    assert table.words == ["</s>", "frog", "a"]
    assert table.row("toad") is None

    def slow(word: str) -> np.ndarray:
        hashes = [hash_slowly(ngram) % 7 for ngram in ngrams_slowly(word, 3, 6)]
        mean: np.ndarray = np.mean([rows[3 + number].astype(np.float64) for number in hashes], 0)
        return mean

    np.testing.assert_allclose(table.vector("toad"), slow("toad"), rtol=1e-6)
    assert table.compose is not None
    words, vectors = table.compose(["zoo", "", "toad", "zoo"])
    assert words == ["zoo", "toad"]
    np.testing.assert_allclose(vectors, [slow("zoo"), slow("toad")], rtol=1e-6)
    words, vectors = table.compose([""])
    assert (words, vectors.shape) == ([], (0, 2))
    with pytest.raises(UsageError, match="no vector of ''"):
        table.vector("")


def test_other_vectors_of_the_same_words(tmp_path: Path) -> None:
    table = load_bytes(tmp_path, text_lines())
    other = table.with_vectors(2 * table.vectors)
    assert other.words is table.words
    np.testing.assert_array_equal(other.norms, 2 * table.norms)
    assert other.weights_digest == hashlib.sha256((2 * VECTORS).tobytes()).hexdigest()[:12]
    assert table.with_vectors(VECTORS.astype(np.float64)).vectors.dtype == np.float32


def test_a_model_of_another_task_has_no_word_vectors(finished, tmp_path: Path) -> None:
    (tmp_path / "model.arpa").write_text("\\data\\\nngram 1=1\n")
    message = "is a language model, and this needs a set of word vectors"
    for path in (locate(tmp_path / "model.arpa"), locate(finished("one", "2026").path)):
        with pytest.raises(ModelError, match=message):
            load_vectors(path)


def test_a_file_that_is_cut_off_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"vectors\.file, line 3: a word and 2 numbers"):
        load_bytes(tmp_path, b"frog 1 2 3\npond 1 2 3\ntoad 1 2\n")
    with pytest.raises(ModelError, match="is it complete"):
        load_bytes(tmp_path, word2vec_binary()[:-5])
