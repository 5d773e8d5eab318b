"""Bootstrap samples: their pieces, and what intervals and p mean."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.evaluation.labeling import bootstrap
from seqlm.evaluation.labeling.bootstrap import difference, interval, sample_weights


def test_weights_are_the_numbers_of_times_that_sentences_are_drawn() -> None:
    [weights] = sample_weights(7, 50, seed=3)
    drawn = np.random.default_rng(3).integers(7, size=(50, 7))
    assert (weights == [[list(row).count(n) for n in range(7)] for row in drawn.tolist()]).all()


@pytest.mark.parametrize("piece", [1, 13, 40, 10_000])
def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    [whole] = sample_weights(13, 25, seed=1)
    monkeypatch.setattr(bootstrap, "PIECE", piece)
    pieces = list(sample_weights(13, 25, seed=1))
    assert max(part.size for part in pieces) <= max(piece, 13)
    assert (np.concatenate(pieces) == whole).all()


def test_an_interval_leaves_out_a_fortieth_on_each_side() -> None:
    assert interval(np.arange(41.0)) == (1, 39)


def test_p_counts_the_samples_without_the_sign_of_the_difference() -> None:
    second = np.array([1.0, 2, 3, -1, 0, 4, 5, 6, 7])
    found = difference(0.25, 0.75, (np.zeros(9), second))
    assert (found.value, found.p) == (0.5, 2 * (2 + 1) / 10)
    assert difference(0.75, 0.25, (second, np.zeros(9))).p == found.p
    assert difference(0, 0, (second, second)).p == 1


def test_intervals_of_a_mean_hold_it_as_often_as_they_say() -> None:
    """Shares of right answers among 50 sentences, in 200 texts drawn from a known one."""
    rng = np.random.default_rng(4)
    [weights] = sample_weights(50, 400, seed=1)
    held = 0
    for _ in range(200):
        is_right = rng.random(50) < 0.6
        low, high = interval(weights @ is_right / 50)
        held += low <= 0.6 <= high
    assert 0.88 <= held / 200 <= 0.99
