"""Hard debiasing: what it promises, and plain loops over its equations."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.errors import DataError
from seqlm.evaluation.bias import hard_debiasing
from seqlm.evaluation.bias.bias_direction import find_direction
from seqlm.evaluation.bias.hard_debiasing import debias_words, hard_debias
from tests.evaluation.bias.tables import PAIRS, biased_table, table_of

TABLE = biased_table()
FOUND = find_direction(TABLE, PAIRS)
G, SETS = FOUND.g, FOUND.words.rows
KEPT = [3, 7]
DEBIASED = hard_debias(TABLE, G, KEPT, SETS)
NEUTRAL = [row for row in range(400) if row not in KEPT]


def test_neutral_words_have_no_part_along_the_direction() -> None:
    assert np.abs(DEBIASED[NEUTRAL] @ G).max() < 1e-7
    assert np.linalg.norm(DEBIASED, axis=1) == pytest.approx(1, abs=1e-6)


def test_a_pair_is_as_near_to_each_neutral_word() -> None:
    for first, second in SETS:
        near, also_near = (DEBIASED[NEUTRAL] @ DEBIASED[row] for row in (first, second))
        assert np.abs(near - also_near).max() < 1e-6
        assert np.linalg.norm(DEBIASED[first] - DEBIASED[second]) > 0.1
        assert DEBIASED[first] @ G == pytest.approx(-(DEBIASED[second] @ G), abs=1e-6)


def test_kept_words_keep_their_direction() -> None:
    for row in KEPT:
        w = TABLE.vectors[row].astype(float)
        assert DEBIASED[row] == pytest.approx(w / np.linalg.norm(w), abs=1e-6)


def test_plain_loops_find_the_same() -> None:
    wanted = np.empty_like(DEBIASED)
    unit = [w / np.linalg.norm(w) for w in TABLE.vectors.astype(float)]
    for row, w in enumerate(unit):
        rest = w - sum(w * G) * G
        wanted[row] = w if row in KEPT else rest / np.linalg.norm(rest)
    for rows in SETS:
        mu = sum(unit[row] for row in rows) / len(rows)
        mu_B = sum(mu * G) * G
        nu = mu - mu_B
        for row in rows:
            w_B = sum(unit[row] * G) * G
            side = (w_B - mu_B) / np.linalg.norm(w_B - mu_B)
            wanted[row] = nu + np.sqrt(1 - sum(nu * nu)) * side
    assert pytest.approx(wanted, abs=1e-6) == DEBIASED


def test_three_words_can_be_equalized() -> None:
    """Those of one side become one vector."""
    rows = sorted(range(30), key=lambda row: float(TABLE.vectors[row] @ G))
    debiased = hard_debias(TABLE, G, (), [[rows[0], rows[1], rows[-1]]])
    assert debiased[rows[0]] == pytest.approx(debiased[rows[1]], abs=1e-6)
    assert debiased[rows[0]] @ G == pytest.approx(-(debiased[rows[-1]] @ G), abs=1e-6)


def test_twice_is_once() -> None:
    again = hard_debias(TABLE.with_vectors(DEBIASED), G, KEPT, SETS)
    assert again == pytest.approx(DEBIASED, abs=1e-6)


def test_pieces_and_lengths_change_nothing(monkeypatch) -> None:
    monkeypatch.setattr(hard_debiasing, "ROWS_AT_ONCE", 7)
    longer = TABLE.with_vectors(TABLE.vectors * np.linspace(0.1, 9, len(TABLE))[:, None])
    assert hard_debias(longer, G, KEPT, SETS) == pytest.approx(DEBIASED, abs=1e-6)


def test_what_lies_along_the_direction_alone_has_nothing_left() -> None:
    table = table_of(["she", "he", "nil", "rose"], [[1, 0], [-1, 0], [0, 0], [3, 4]])
    debiased = hard_debias(table, np.array([1.0, 0]))
    assert debiased.tolist() == [[0, 0], [0, 0], [0, 0], [0, 1]]
    assert debiased.dtype == np.float32


def test_sets_that_cannot_be_equalized() -> None:
    table = table_of(["she", "he", "it", "one"], [[1, 1], [-1, 1], [0, 1], [0, 2]])
    g = np.array([1.0, 0])
    with pytest.raises(DataError, match="it and one cannot be equalized: they do not differ"):
        hard_debias(table, g, (), [[0, 1], [2, 3]])
    with pytest.raises(DataError, match="he is to be equalized twice, once in she and he"):
        hard_debias(table, g, (), [[0, 1], [1, 2]])


def test_words_are_looked_up() -> None:
    debiased = debias_words(TABLE, FOUND, ["w3", "w7", "no word"])
    assert debiased.words == TABLE.words
    assert (debiased.vectors == DEBIASED).all()
    others = debias_words(TABLE, FOUND, ["w3"], [("f0", "m1"), ("w5", "no word")])
    rows = [TABLE.words.index(word) for word in ("f0", "m1")]
    kept = [3, *FOUND.words.all_rows]
    assert (others.vectors == hard_debias(TABLE, G, kept, [rows])).all()
