"""Beam search against enumeration, and a plain one: one source, lists, never stopped early."""

import itertools
import math
from functools import partial
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlm.decoding.beam_search import Hypothesis, beam_search
from seqlm.decoding.decoding_settings import Normalization
from seqlm.decoding.generate import generate
from seqlm.decoding.token_sampling import make_chooser
from seqlm.errors import ModelError, UsageError
from seqlm.models.base import SequenceModel
from seqlm.text.vocabulary import EOS
from tests.decoding.tabular import Attending, Tabular, random_table

Plain = tuple[tuple[int, ...], float, float]  # tokens, log p, score


def score(
    model: SequenceModel,
    start: Any,
    tokens: tuple[int, ...],
    log_prob: float,
    a: float,
    b: float,
    how: str = "simple",
) -> float:
    """Equation 14 of Wu et al. 2016, token by token."""
    length = (5 + len(tokens)) / 6 if how == "gnmt" else max(len(tokens), 1)
    value = log_prob / length**a
    if b == 0 or not tokens:
        return value
    states = [model.advance(start, torch.tensor([tokens[:at]]).long()) for at in range(len(tokens))]
    coverage = torch.cat([model.alignment(state).double() for state in states]).sum(0)  # (S,)
    return value + b * coverage.clamp(max=1).log().sum().item()


def order(finished: list[Plain]) -> list[Plain]:
    return sorted(finished, key=lambda one: (one[0][-1:] == (EOS,), one[2]), reverse=True)


def plain_beam(
    model: SequenceModel,
    start: Any,
    width: int,
    steps: int,
    alpha: float,
    beta: float,
    how: str = "simple",
    threshold: float = math.inf,
) -> list[Plain]:
    alive: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    finished: list[Plain] = []
    for _ in range(steps):
        best = max([one[1] for one in alive] + [one[1] for one in finished], default=0.0)
        alive = [one for one in alive if one[1] >= best - threshold]
        candidates = []
        for tokens, log_prob in alive:
            state = model.advance(start, torch.tensor([tokens]).long())
            for token, more in enumerate(model.log_probs(state)[0].tolist()):
                candidates.append(((*tokens, token), log_prob + more))
        candidates.sort(key=lambda one: -one[1])  # stable: by rank, then by token
        finished += [
            (tokens, log_prob, score(model, start, tokens, log_prob, alpha, beta, how))
            for tokens, log_prob in candidates[:width]
            if tokens[-1] == EOS and log_prob > -math.inf
        ]
        alive = [one for one in candidates if one[0][-1] != EOS and one[1] > -math.inf][:width]
    finished += [(y, p, score(model, start, y, p, alpha, beta, how)) for y, p in alive]
    return order(finished)[:width]


def enumerated(model: Tabular, steps: int, alpha: float) -> list[Plain]:
    """Every sequence that ends within `steps`, or is that long and has not ended."""
    finished = []
    for length in range(1, steps + 1):
        for y in itertools.product(range(len(model.table)), repeat=length):
            if EOS in y[:-1] or (y[-1] != EOS and length < steps):
                continue
            log_prob = model.score(model.start(1), torch.tensor([y]))[0].sum().item()
            if log_prob > -math.inf:
                finished.append((y, log_prob, score(model, model.start(1), y, log_prob, alpha, 0)))
    return order(finished)


def plain(hypotheses: list[Hypothesis]) -> list[Plain]:
    return [(tuple(h.tokens.tolist()), h.log_prob, h.score) for h in hypotheses]


def assert_same(hypotheses: list[Hypothesis], expected: list[Plain]) -> None:
    finished = plain(hypotheses)
    assert [one[0] for one in finished] == [one[0] for one in expected]
    for a, b in zip(finished, expected):
        assert a[1:] == pytest.approx(b[1:], abs=1e-9)


tables = st.builds(
    random_table,
    order=st.sampled_from([2, 3]),
    vocab_size=st.integers(2, 5),
    seed=st.integers(0, 10**6),
    levels=st.sampled_from([None, 2, 3, 6]),
)
alphas = st.sampled_from([0.0, 0.6, 1.0, 3.0])
normalizations = st.sampled_from(get_args(Normalization))


