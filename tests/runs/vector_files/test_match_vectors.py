"""A vocabulary and a file of word vectors give the rows of an embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqlm.errors import ModelError
from seqlm.runs.vector_files.match_vectors import match_vectors
from seqlm.runs.vector_files.read_vectors import read_vectors
from tests.runs.vector_files.vector_file_bytes import VECTORS, fasttext_bytes, text_lines


@pytest.fixture
def glove(tmp_path: Path) -> Path:
    """With the words the, frog, Café and 中文."""
    path = tmp_path / "glove.txt"
    path.write_bytes(text_lines())
    return path


def test_a_word_is_looked_up_as_it_is_and_then_in_lower_case(glove: Path) -> None:
    words = ["FROG", "the", "Café", "café", "toad", "The", "the"]
    matched = match_vectors(words, glove)
    assert matched.found.tolist() == [True, True, True, False, False, True, True]
    np.testing.assert_array_equal(matched.matrix[matched.found], VECTORS[[1, 0, 2, 0, 0]])
    assert (matched.num_as_is, matched.num_lowercased, matched.num_composed) == (3, 2, 0)
    assert matched.matrix.dtype == np.float32


def test_other_rows_are_drawn_with_the_deviation_of_those_found(glove: Path) -> None:
    words = ["the", "frog", *(f"unknown{n}" for n in range(4000))]
    matched = match_vectors(words, glove)
    drawn = matched.matrix[~matched.found]
    assert drawn.shape == (4000, 3)
    deviation = VECTORS[:2].std()
    assert abs(drawn.std() / deviation - 1) < 0.03
    assert abs(drawn.mean()) < 0.05 * deviation


def test_the_seed_decides_what_is_drawn(glove: Path) -> None:
    words = ["the", "toad", "frog"]
    first, same, other = (match_vectors(words, glove, seed).matrix for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first[1] != other[1]).all()
    np.testing.assert_array_equal(first[[0, 2]], other[[0, 2]])


def test_fasttext_composes_only_what_its_dictionary_lacks_in_both_cases(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(
        fasttext_bytes([b"frog", b"the"], np.random.default_rng(1).normal(size=(9, 2)))
    )
    matched = match_vectors(["Frog", "the", "Toad", "</s>"], path)
    assert (matched.num_as_is, matched.num_lowercased, matched.num_composed) == (1, 1, 1)
    assert matched.found.tolist() == [True, True, True, False]
    alone = read_vectors(path, ["frog", "Toad"])
    np.testing.assert_array_equal(matched.matrix[[0, 2]], alone.vectors)


def test_a_file_with_none_of_the_words_is_refused(glove: Path) -> None:
    with pytest.raises(ModelError, match=r"glove.txt has none of the 2 words"):
        match_vectors(["toad", "newt"], glove)
