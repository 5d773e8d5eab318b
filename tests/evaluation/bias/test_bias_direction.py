"""Directions of bias, projections on them, and direct bias."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.bias import bias_direction
from seqlm.evaluation.bias.bias_direction import (
    biased_words,
    find_direction,
    most_biased,
    project,
)
from seqlm.evaluation.bias.direct_bias import direct_bias
from seqlm.evaluation.bias.find_words import find_words, unit_rows
from tests.evaluation.bias.tables import PAIRS, biased_table, table_of


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.sqrt((v * v).sum())


def test_the_direction_of_one_pair_is_their_difference() -> None:
    table = biased_table()
    she, he = (unit(table.vector(word).astype(float)) for word in ("f0", "m0"))
    for method in ("pca", "difference"):
        found = find_direction(table, [("f0", "m0")], method)
        assert found.g == pytest.approx(unit(she - he), abs=1e-12)
        assert found.share == pytest.approx(1)


def test_pca_is_the_first_eigenvector_of_c() -> None:
    table = biased_table()
    C = np.zeros((table.width, table.width))
    for pair in PAIRS:
        w, u = (unit(table.vector(word).astype(float)) for word in pair)
        mu = (w + u) / 2
        for v in (w - mu, u - mu):
            C += np.outer(v, v) / 2
    values, eigenvectors = np.linalg.eigh(C)
    found = find_direction(table, PAIRS, "pca")
    assert abs(found.g @ eigenvectors[:, -1]) == pytest.approx(1)
    assert found.share == pytest.approx(values[-1] / values.sum())


def test_difference_is_that_of_the_means() -> None:
    table = biased_table()
    first, second = (
        np.mean([unit(table.vector(word).astype(float)) for word in side], axis=0)
        for side in zip(*PAIRS)
    )
    found = find_direction(table, PAIRS, "difference")
    assert found.g == pytest.approx(unit(first - second))
    assert 0 < found.share < find_direction(table, PAIRS, "pca").share


def test_first_words_lie_on_the_positive_side() -> None:
    table = biased_table()
    turned = [(second, first) for first, second in PAIRS]
    for method in ("pca", "difference"):
        g = find_direction(table, PAIRS, method).g
        assert g[0] > 0.5
        assert find_direction(table, turned, method).g == pytest.approx(-g)
        assert np.linalg.norm(g) == pytest.approx(1)


def test_the_direction_that_was_put_there_is_found() -> None:
    """The pairs differ by 3 along the first number, and in nothing else but their length."""
    assert find_direction(biased_table(), PAIRS).g[0] > 0.9


def test_pairs_that_are_not_there_are_left_out() -> None:
    table = biased_table()
    found = find_direction(table, [*PAIRS, ("f0", "he"), ("she", "he")])
    assert found.g.tolist() == find_direction(table, PAIRS).g.tolist()
    assert (found.words.pairs, found.words.missing) == (PAIRS, ["he", "she", "he"])


def test_without_pairs_there_is_no_direction() -> None:
    with pytest.raises(DataError, match="both words of none of the 2 pairs; missing are she, he"):
        find_direction(biased_table(), [("she", "he"), ("f1", "him")])
    same = table_of(["she", "he", "her", "his"], [[1, 2], [2, 4], [1, 0], [0, 1]])
    with pytest.raises(DataError, match=r"no direction in common in toy\.txt"):
        find_direction(same, [("she", "he")])
    opposite = [("her", "his"), ("his", "her")]
    assert find_direction(same, opposite, "pca").share == pytest.approx(1)
    with pytest.raises(DataError, match="no direction in common"):
        find_direction(same, opposite, "difference")


def test_projections_are_cosines(monkeypatch) -> None:
    table = biased_table()
    table.vectors[3] = 0
    g = find_direction(table, PAIRS).g
    found = project(table, g)
    for row in range(len(table)):
        w = table.vectors[row].astype(float)
        wanted = 0 if row == 3 else w @ g / np.linalg.norm(w)
        assert found[row] == pytest.approx(wanted, abs=1e-12)
    monkeypatch.setattr(bias_direction, "ROWS_AT_ONCE", 7)
    assert project(table, g) == pytest.approx(found, abs=1e-14)
    assert project(table, g, 20).shape == (20,)
    assert project(table, g, 10**6).shape == (len(table),)
    with pytest.raises(UsageError, match="vocabulary is 0"):
        project(table, g, 0)


def test_the_most_biased_words_of_each_side() -> None:
    lies_at = np.array([0.1, -0.5, 0.9, 0, -0.2, 0.9, -0.9])
    first, second = most_biased(lies_at, 2)
    assert (first.tolist(), second.tolist()) == ([2, 5], [6, 1])
    first, second = most_biased(lies_at, 9, without=[2, 6])
    assert (first.tolist(), second.tolist()) == ([5, 0], [1, 4])


def test_direct_bias_by_its_formula() -> None:
    table = biased_table()
    g = find_direction(table, PAIRS).g
    words = find_words(table, [f"w{n}" for n in range(50)]).unit_vectors(table)
    for c in (0.5, 1, 3):
        wanted = sum(abs(float(w @ g)) ** c for w in words) / 50
        assert direct_bias(words, g, c) == pytest.approx(wanted)
    along = unit_rows(np.stack([g, -3 * g]))
    assert direct_bias(along, g, 7) == pytest.approx(1)


def test_biased_words_are_neither_kept_nor_of_the_direction() -> None:
    table = biased_table()
    direction = find_direction(table, PAIRS)
    found = biased_words(table, direction, 10)
    lies_at = project(table, direction.g)
    assert found.names == ["positive", "negative"]
    assert found.labels.tolist() == [0] * 10 + [1] * 10
    words = [table.words[row] for row in found.rows]
    assert all(word.startswith("w") for word in words)
    others = [row for row in range(400) if row not in found.rows]
    assert lies_at[found.rows[:10]].min() > lies_at[others].max()
    assert lies_at[found.rows[10:]].max() < lies_at[others].min()
    without = biased_words(table, direction, 10, keep=[words[0], "no word"])
    assert words[0] not in [table.words[row] for row in without.rows]
    assert biased_words(table, direction, 10, vocabulary=50).rows.max() < 50


def test_by_default_a_tenth_of_the_words_are_most_biased() -> None:
    table = biased_table()
    assert len(biased_words(table, find_direction(table, PAIRS)).rows) == 2 * 41
    many = biased_table(words=6000, width=3)
    assert len(biased_words(many, find_direction(many, PAIRS)).rows) == 2 * 500


def test_words_on_one_side_alone_are_not_enough() -> None:
    table = table_of(["she", "he", "rose"], [[1, 0], [-1, 0], [1, 1]])
    with pytest.raises(DataError, match="no words on one side"):
        biased_words(table, find_direction(table, [("she", "he")]), 5)