@settings(deadline=None, max_examples=150)
@given(
    tables,
    st.integers(1, 9),
    st.lists(st.integers(0, 5), min_size=1, max_size=4),
    alphas,
    normalizations,
    st.sampled_from([math.inf, 0.0, 0.5, 1.5]),
)
def test_beam_search_equals_a_plain_implementation(
    table: Tensor,
    width: int,
    steps: list[int],
    alpha: float,
    how: Normalization,
    threshold: float,
) -> None:
    """In a batch, each source with its own limit; with ties, zeros and beams wider than V."""
    model = Tabular(table)
    firsts = torch.arange(len(steps))[:, None] % table.shape[0]
    state = model.advance(model.start(len(steps)), firsts)
    limits = torch.tensor(steps)
    finished = beam_search(
        model,
        state,
        width,
        limits,
        EOS,
        length_penalty=alpha,
        normalization=how,
        threshold=threshold,
    )
    for hypotheses, first, limit in zip(finished, firsts, steps, strict=True):
        start = model.advance(model.start(1), first[None])
        assert_same(hypotheses, plain_beam(model, start, width, limit, alpha, 0, how, threshold))


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.2, 2.0]),
    alphas,
    st.integers(1, 5),
    st.sampled_from([math.inf, 1.0]),
)
def test_coverage_counts_real_positions_only(
    seed: int, width: int, beta: float, alpha: float, steps: int, threshold: float
) -> None:
    noise = torch.Generator().manual_seed(seed)
    gaze = torch.randn(4, 3, generator=noise) * 2
    model = Attending(random_table(2, 4, seed), gaze)
    source, lengths = torch.randn(3, 3, generator=noise), torch.tensor([3, 1, 2])
    finished = beam_search(
        model,
        model.read(source, lengths),
        width,
        steps,
        EOS,
        length_penalty=alpha,
        coverage_penalty=beta,
        source_lengths=lengths,
        threshold=threshold,
    )
    for row, hypotheses in enumerate(finished):
        alone = slice(row, row + 1)
        start = model.read(source[alone, : lengths[row]], lengths[alone])
        expected = plain_beam(model, start, width, steps, alpha, beta, threshold=threshold)
        assert_same(hypotheses, expected)
        for tokens, _, _, alignment in hypotheses:
            assert alignment is not None
            for at, behind in enumerate(alignment):
                weights = model.alignment(model.advance(start, tokens[None, :at]))[0]
                torch.testing.assert_close(behind[: lengths[row]], weights)


@settings(deadline=None, max_examples=25)
@given(tables.filter(lambda table: len(table) < 5), st.integers(1, 4), alphas)
def test_a_wide_beam_is_enumeration(table: Tensor, steps: int, alpha: float) -> None:
    model = Tabular(table)
    everything = enumerated(model, steps, alpha)
    width = len(table) ** steps
    [finished] = beam_search(model, model.start(1), width, steps, EOS, length_penalty=alpha)
    assert [one[2] for one in plain(finished)] == pytest.approx([one[2] for one in everything])
    assert {one[0] for one in plain(finished)} == {one[0] for one in everything}


@pytest.mark.parametrize("width", [1, 2, 9])
def test_a_single_nan_is_refused(width: int) -> None:
    table = random_table(2, 5, seed=1)
    table[:, 3] = math.nan
    model = Tabular(table)
    with pytest.raises(ModelError, match="gives NaN"):
        beam_search(model, model.start(1), width, 3, EOS)


@settings(deadline=None, max_examples=60)
@given(tables, st.integers(1, 8))
def test_width_one_is_greedy(table: Tensor, steps: int) -> None:
    model = Tabular(table)
    tokens = torch.stack(
        list(generate(model, model.start(1), make_chooser(temperature=0), steps, end=EOS)), 1
    )
    [[best]] = beam_search(model, model.start(1), 1, steps, EOS)
    assert best.tokens.tolist() == tokens[0].tolist()
    assert best.log_prob == pytest.approx(model.score(model.start(1), tokens)[0].sum().item())


@settings(deadline=None, max_examples=60)
@given(tables, st.integers(2, 6), st.integers(0, 6), alphas, normalizations)
def test_a_smaller_nbest_is_the_head_of_a_larger_one(
    table: Tensor, width: int, steps: int, alpha: float, how: Normalization
) -> None:
    model = Tabular(table)
    search = partial(beam_search, model, model.start(1), width, steps, EOS)
    [all_of_them] = search(length_penalty=alpha, normalization=how)
    [one] = search(length_penalty=alpha, normalization=how, nbest=1)
    assert plain(one) == plain(all_of_them)[:1]


def test_a_finished_source_costs_no_more_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """`</s>` after everything, almost surely: proven after one step, far from the limit."""
    table = torch.full((4, 4), math.log(0.01), dtype=torch.float64)
    table[:, EOS] = math.log(0.97)
    model, calls = Tabular(table), []
    log_probs = model.log_probs

    def counted(state: Tensor) -> Tensor:
        calls.append(len(state))
        return log_probs(state)

    monkeypatch.setattr(model, "log_probs", counted)
    beam_search(model, model.start(3), 4, 1000, EOS, nbest=1)
    assert calls == [3, 3]  # one for the shape, one step


def test_the_coverage_penalty_prefers_attention_on_every_position() -> None:
    table = torch.full((4, 4), -math.inf, dtype=torch.float64)
    table[EOS, 2], table[EOS, 3] = math.log(0.6), math.log(0.4)
    table[2, EOS] = table[3, EOS] = 0.0
    gaze = torch.zeros(4, 2)
    gaze[EOS], gaze[2], gaze[3] = torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    model = Attending(table, gaze)
    start = model.read(torch.zeros(1, 2), torch.tensor([2]))
    [[without, *_]] = beam_search(model, start, 2, 5, EOS)
    [[with_it, *_]] = beam_search(model, start, 2, 5, EOS, coverage_penalty=1.0)
    assert without.tokens.tolist() == [2, EOS]
    assert with_it.tokens.tolist() == [3, EOS]


@pytest.mark.parametrize(
    ("width", "wrong"),
    [(0, {}), (2, {"nbest": 3}), (2, {"length_penalty": -1.0}), (2, {"coverage_penalty": -1.0})],
)
def test_values_out_of_range_are_refused(width: int, wrong: dict[str, Any]) -> None:
    model = Tabular(random_table(2, 3, 0))
    with pytest.raises(UsageError):
        beam_search(model, model.start(1), width, 3, EOS, **wrong)
