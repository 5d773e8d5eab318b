"""What models must reach, and must not pass, on text whose true probabilities are known.

The figures themselves are measured, over more models, by `benchmarks/known_entropy.py`.
"""

from __future__ import annotations

import pytest

from benchmarks import known_entropy as limits


def test_the_right_order_comes_within_half_a_percent_and_others_do_not():
    train, test = limits.texts("markov")
    found = {
        order: limits.excess("markov", limits.counted(train, order), test, "sentence")
        for order in (2, 3)
    }
    assert not any(one.leaks for one in found.values())
    assert found[3].relative <= 0.005
    assert found[2].relative > 0.2


def test_an_lstm_comes_within_three_percent_where_no_ngram_does():
    train, test = limits.texts("hidden")
    counted = limits.excess("hidden", limits.counted(train, 4), test, "sentence")
    lstm = limits.trained("lstm", train, epochs=3, width=64)
    trained = limits.excess("hidden", lstm, test, "carried")
    assert not trained.leaks
    assert trained.relative <= 0.03 < counted.relative


def test_an_lstm_sees_across_twenty_fillers_and_a_trigram_guesses():
    train, test = limits.texts("brackets", "brackets.20.test.txt")
    assert limits.closer_accuracy(limits.counted(train, 3), train, test) == pytest.approx(
        0.25, abs=0.03
    )
    lstm = limits.trained("lstm", train, epochs=3, width=64)
    assert limits.closer_accuracy(lstm, train, test) >= 0.95


def test_a_model_that_knows_the_next_token_is_found_out():
    """The alarm itself: a model a hundredth of a nat below the truth is a leak."""
    lower = limits.Excess(truth=1.23, model=1.22, error=0.001)
    assert lower.leaks
    assert not limits.Excess(truth=1.23, model=1.228, error=0.001).leaks
