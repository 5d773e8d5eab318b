"""The nearest words against a loop over all words, and against gensim."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.errors import UsageError
from seqlm.evaluation.vectors.nearest_words import (
    cosine,
    cosines,
    direction,
    highest_rows,
    nearest_words,
    unit,
)
from tests.evaluation.vectors.tables import kings, random_table, slow_cosine, table_of


@pytest.mark.parametrize("seed", range(5))
def test_they_are_those_of_a_loop(seed: int) -> None:
    table = random_table(40, 5, seed)
    query = np.random.default_rng(seed + 99).normal(size=5)
    slow = [
        (slow_cosine(query, vector.tolist()), word)
        for word, vector in zip(table.words, table.vectors)
    ]
    slow.sort(key=lambda found: -found[0])
    found = nearest_words(table, query, 40)
    assert [neighbor.similarity for neighbor in found] == pytest.approx(
        [similarity for similarity, _ in slow], abs=1e-6
    )
    by_word = {word: similarity for similarity, word in slow}
    for word, similarity in found:
        assert similarity == pytest.approx(by_word[word], abs=1e-6)
    assert nearest_words(table, query, 7) == found[:7]


def test_equal_words_stand_in_the_order_of_the_table() -> None:
    table = table_of("abcde", [[2, 0], [0, 1], [2, 0], [2, 0], [-1, 0]])
    found = nearest_words(table, np.array([1.0, 0]), 3)
    assert found == [("a", 1.0), ("c", 1.0), ("d", 1.0)]
    assert [word for word, _ in nearest_words(table, np.array([1.0, 0]), 2, "c")] == ["a", "d"]


def test_excluded_words_are_left_out_and_unknown_ones_are_no_error() -> None:
    table = kings()
    words = [word for word, _ in nearest_words(table, table.vector("king"), 3, ["king", "x"])]
    assert words == ["queen", "man", "woman"]


def test_more_words_than_there_are() -> None:
    assert len(nearest_words(kings(), np.ones(3), 99)) == 6
    assert len(nearest_words(kings(), np.ones(3), 99, ["king", "man"])) == 4
    assert nearest_words(table_of(["a"], [[1]]), np.ones(1), 5, ["a"]) == []


def test_only_the_first_words_are_searched() -> None:
    words = [word for word, _ in nearest_words(kings(), np.array([0.0, 0, 1]), 9, vocabulary=3)]
    assert words == ["queen", "king", "man"]


def test_a_vector_of_zeros_has_no_direction() -> None:
    table = kings()
    assert cosines(table, np.ones(3)).tolist()[4] == 0
    assert cosine(table.vector("zero"), table.vector("king")) == 0
    with pytest.raises(UsageError, match="the vector of 'zero' is all zeros"):
        direction(table, "zero")
    with pytest.raises(UsageError, match="all zeros: it has no direction"):
        nearest_words(table, np.zeros(3))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ([np.nan, 1, 1], "a number that is not finite"),
        ([np.inf, 1, 1], "a number that is not finite"),
        ([1, 1], "a vector of 2 numbers, where the vectors have 3"),
        ([[1, 1, 1]], "a vector of 1 × 3 numbers"),
    ],
)
def test_what_is_no_vector_is_refused(query: list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nearest_words(kings(), np.array(query))


@pytest.mark.parametrize(("k", "vocabulary"), [(0, None), (-1, 3), (1, 0)])
def test_numbers_below_1_are_refused(k: int, vocabulary: int | None) -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        nearest_words(kings(), np.ones(3), k, vocabulary=vocabulary)


@pytest.mark.parametrize("scale", [1e-38, 1e-25, 1.0, 1e25, 1e38])
def test_the_size_of_numbers_does_not_matter(scale: float) -> None:
    vectors = np.array([[1, 2], [2, 1], [-1, 0.5]]) * scale
    table = table_of("abc", vectors)
    assert cosines(table, vectors[0]) == pytest.approx([1, 0.8, 0], abs=1e-6)
    assert cosine(table.vectors[0], table.vectors[1]) == pytest.approx(0.8)
    assert unit(vectors[0], 2) == pytest.approx(np.array([1, 2]) / np.sqrt(5))


def test_the_highest_rows() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        scores = rng.integers(0, 5, 12).astype(np.float32)
        exclude = set(rng.integers(0, 12, 3).tolist())
        slow = sorted(set(range(12)) - exclude, key=lambda row: (-scores[row], row))
        for k in (1, 3, 20):
            assert highest_rows(scores, k, exclude) == slow[:k]


def test_gensim_finds_the_same() -> None:
    models = pytest.importorskip("gensim.models")
    table = random_table(300, 10, seed=3, has_zeros=False)
    theirs = models.KeyedVectors(10)
    theirs.add_vectors(table.words, table.vectors)
    for word in ("w1", "w7", "w299"):
        ours = nearest_words(table, table.vector(word), 20, [word])
        expected = dict(theirs.most_similar(word, topn=40))
        assert len(ours) == 20
        for neighbor, similarity in ours:
            assert similarity == pytest.approx(expected[neighbor], abs=1e-5)
