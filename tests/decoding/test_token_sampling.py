"""Each way to choose, against its definition written out slowly."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_sampling import (
    apply_temperature,
    draw,
    greedy,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    make_chooser,
    top_ids,
)
from seqlm.errors import UsageError


@st.composite
def distributions(draw: st.DrawFn, most: int = 12) -> Tensor:
    """(B, V) log-probabilities with ties and impossible tokens among them."""
    size = draw(st.integers(1, most))
    weights = st.lists(st.integers(0, 5), min_size=size, max_size=size).filter(any)
    counts = torch.tensor(draw(st.lists(weights, min_size=1, max_size=4)), dtype=torch.float64)
    return (counts / counts.sum(1, keepdim=True)).log()


def ranked(row: Tensor) -> list[int]:
    """Ids by falling log-probability, equals by id."""
    return sorted(range(len(row)), key=lambda token: (-row[token].item(), token))


def survivors(row: Tensor) -> set[int]:
    return set(row.isfinite().nonzero()[:, 0].tolist())


@given(distributions(), st.data())
def test_top_ids_are_the_head_of_a_stable_sort(log_probs: Tensor, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, log_probs.shape[1]))
    assert top_ids(log_probs, k).tolist() == [ranked(row)[:k] for row in log_probs]


@given(distributions())
def test_greedy_takes_the_first_of_the_highest(log_probs: Tensor) -> None:
    assert greedy(log_probs).tolist() == [ranked(row)[0] for row in log_probs]


@given(distributions(), st.integers(1, 15))
def test_top_k_keeps_k(log_probs: Tensor, k: int) -> None:
    for row, after in zip(log_probs, keep_top_k(log_probs, k)):
        expected = [token for token in ranked(row)[:k] if row[token].isfinite()]
        assert survivors(after) == set(expected)
        assert torch.equal(after[expected], row[expected])


@given(distributions(), st.floats(0.01, 0.99))
def test_the_nucleus_is_the_smallest_set_that_reaches_p(log_probs: Tensor, p: float) -> None:
    for row, after in zip(log_probs, keep_top_p(log_probs, p)):
        nucleus, mass = [], 0.0
        for token in ranked(row):
            if mass >= p:
                break
            nucleus.append(token)
            mass += row[token].exp().item()
        assert survivors(after) == {token for token in nucleus if row[token].isfinite()}
        assert survivors(after)


@pytest.mark.parametrize("p", [0.01, 0.5, 0.9, 0.999])
def test_a_nucleus_too_large_for_the_first_look_is_found(p: float) -> None:
    log_probs = torch.randn(3, 3000, generator=torch.manual_seed(0)).double().log_softmax(1)
    log_probs[0, 40:] = -math.inf  # a mass that is never reached
    mass = log_probs.exp().sort(dim=1, descending=True).values.cumsum(1)
    sizes = torch.minimum((mass < p).sum(1) + 1, log_probs.isfinite().sum(1))
    assert torch.equal(keep_top_p(log_probs, p).isfinite().sum(1), sizes)


@given(distributions(), st.floats(0, 1))
def test_min_p_is_a_share_of_the_highest(log_probs: Tensor, p: float) -> None:
    for row, after in zip(log_probs, keep_min_p(log_probs, p)):
        share = (row - row.max()).exp()
        assert survivors(after) == survivors(row) & set((share >= p).nonzero()[:, 0].tolist())


@given(distributions(), st.floats(0.05, 20))
def test_temperature_raises_to_a_power(log_probs: Tensor, temperature: float) -> None:
    power = log_probs.exp() ** (1 / temperature)
    expected = power / power.sum(1, keepdim=True)
    torch.testing.assert_close(apply_temperature(log_probs, temperature).exp(), expected)


def test_temperature_near_zero_is_greedy_and_not_nan() -> None:
    log_probs = torch.tensor([[-5.0, -3.0, -math.inf, -4.0]], dtype=torch.float64)
    assert apply_temperature(log_probs, 1e-320).tolist() == [[-math.inf, 0.0, -math.inf, -math.inf]]


@given(distributions(), st.floats(0, 1, exclude_max=True))
def test_a_draw_is_never_impossible(log_probs: Tensor, uniform: float) -> None:
    for u in (uniform, 0.0, 1 - 2**-53):
        tokens = draw(log_probs, torch.full((len(log_probs),), u, dtype=torch.float64))
        assert log_probs.gather(1, tokens[:, None]).isfinite().all()


@given(
    distributions(),
    st.floats(0.1, 5),
    st.none() | st.integers(1, 12),
    st.none() | st.floats(0.01, 1),
    st.none() | st.floats(0, 1),
)
def test_the_filters_intersect_on_the_tempered_distribution(
    log_probs: Tensor, temperature: float, k: int | None, p: float | None, m: float | None
) -> None:
    tempered = apply_temperature(log_probs, temperature)
    noise = Noise.of(0, range(len(log_probs)))
    choose = make_chooser(temperature, top_k=k, top_p=p, min_p=m, noise=noise)
    allowed = tempered.isfinite()
    if k is not None:
        allowed &= keep_top_k(tempered, k).isfinite()
    if p is not None and p < 1:
        allowed &= keep_top_p(tempered, p).isfinite()
    if m is not None:
        allowed &= keep_min_p(tempered, m).isfinite()
    # The draw expected: inverse CDF over what all allow.
    weights = tempered.exp() * allowed
    for step in range(3):
        history = torch.zeros(len(log_probs), step, dtype=torch.long)
        tokens = choose(log_probs, history)
        for row, token, u in zip(weights, tokens, noise.uniform(step)):
            passed = row.cumsum(0) > u * row.sum()
            assert (
                token == passed.nonzero()[0, 0] or abs(row.cumsum(0)[token] - u * row.sum()) < 1e-9
            )


def test_frequencies_follow_the_distribution() -> None:
    p = torch.tensor([0.4, 0.0, 0.3, 0.15, 0.1, 0.04, 0.01], dtype=torch.float64)
    draws = 20_000
    choose = make_chooser(noise=Noise.of(11, range(draws)))
    tokens = choose(p.log().expand(draws, -1), torch.empty(draws, 0, dtype=torch.long))
    counts = tokens.bincount(minlength=len(p)).double()
    assert counts[1] == 0
    possible, expected = p > 0, p * draws
    statistic = ((counts - expected) ** 2 / expected)[possible].sum()
    assert statistic < 25.7  # chi-square, 5 degrees of freedom: p = 1e-4


def test_a_row_draws_the_same_in_any_batch() -> None:
    log_probs = torch.randn(6, 40, generator=torch.manual_seed(1)).log_softmax(1)
    history = torch.empty(6, 0, dtype=torch.long)
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
