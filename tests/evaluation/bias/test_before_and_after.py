"""Figures before and after debiasing, on a bias that was put there."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.evaluation.bias import before_and_after
from seqlm.evaluation.bias.association_tests import run_tests
from seqlm.evaluation.bias.before_and_after import WhatToMeasure, compare_bias, mean_cosine
from seqlm.evaluation.bias.bias_direction import find_direction, most_biased, project
from seqlm.evaluation.bias.bias_settings import WeatSettings
from seqlm.evaluation.bias.find_words import LabeledWords
from seqlm.evaluation.bias.hard_debiasing import hard_debias
from seqlm.evaluation.bias.leace import erase
from seqlm.evaluation.bias.linear_probe import probe
from seqlm.evaluation.bias.word_sets import WordSets
from tests.evaluation.bias.tables import PAIRS, biased_table

TABLE = biased_table()
DIRECTION = find_direction(TABLE, PAIRS)
FIRST, SECOND = most_biased(project(TABLE, DIRECTION.g), 60, DIRECTION.words.all_rows)
LABELED = LabeledWords(
    np.concatenate([FIRST, SECOND]), np.repeat([0, 1], 60), ["first", "second"], []
)
TESTS = [
    WordSets(
        "names", *([TABLE.words[row] for row in rows[:8]] for rows in (FIRST, SECOND)),
        *map(list, zip(*PAIRS)),
    )
]  # fmt: skip


def compare(after: np.ndarray, whitening: str | None = None, g=DIRECTION.g) -> dict:
    what = WhatToMeasure(
        LABELED, g, run_tests(TABLE, TESTS, WeatSettings()), WeatSettings(), seed=1
    )
    rows = compare_bias(TABLE, TABLE.with_vectors(after), what, whitening)
    return {row.figure: (row.before, row.after) for row in rows}


def test_nothing_changed() -> None:
    figures = compare(TABLE.vectors)
    assert list(figures) == [
        "direct-bias", "probe-accuracy", "probe-training-accuracy", "probe-majority",
        "names:effect-size", "names:p", "cosine-to-original",
    ]  # fmt: skip
    assert all(before == pytest.approx(after) for before, after in figures.values())
    assert figures["probe-majority"] == (0.5, 0.5)
    assert figures["cosine-to-original"][1] == pytest.approx(1)


def test_hard_debiasing_removes_the_part_and_leaves_a_trace() -> None:
    """The second number of each word tells of the first, which is gone."""
    after = hard_debias(TABLE, DIRECTION.g, (), DIRECTION.words.rows)
    figures = compare(after)
    before, later = figures["direct-bias"]
    assert later < 1e-6 < 0.3 < before
    before, later = figures["probe-accuracy"]
    assert before > 0.95
    assert 0.6 < later < before
    before, later = figures["names:effect-size"]
    assert before > 1.5
    assert np.isnan(later)  # each word is as near to f0 as to m0: there is nothing but rounding
    assert figures["names:p"] == (1 / 12870, 1)
    assert 0.7 < figures["cosine-to-original"][1] < 0.99


@pytest.mark.parametrize("whitening", ["all", "labeled"])
def test_leace_leaves_no_trace_in_its_own_words(whitening) -> None:
    figures = compare(erase(TABLE, LABELED, whitening), whitening)
    assert figures["probe-training-accuracy"][1] == figures["probe-majority"][1] == 0.5
    assert figures["probe-accuracy"][1] <= 0.51
    before, later = figures["probe-accuracy-new-words"]
    assert before > 0.9
    assert later < 0.75


def test_without_a_direction_there_is_no_direct_bias() -> None:
    assert "direct-bias" not in compare(TABLE.vectors, g=None)


def test_new_words_by_hand() -> None:
    """The halves by the definition, with vectors of the whole table erased."""
    what = WhatToMeasure(LABELED, None, [], WeatSettings(), seed=1)
    found = before_and_after.new_word_accuracies(TABLE, what, "all")
    halves = before_and_after.stratified_folds(LABELED.labels, 2, 1)
    accuracies = []
    for half in (0, 1):
        seen = LABELED._replace(
            rows=LABELED.rows[halves == half], labels=LABELED.labels[halves == half]
        )
        new = LABELED.rows[halves != half], LABELED.labels[halves != half]
        erased = erase(TABLE, seen, "all")
        accuracies.append([probe(x[new[0]], new[1]).accuracy for x in (TABLE.vectors, erased)])
    assert found == pytest.approx(np.mean(accuracies, 0).tolist())


def test_few_words_have_no_halves() -> None:
    few = LABELED._replace(rows=LABELED.rows[51:69], labels=LABELED.labels[51:69])
    what = WhatToMeasure(few, None, [], WeatSettings(), seed=1)
    figures = [row.figure for row in compare_bias(TABLE, TABLE, what, "all")]
    assert "probe-accuracy" in figures
    assert "probe-accuracy-new-words" not in figures


def test_the_mean_cosine_leaves_out_zeros(monkeypatch) -> None:
    monkeypatch.setattr(before_and_after, "ROWS_AT_ONCE", 7)
    turned = -2 * TABLE.vectors
    turned[3] = 0
    assert mean_cosine(TABLE, TABLE.with_vectors(turned)) == pytest.approx(-1)
    assert mean_cosine(TABLE, TABLE.with_vectors(0 * turned)) == 0
