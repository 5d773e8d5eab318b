"""Every probability of every smoothing against its formula, and what cannot be smoothed."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqlm.counting import estimate as estimation
from seqlm.counting.estimate import estimate
from seqlm.counting.smoothing import Options, modified_discounts
from seqlm.errors import DataError, UsageError
from seqlm.text.vocabulary import EOS, UNK
from tests.counting.oracle import (
    AddK,
    KneserNey,
    MaximumLikelihood,
    distribution,
    history,
    spell,
)

V = 7
MANY = 1000
FALLBACK = (0.5, 1.0, 1.5)
WORDS = [UNK, *range(2, V)]
CONTEXTS = st.sampled_from(["sentence", "carried"])
LINES = st.lists(st.lists(st.sampled_from(WORDS), max_size=6), min_size=1, max_size=12)
WITHOUT_UNK = st.lists(st.lists(st.integers(2, V - 1), max_size=6), min_size=1, max_size=12)
READ = st.lists(st.integers(0, V - 1), max_size=8)


def stream(lines: list[list[int]]) -> list[int]:
    return [token for line in lines for token in [*line, EOS]]


def array(ids: list[int]) -> np.ndarray:
    return np.array(ids, np.int32)


@pytest.fixture(scope="module")
def zipf() -> list[int]:
    """Text with words as unequal as real ones, so that every order has its own discounts."""
    noise = np.random.default_rng(0)
    ids: list[int] = []
    for _ in range(400):
        drawn = noise.zipf(1.5, noise.integers(0, 12))
        ids += [*(2 + drawn % (MANY - 2)).tolist(), EOS]
    return ids


# -------------------------------------------------------------------------------------- formulas


@settings(deadline=None)
@given(st.one_of(LINES, WITHOUT_UNK), READ, st.integers(1, 6), CONTEXTS)
def test_kneser_ney_is_its_formula(
    lines: list[list[int]], read: list[int], order: int, context: str
) -> None:
    ids = stream(lines)
    model = estimate(array(ids), V, order, context=context, discount_fallback=FALLBACK)
    oracle = KneserNey(ids, V, order, context, FALLBACK)
    h = history(read, order, context)
    expected = [oracle.prob(word, h) for word in range(V)]
    np.testing.assert_allclose(distribution(model, read), expected, atol=1e-6)
    assert sum(expected) == pytest.approx(1)


@pytest.mark.parametrize("context", ["sentence", "carried"])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_kneser_ney_with_its_own_discounts_n_gram_by_n_gram(
    zipf: list[int], context: str, order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimation, "BLOCK", 64)
    model = estimate(array(zipf), MANY, order, context=context)
    oracle = KneserNey(zipf, MANY, order, context)
    tables = [model.order(k) for k in range(1, order + 1)]
    below = [tables[0].first, *(of.first for of in tables[:-1])]
    last = [torch.arange(MANY), *(of.words for of in tables[1:])]
    for of, grams in zip(tables, spell(below, last, MANY), strict=True):
        expected = [math.log(oracle.prob(gram[-1], gram[:-1])) for gram in grams]
        np.testing.assert_allclose(of.log_prob.numpy(), expected, atol=1e-5)


def test_an_unknown_word_that_never_occurred_gets_the_uniform_share(zipf: list[int]) -> None:
    model = estimate(array(zipf), MANY, 2)
    oracle = KneserNey(zipf, MANY, 2, "sentence")
    discount, after = oracle.discounts[1], oracle.continuations[()]
    weight = sum(discount[min(a, 3)] for a in after.values()) / sum(after.values())
    assert model.order(1).log_prob[UNK].item() == pytest.approx(math.log(weight / MANY), abs=1e-5)


@settings(deadline=None)
@given(LINES, READ, st.integers(1, 5), CONTEXTS)
def test_maximum_likelihood_is_relative_frequency(
    lines: list[list[int]], read: list[int], order: int, context: str
) -> None:
    ids = stream(lines)
    model = estimate(array(ids), V, order, "mle", context)
    oracle = MaximumLikelihood(ids, V, order, context)
    h = history(read, order, context)
    expected = [oracle.prob(word, h) for word in range(V)]
    np.testing.assert_allclose(distribution(model, read), expected, atol=1e-6)


@settings(deadline=None)
@example([[]], [0, 0, EOS], 3, "carried", 1.0)
@given(LINES, READ, st.integers(1, 5), CONTEXTS, st.sampled_from([0.01, 1.0, 3.0]))
def test_add_k_is_the_textbook_s(
    lines: list[list[int]], read: list[int], order: int, context: str, k: float
) -> None:
    ids = stream(lines)
    model = estimate(array(ids), V, order, "add-k", context, add_k=k)
    oracle = AddK(ids, V, order, context, k)
    if context == "carried":  # a whole history: the first few words of a text have none
        read = [0] * (order - 1) + read
    h = history(read, order, context)
    expected = [oracle.prob(word, h) for word in range(V)]
    np.testing.assert_allclose(distribution(model, read), expected, atol=1e-6)


# --------------------------------------------------------------------------------- what is no text


def test_discounts_of_a_known_example() -> None:
    counts = torch.tensor([1] * 10 + [2] * 5 + [3] * 3 + [4] * 2 + [9])
    y = 10 / 20
    expected = [0, 1 - 2 * y * 5 / 10, 2 - 3 * y * 3 / 5, 3 - 4 * y * 2 / 3]
    assert modified_discounts(counts, 2, Options(9)).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_an_error_names_the_order_the_count_and_the_remedy(missing: int) -> None:
    counts = torch.tensor([j for j in (1, 1, 1, 2, 2, 3) if j != missing])
    with pytest.raises(DataError, match=f"no 4-gram has the count {missing}") as error:
        modified_discounts(counts, 4, Options(9))
    for remedy in ("--discount-fallback", "--order", "--smoothing add-k"):
        assert remedy in str(error.value)
    assert "\n" not in str(error.value)
    fallback = modified_discounts(counts, 4, Options(9, discount_fallback=FALLBACK))
    assert fallback.tolist() == [0, *FALLBACK]


def test_a_discount_out_of_range_is_an_error() -> None:
    counts = torch.tensor([1, 1, 2, 3, 3, 3, 3, 3])
    with pytest.raises(DataError, match="D2 of the 3-grams would be -"):
        modified_discounts(counts, 3, Options(9))


def test_an_order_longer_than_any_line_names_the_longest_usable() -> None:
    with pytest.raises(DataError, match="5-gram: use --order 4"):
        estimate(array([2, 3, EOS, 4, 5, EOS]), V, 9)
    model = estimate(array([2, 3, EOS, 4, 5, EOS]), V, 9, discount_fallback=FALLBACK)
    assert model.config.rows[4:] == (0, 0, 0, 0, 0)
    assert distribution(model, [2, 3, 4, 5, 2, 3, 4, 5, 2, 3]).sum() == pytest.approx(1)


@pytest.mark.parametrize("ids", [[EOS], [2, EOS], [EOS] * 9, [2] * 9 + [EOS]])
def test_texts_of_next_to_nothing(ids: list[int]) -> None:
    for order in (1, 2, 3):
        with pytest.raises(DataError):
            estimate(array(ids), V, order)
        for smoothing in ("mle", "add-k"):
            model = estimate(array(ids), V, order, smoothing)
            assert distribution(model, []).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "wrong", [{"smoothing": "kneser"}, {"context": "window"}, {"order": 0}], ids=str
)
def test_options_that_mean_nothing(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        estimate(array([2, EOS]), V, **wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("smoothing", ["kneser-ney", "mle", "add-k"])
def test_a_gpu_smooths_alike(zipf: list[int], smoothing: str) -> None:
    ids = array(zipf)
    here = estimate(ids, MANY, 3, smoothing).state_dict()
    there = estimate(ids, MANY, 3, smoothing, device="cuda").state_dict()
    assert here.keys() == there.keys()
    for name, tensor in here.items():
        torch.testing.assert_close(there[name].cpu(), tensor, atol=1e-5, rtol=1e-5)
