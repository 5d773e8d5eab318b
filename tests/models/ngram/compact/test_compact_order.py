"""Compact n-grams against the plain ones that they are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from seqlm.models.ngram.compact.compact_order import CompactOrder
from seqlm.models.ngram.derived.compact_ngrams import compact
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.ngram_order import words_of_range
from seqlm.models.ngram.table_checks import check_model
from tests.counting import oracle
from tests.models.ngram.test_ngram_model import KINDS, B, build, slow_score, text, tokens

__all__ = ["text", "tokens"]  # fixtures
SOME = [kind for kind in KINDS if kind.values[0] in ("modified-kneser-ney", "mle")]


@pytest.mark.parametrize(("smoothing", "context", "order"), SOME)
def test_n_grams_are_the_same_and_numbers_nearly(
    text: list[int], smoothing: str, context: str, order: int
) -> None:
    model = build(text, smoothing, context, order)
    small = compact(model)
    assert oracle.spelled(small) == oracle.spelled(model)
    errors = []
    for k, (ours, theirs) in enumerate(zip(small.orders, model.orders, strict=True), 1):
        rows = np.random.default_rng(0).permutation(len(theirs))
        assert len(ours) == len(theirs)
        assert np.array_equal(ours.words_at(rows), theirs.words[rows])
        assert np.array_equal(ours.log_prob_at(rows), ours.log_prob[rows])
        assert np.array_equal(np.isinf(ours.log_prob), np.isinf(theirs.log_prob))
        finite = np.isfinite(theirs.log_prob)
        errors.append(np.abs(ours.log_prob[finite] - theirs.log_prob[finite]))
        if k < order:
            ends = np.random.default_rng(0).permutation(len(theirs) + 1)
            assert np.array_equal(ours.first_at(ends), theirs.first[ends])
            assert np.array_equal(ours.backoff_at(rows), ours.backoff[rows])
            np.testing.assert_allclose(ours.backoff, theirs.backoff, atol=0.05)
            assert np.array_equal(ours.backoff == 0, theirs.backoff == 0)
    largest = max(float(of.max(initial=0)) for of in errors)
    assert small.config.largest_error == pytest.approx(largest)
    mean = sum(float(of.sum()) for of in errors) / sum(model.config.rows)
    assert small.config.mean_error == pytest.approx(mean, rel=1e-4, abs=1e-9)
    assert largest < 0.1
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            words_of_range(small.orders, 3, 20), words_of_range(model.orders, 3, 20), strict=True
        )
    )


@pytest.mark.parametrize(("smoothing", "context", "order"), SOME)
def test_a_compact_model_is_asked_like_any_other(
    text: list[int], tokens: np.ndarray, smoothing: str, context: str, order: int
) -> None:
    model = build(text, smoothing, context, order)
    small = compact(model)
    scores, after = small.score(small.start(B), tokens)
    slow, _ = slow_score(small, tokens)
    np.testing.assert_allclose(scores, slow, atol=1e-5, rtol=1e-5)
    expected, expected_after = model.score(model.start(B), tokens)
    with np.errstate(invalid="ignore"):
        differences = np.where(scores == expected, 0, np.abs(scores - expected))
    assert differences.max() < 0.2
    assert np.array_equal(after.rows, expected_after.rows)
    assert np.array_equal(
        small.ngram_length(small.start(B), tokens), model.ngram_length(model.start(B), tokens)
    )
    assert compact(small) is small


def test_a_compact_model_is_its_arrays(text: list[int], tokens: np.ndarray) -> None:
    small = compact(build(text, "modified-kneser-ney", "sentence", 4))
    again = NGramModel.from_arrays(small.settings(), small.arrays())
    assert again.config == small.config
    assert np.array_equal(
        again.score(again.start(B), tokens)[0], small.score(small.start(B), tokens)[0]
    )
    with pytest.raises(ValueError, match=r"orders\.3\.packed is int64"):
        NGramModel.from_arrays(
            small.settings(), small.arrays() | {"orders.3.packed": np.zeros(1, np.int64)}
        )
    with pytest.raises(ValueError, match=r"orders\.\d\.\w+ is"):
        NGramModel.from_arrays(small.settings() | {"compact": False}, small.arrays())


DAMAGES: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "NaN": lambda arrays: arrays["log_probs"].put(7, np.nan),
    "infinity": lambda arrays: arrays["backoffs"].put(7, np.inf),
    "words that are no ids": lambda arrays: arrays["packed"].fill(-1),
    "no places": lambda arrays: arrays["high"].fill(0),
    "too many places": lambda arrays: arrays["high"].fill(-1),
    "other places": lambda arrays: arrays["high"].put(0, arrays["high"][0] ^ 3 << 20),
    "other low bits": lambda arrays: arrays["low"].put(0, -1),
    "other samples": lambda arrays: arrays["samples"].put(1, 2**32 - 1),
    "samples that fall": lambda arrays: arrays["samples"].put(2, 0),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_no_order_holds_is_refused(
    text: list[int], damage: Callable[[dict[str, np.ndarray]], object]
) -> None:
    small = compact(build(text, "modified-kneser-ney", "sentence", 3))
    check_model(small)
    damage(small.orders[1].arrays())
    with pytest.raises(ValueError, match=r"orders\.1: (`\w+`|integers|there are|not every word)"):
        check_model(small)


@pytest.mark.parametrize("unit", [64, 192, 1 << 12])
def test_rows_are_all_in_what_is_stored_of_them(text: list[int], unit: int) -> None:
    """Bits that are not said to be of some rows may be any."""
    noise = np.random.default_rng(0)
    small = compact(build(text, "modified-kneser-ney", "sentence", 4))
    for order in small.orders[1:]:
        assert isinstance(order, CompactOrder)
        is_highest = order.layout.rows_above is None
        for start in range(0, len(order) + 1, unit):
            stop = min(start + unit, len(order))
            other = {
                name: noise.integers(0, 256, array.nbytes, np.uint8).view(array.dtype)
                for name, array in order.arrays().items()
            }
            hidden = CompactOrder(order.layout, other)
            for name, part in hidden.stored_at(start, stop):
                assert 0 <= part.start <= part.stop <= len(other[name])
                other[name][part] = order.arrays()[name][part]
            rows = np.arange(start, stop)
            assert np.array_equal(hidden.words_between(start, stop), order.words[start:stop])
            assert np.array_equal(hidden.words_at(rows), order.words[start:stop])
            assert np.array_equal(hidden.log_prob_at(rows), order.log_prob[start:stop])
            if not is_highest:
                ends = np.arange(start, stop + (stop == len(order)))
                first = hidden.first_between(start, stop)
                assert np.array_equal(first, order.first[start : stop + 1])
                assert np.array_equal(hidden.first_at(ends), order.first[ends])
                assert np.array_equal(hidden.backoff_at(rows), order.backoff[start:stop])
