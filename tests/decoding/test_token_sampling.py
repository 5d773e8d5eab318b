"""Each way to choose, for arrays of both kinds, against its definition written out slowly."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_sampling import (
    apply_temperature,
    draw,
    forbid_unk,
    greedy,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    make_chooser,
    top_ids,
)
from seqlm.errors import UsageError
from seqlm.models.arrays import Array
from seqlm.text.vocabulary import UNK
from tests.decoding.both_kinds import on_both


def logarithms(weights: np.ndarray) -> np.ndarray:
    """-inf of 0."""
    with np.errstate(divide="ignore"):
        return np.log(weights)


@st.composite
def distributions(draw: st.DrawFn, most: int = 12) -> np.ndarray:
    """(B, V) log-probabilities with ties and impossible tokens among them."""
    size = draw(st.integers(1, most))
    weights = st.lists(st.integers(0, 5), min_size=size, max_size=size).filter(any)
    counts = np.array(draw(st.lists(weights, min_size=1, max_size=4)), np.float64)
    return logarithms(counts / counts.sum(1, keepdims=True))


def random_log_probs(rows: int, size: int, seed: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(rows, size))
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def ranked(row: np.ndarray) -> list[int]:
    """Ids by falling log-probability, equals by id."""
    return sorted(range(len(row)), key=lambda token: (-row[token], token))


def survivors(row: np.ndarray) -> set[int]:
    return set(np.flatnonzero(np.isfinite(row)).tolist())


@given(distributions(), st.data())
def test_top_ids_are_the_head_of_a_stable_sort(log_probs: np.ndarray, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, log_probs.shape[1]))
    assert on_both(top_ids, log_probs, k).tolist() == [ranked(row)[:k] for row in log_probs]


@given(distributions())
def test_greedy_takes_the_first_of_the_highest(log_probs: np.ndarray) -> None:
    assert on_both(greedy, log_probs).tolist() == [ranked(row)[0] for row in log_probs]


@given(distributions(), st.integers(1, 15))
def test_top_k_keeps_k(log_probs: np.ndarray, k: int) -> None:
    for row, after in zip(log_probs, on_both(keep_top_k, log_probs, k)):
        expected = [token for token in ranked(row)[:k] if np.isfinite(row[token])]
        assert survivors(after) == set(expected)
        assert after[expected].tolist() == row[expected].tolist()


@given(distributions(), st.floats(0.01, 0.99))
def test_the_nucleus_is_the_smallest_set_that_reaches_p(log_probs: np.ndarray, p: float) -> None:
    for row in log_probs:
        nucleus, mass = [], 0.0
        for token in ranked(row):
            assume(abs(mass - p) > 1e-12)  # what is just enough depends on the rounding
            if mass >= p:
                break
            nucleus.append(token)
            mass += math.exp(row[token])
        [after] = on_both(keep_top_p, row[None], p)
        assert survivors(after) == {token for token in nucleus if np.isfinite(row[token])}
        assert survivors(after)


def test_what_is_just_enough_is_enough() -> None:
    log_probs = np.log([[0.5, 0.25, 0.25]])
    for p, expected in (0.5, {0}), (0.51, {0, 1}), (0.75, {0, 1}), (0.76, {0, 1, 2}):
        [after] = on_both(keep_top_p, log_probs, p)
        assert survivors(after) == expected


@pytest.mark.parametrize("p", [0.01, 0.5, 0.9, 0.999])
def test_a_nucleus_too_large_for_the_first_look_is_found(p: float) -> None:
    log_probs = random_log_probs(3, 3000, seed=0)
    log_probs[0, 40:] = -math.inf  # a mass that is never reached
    mass = np.sort(np.exp(log_probs))[:, ::-1].cumsum(1)
    sizes = np.minimum((mass < p).sum(1) + 1, np.isfinite(log_probs).sum(1))
    assert np.isfinite(on_both(keep_top_p, log_probs, p)).sum(1).tolist() == sizes.tolist()


@given(distributions(), st.floats(0, 1))
def test_min_p_is_a_share_of_the_highest(log_probs: np.ndarray, p: float) -> None:
    for row, after in zip(log_probs, on_both(keep_min_p, log_probs, p)):
        share = np.exp(row - row.max())
        assume((abs(share - p) > 1e-12).all())
        assert survivors(after) == survivors(row) & set(np.flatnonzero(share >= p).tolist())


@given(distributions(), st.floats(0.05, 20))
def test_temperature_raises_to_a_power(log_probs: np.ndarray, temperature: float) -> None:
    power = np.exp(log_probs) ** (1 / temperature)
    tempered = np.exp(on_both(apply_temperature, log_probs, temperature))
    np.testing.assert_allclose(tempered, power / power.sum(1, keepdims=True), atol=1e-7)


def test_temperature_near_zero_is_greedy_and_not_nan() -> None:
    log_probs = np.array([[-5.0, -3.0, -math.inf, -4.0]])
    tempered = on_both(apply_temperature, log_probs, 1e-320)
    assert tempered.tolist() == [[-math.inf, 0.0, -math.inf, -math.inf]]


@given(distributions(), st.floats(0, 1, exclude_max=True))
def test_a_draw_is_where_the_cumulative_sum_passes_and_never_impossible(
    log_probs: np.ndarray, uniform: float
) -> None:
    for u in (uniform, 0.0, 1 - 2**-53):
        tokens = on_both(draw, log_probs, np.full(len(log_probs), u))
        for row, token in zip(np.exp(log_probs), tokens.tolist()):
            assert row[token] > 0
            assert row[:token].sum() <= u * row.sum() + 1e-12
            assert row[: token + 1].sum() > u * row.sum() - 1e-12


def test_a_draw_without_a_possible_token_is_a_token_all_the_same() -> None:
    assert on_both(draw, np.full((2, 3), -math.inf), np.array([0.0, 0.9])).tolist() == [2, 2]


def test_unk_is_forbidden_where_there_is_something_else() -> None:
    log_probs = logarithms(np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0, 1, 0]]))
    expected = log_probs.copy()
    expected[0, UNK] = -math.inf
    assert on_both(forbid_unk, log_probs).tolist() == expected.tolist()


@given(
    distributions(),
    st.floats(0.1, 5),
    st.none() | st.integers(1, 12),
    st.none() | st.floats(0.01, 1),
    st.none() | st.floats(0, 1),
)
def test_the_filters_intersect_on_the_tempered_distribution(
    log_probs: np.ndarray, temperature: float, k: int | None, p: float | None, m: float | None
) -> None:
    tempered = apply_temperature(log_probs, temperature)
    noise = Noise.of(0, range(len(log_probs)))
    choose = make_chooser(temperature, top_k=k, top_p=p, min_p=m, noise=noise)
    allowed = np.isfinite(tempered)
    if k is not None:
        allowed &= np.isfinite(keep_top_k(tempered, k))
    if p is not None and p < 1:
        allowed &= np.isfinite(keep_top_p(tempered, p))
    if m is not None:
        allowed &= np.isfinite(keep_min_p(tempered, m))
    # The draw expected: inverse CDF over what all allow.
    weights = np.exp(tempered) * allowed
    for step in range(3):
        tokens = choose(log_probs, np.zeros((len(log_probs), step), np.int64))
        for row, token, u in zip(weights, tokens, noise.uniform(step)):
            passed = row.cumsum() > u * row.sum()
            assert token == passed.argmax() or abs(row.cumsum()[token] - u * row.sum()) < 1e-9


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0},
        {"temperature": 0.7, "top_k": 9},
        {"temperature": 1.5, "top_p": 0.8},
        {"min_p": 0.05, "unk": False},
        {"repetition_penalty": 1.3, "no_repeat_ngram": 2},
    ],
    ids=str,
)
def test_arrays_of_both_kinds_are_chosen_from_alike(settings: dict[str, float]) -> None:
    log_probs = random_log_probs(40, 30, seed=2)
    history = np.random.default_rng(3).integers(30, size=(40, 7))
    prompt = np.array([4, 5])
    noise = Noise.of(4, range(40))

    def choose(log_probs: Array, history: Array, prompt: Array) -> Array:
        chosen = make_chooser(**settings, noise=noise, prompt=prompt)  # type: ignore[arg-type]
        return chosen(log_probs, history)

    assert len(set(on_both(choose, log_probs, history, prompt).tolist())) > 5


def test_frequencies_follow_the_distribution() -> None:
    p = np.array([0.4, 0.0, 0.3, 0.15, 0.1, 0.04, 0.01])
    draws = 20_000
    choose = make_chooser(noise=Noise.of(11, range(draws)))
    tokens = choose(np.tile(logarithms(p), (draws, 1)), np.zeros((draws, 0), np.int64))
    counts = np.bincount(tokens, minlength=len(p))
    assert counts[1] == 0
    possible, expected = p > 0, p * draws
    statistic = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    assert statistic < 25.7  # chi-square, 5 degrees of freedom: p = 1e-4


def test_a_row_draws_the_same_in_any_batch() -> None:
    log_probs = random_log_probs(6, 40, seed=1)
    history = np.zeros((6, 0), np.int64)
    together = make_chooser(top_p=0.9, noise=Noise.of(5, range(6)))(log_probs, history)
    for row in range(6):
        alone = make_chooser(top_p=0.9, noise=Noise.of(5, [row]))
        assert alone(log_probs[row : row + 1], history[:1]) == together[row]


def test_temperature_zero_needs_no_noise() -> None:
    log_probs = torch.tensor([[-2.0, -0.5, -1.0]])
    assert make_chooser(temperature=0)(log_probs, torch.empty(1, 0)).tolist() == [1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": math.inf},
        {"temperature": math.nan},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"min_p": -0.1},
        {"min_p": 1.5},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused_in_one_line(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be") as raised:
        make_chooser(**wrong, noise=Noise.of(0, [0]))  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
