"""The odd one out against a loop, and against gensim."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.errors import UsageError
from seqlm.evaluation.vectors.odd_one_out import odd_one_out
from tests.evaluation.vectors.tables import kings, random_table, slow_cosine


def test_it_is_that_of_a_loop() -> None:
    table, rng = random_table(30, 4, seed=1, has_zeros=False), np.random.default_rng(2)
    for size in (3, 4, 9):
        words = [f"w{row}" for row in rng.integers(0, 30, size)]
        units = [table.vector(word) / np.linalg.norm(table.vector(word)) for word in words]
        mean = [sum(column) / size for column in zip(*(unit.tolist() for unit in units))]
        slow = [slow_cosine(mean, unit.tolist()) for unit in units]
        found = odd_one_out(table, words)
        assert [similarity for _, similarity in found] == pytest.approx(sorted(slow), abs=1e-6)
        assert sorted(word for word, _ in found) == sorted(words)
        assert slow[words.index(found[0].word)] == pytest.approx(min(slow), abs=1e-6)


def test_it_is_the_cat() -> None:
    assert odd_one_out(kings(), ["man", "Cat", "king", "queen"])[0].word == "Cat"
    assert odd_one_out(kings(), ["man", "man", "man"])[0] == ("man", pytest.approx(1))


def test_what_has_no_odd_one_is_refused() -> None:
    with pytest.raises(UsageError, match="one of 3 words or more, not of 2"):
        odd_one_out(kings(), ["king", "queen"])
    with pytest.raises(UsageError, match="no vector of 'kin'"):
        odd_one_out(kings(), ["king", "queen", "kin"])
    with pytest.raises(UsageError, match="the vector of 'zero' is all zeros"):
        odd_one_out(kings(), ["king", "queen", "zero"])


def test_gensim_agrees() -> None:
    models = pytest.importorskip("gensim.models")
    table, rng = random_table(100, 6, seed=5, has_zeros=False), np.random.default_rng(1)
    theirs = models.KeyedVectors(6)
    theirs.add_vectors(table.words, table.vectors)
    for _ in range(10):
        words = [f"w{row}" for row in rng.permutation(100)[:5]]
        assert odd_one_out(table, words)[0].word == theirs.doesnt_match(words)
