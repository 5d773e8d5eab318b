"""Figures before and after debiasing, on a bias that was put there."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.evaluation.bias import before_and_after
from seqlm.evaluation.bias.association_tests import find_tests
from seqlm.evaluation.bias.before_and_after import WhatToMeasure, compare_bias, mean_cosine
from seqlm.evaluation.bias.bias_direction import biased_words, find_direction
from seqlm.evaluation.bias.bias_settings import WeatSettings
from seqlm.evaluation.bias.hard_debiasing import debias_words
from seqlm.evaluation.bias.leace import erase_labels
from seqlm.evaluation.bias.linear_probe import probe
from seqlm.evaluation.bias.word_sets import WordSets
from seqlm.runs.loading.load_vectors import LoadedVectors
from tests.evaluation.bias.tables import PAIRS, biased_table

TABLE = biased_table()
DIRECTION = find_direction(TABLE, PAIRS)
LABELED = biased_words(TABLE, DIRECTION, 60)
FIRST, SECOND = np.split(LABELED.rows, 2)
TESTS = [
    WordSets(
        "names", *([TABLE.words[row] for row in rows[:8]] for rows in (FIRST, SECOND)),
        *map(list, zip(*PAIRS)),
    )
]  # fmt: skip


def compare(after: LoadedVectors, whitening: str | None = None, g=DIRECTION.g) -> dict:
    what = WhatToMeasure(LABELED, g, find_tests(TABLE, TESTS, WeatSettings()), WeatSettings())
    rows = compare_bias(TABLE, after, what, whitening)
    return {row.figure: (row.before, row.after) for row in rows}


def test_nothing_changed() -> None:
    figures = compare(TABLE)
    assert list(figures) == [
        "direct-bias", "probe-accuracy", "probe-training-accuracy", "probe-majority",
        "names:effect-size", "names:p", "cosine-to-original",
    ]  # fmt: skip
    assert all(before == pytest.approx(after) for before, after in figures.values())
    assert figures["probe-majority"] == (0.5, 0.5)
    assert figures["cosine-to-original"][1] == pytest.approx(1)


def test_hard_debiasing_removes_the_part_and_leaves_a_trace() -> None:
    """The second number of each word tells of the first, which is gone."""
    figures = compare(debias_words(TABLE, DIRECTION))
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
    figures = compare(erase_labels(TABLE, LABELED, whitening), whitening)
    assert figures["probe-training-accuracy"][1] == figures["probe-majority"][1] == 0.5
    assert figures["probe-accuracy"][1] <= 0.51
    before, later = figures["probe-accuracy-new-words"]
    assert before > 0.9
    assert later < 0.75


def test_without_a_direction_there_is_no_direct_bias() -> None:
    assert "direct-bias" not in compare(TABLE, g=None)


def test_new_words_by_hand() -> None:
    """The halves by the definition, with vectors of the whole table erased."""
    what = WhatToMeasure(LABELED, None, [], WeatSettings())
    found = before_and_after.new_word_accuracies(TABLE, what, "all")
    halves = before_and_after.stratified_folds(LABELED.labels, 2, 1)
    accuracies = []
    for half in (0, 1):
        seen = LABELED._replace(
            rows=LABELED.rows[halves == half], labels=LABELED.labels[halves == half]
        )
        new = LABELED.rows[halves != half], LABELED.labels[halves != half]
        erased = erase_labels(TABLE, seen, "all")
        accuracies.append(
            [probe(x[new[0]], new[1]).accuracy for x in (TABLE.vectors, erased.vectors)]
        )
    assert found == pytest.approx(np.mean(accuracies, 0).tolist())


def test_few_words_have_no_halves() -> None:
    few = LABELED._replace(rows=LABELED.rows[51:69], labels=LABELED.labels[51:69])
    what = WhatToMeasure(few, None, [], WeatSettings())
    figures = [row.figure for row in compare_bias(TABLE, TABLE, what, "all")]
    assert "probe-accuracy" in figures
    assert "probe-accuracy-new-words" not in figures


def test_fewer_words_have_no_probe() -> None:
    few = LABELED._replace(rows=LABELED.rows[56:64], labels=LABELED.labels[56:64])
    what = WhatToMeasure(few, None, [], WeatSettings())
    assert [row.figure for row in compare_bias(TABLE, TABLE, what, "all")] == ["cosine-to-original"]


def test_the_mean_cosine_leaves_out_zeros(monkeypatch) -> None:
    monkeypatch.setattr(before_and_after, "ROWS_AT_ONCE", 7)
    turned = -2 * TABLE.vectors
    turned[3] = 0
    assert mean_cosine(TABLE, TABLE.with_vectors(turned)) == pytest.approx(-1)
    assert mean_cosine(TABLE, TABLE.with_vectors(0 * turned)) == 0
