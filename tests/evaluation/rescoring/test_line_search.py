"""Tuning of log-linear weights, against grids and against all that can be enumerated."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from seqlm.evaluation.rescoring.error_counts import (
    METRICS,
    bleu_counts,
    bleu_error,
    wer,
    word_edits,
)
from seqlm.evaluation.rescoring.line_search import (
    TuningList,
    error_of,
    search_line,
    tune_weights,
    upper_envelope,
)


def random_lists(seed: int, lists: int = 6, features: int = 3) -> list[TuningList]:
    """Lists with whole numbers as features, so that there are ties and parallels."""
    rng = np.random.default_rng(seed)
    return [
        TuningList(
            rng.integers(-4, 5, (size, features)).astype(float),
            np.column_stack([rng.integers(0, 6, size), np.full(size, 7)]).astype(float),
        )
        for size in rng.integers(1, 8, lists)
    ]


@pytest.mark.parametrize("seed", range(30))
def test_the_upper_envelope_is_what_is_highest_anywhere(seed: int) -> None:
    rng = np.random.default_rng(seed)
    offsets, slopes = rng.integers(-5, 6, (2, rng.integers(1, 9))).astype(float)
    order, starts = upper_envelope(offsets, slopes)
    assert starts[0] == -np.inf
    assert (np.diff(starts) > 0).all()
    for g in np.linspace(-20.013, 20, 401):
        values = offsets + g * slopes
        top = order[np.searchsorted(starts, g, side="right") - 1]
        assert values[top] == pytest.approx(values.max())


@pytest.mark.parametrize("seed", range(30))
def test_a_line_search_is_no_worse_than_a_fine_grid(seed: int) -> None:
    lists, rng = random_lists(seed), np.random.default_rng(seed)
    weights, direction = rng.normal(size=(2, 3))
    step, lowest = search_line(lists, weights, direction, wer)
    assert error_of(lists, weights + step * direction, wer) == pytest.approx(lowest)
    grid = [error_of(lists, weights + g * direction, wer) for g in np.linspace(-30, 30, 2001)]
    assert lowest <= min(grid) + 1e-12


def test_tuning_finds_the_lowest_error_of_a_few_lists() -> None:
    """Of two free weights, against a grid in every direction; seeds give equal weights."""
    gains = 0.0
    for seed in range(8):
        lists, start = random_lists(seed), np.array([1.0, 0.5, 0.0])
        weights, lowest = tune_weights(lists, start, wer, fixed=0)
        assert weights[0] == 1
        assert lowest == pytest.approx(error_of(lists, weights, wer))
        axis = np.tan(np.linspace(-1.55, 1.55, 61))
        grid = min(error_of(lists, np.array([1.0, a, b]), wer) for a in axis for b in axis)
        assert lowest <= grid + 0.03
        gains += error_of(lists, start, wer) - lowest
        assert np.array_equal(tune_weights(lists, start, wer, fixed=0)[0], weights)
    assert gains > 0.3


def test_edits_are_those_of_an_alignment() -> None:
    def slow(a: list[str], b: list[str]) -> int:
        if not a or not b:
            return len(a) + len(b)
        return min(slow(a[1:], b) + 1, slow(a, b[1:]) + 1, slow(a[1:], b[1:]) + (a[0] != b[0]))

    texts = [list(each) for size in range(5) for each in permutations("aab", min(size, 3))]
    for a in texts[::3]:
        for b in texts[::2]:
            assert word_edits(a, b) == slow(a, b)


def test_bleu_is_that_of_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    rng = np.random.default_rng(2)
    texts = [
        [" ".join(rng.choice(list("abcde"), rng.integers(1, 9))) for _ in range(6)] for _ in "xy"
    ]
    sums = np.sum([bleu_counts(h.split(), r.split()) for h, r in zip(*texts)], axis=0)
    metric = sacrebleu.BLEU(tokenize="none", smooth_method="add-k", smooth_value=1, force=True)
    expected = metric.corpus_score(texts[0], [texts[1]]).score
    assert 100 * (1 - float(bleu_error(sums))) == pytest.approx(expected)


@pytest.mark.parametrize("name", METRICS)
def test_sums_of_counts_are_taken_together(name: str) -> None:
    metric = METRICS[name]  # type: ignore[index]
    texts = ("a b c d", "", "d c")
    counts = np.array([metric.counts(text.split(), texts[0].split()) for text in texts])
    assert metric.error(counts)[0] == 0
    assert metric.error(counts)[1] == 1
    assert 0 < metric.error(counts.sum(0)) < 1
