"""What is done against repetition, by its definitions in plain Python, token by token, for arrays
of both kinds."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqlm.decoding.beam_search import beam_search
from seqlm.decoding.generate import generate
from seqlm.decoding.repetition import forbid_repeats, penalize_tokens, repetition_adjustment
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_sampling import make_chooser
from seqlm.errors import UsageError
from seqlm.models.arrays import Array
from seqlm.text.vocabulary import EOS
from tests.decoding.both_kinds import on_both
from tests.decoding.tabular import Tabular, random_table

V = 4


def forbidden(text: list[int], n: int) -> set[int]:
    """The tokens that would make the last n of `text` something it has held already."""
    seen = {tuple(text[at : at + n]) for at in range(len(text) - n + 1)}
    return {v for v in range(V) if tuple([*text, v][-n:]) in seen and len(text) + 1 >= n}


def adjusted(row: Array, text: list[int], penalty: float, n: int | None) -> list[float]:
    """One row of log-probabilities after `text`."""
    values = [value * penalty if v in text else value for v, value in enumerate(row.tolist())]
    if n is not None:
        left = [-math.inf if v in forbidden(text, n) else value for v, value in enumerate(values)]
        values = left if max(left) > -math.inf else values
    return values


texts = st.lists(st.integers(0, V - 1), max_size=12)
ngrams = st.none() | st.integers(1, 4)
penalties = st.sampled_from([1.0, 1.2, 3.0])


@st.composite
def batches(draw: st.DrawFn) -> list[list[int]]:
    """Texts of one length."""
    length = draw(st.integers(0, 12))
    text = st.lists(st.integers(0, V - 1), min_size=length, max_size=length)
    return draw(st.lists(text, min_size=1, max_size=3))


@given(batches(), texts, penalties, ngrams, st.integers(0, 9))
def test_the_adjustment_equals_its_definition(
    history: list[list[int]], prompt: list[int], penalty: float, n: int | None, seed: int
) -> None:
    """With ties and impossible tokens among the probabilities, a prompt and a history."""
    log_probs = random_table(2, V, seed, levels=3)[: len(history)].numpy()

    def adjust(log_probs: Array, history: Array, prompt: Array) -> Array:
        return repetition_adjustment(penalty, n, prompt)(log_probs, history)

    generated = np.array(history, np.int64).reshape(len(history), -1)
    found = on_both(adjust, log_probs, generated, np.array(prompt, np.int64))
    for row, text, after in zip(log_probs, history, found, strict=True):
        assert after.tolist() == pytest.approx(adjusted(row, prompt + text, penalty, n))


def test_a_penalty_never_makes_a_token_more_probable() -> None:
    log_probs = torch.randn(3, 9, generator=torch.manual_seed(1)).log_softmax(1).numpy()
    after = on_both(penalize_tokens, log_probs, np.array([[2, 2, 5]] * 3), 1.3)
    assert (after[:, [2, 5]] < log_probs[:, [2, 5]]).all()
    others = [0, 1, 3, 4, 6, 7, 8]
    assert (after[:, others] == log_probs[:, others]).all()
    most = on_both(penalize_tokens, log_probs, np.array([[2], [5], [0]]), 1e308)
    assert np.isneginf(most[[0, 1, 2], [2, 5, 0]]).all()


def test_a_row_without_remaining_tokens_is_not_changed() -> None:
    log_probs = torch.tensor([[0.5, 0.5, 0.0], [0.4, 0.3, 0.3]]).log().numpy()
    after = on_both(forbid_repeats, log_probs, np.array([[0, 1], [0, 1]]), 1)
    assert after[0].tolist() == log_probs[0].tolist()
    assert np.isfinite(after[1]).tolist() == [False, False, True]


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize("n", [2, 3])
def test_no_ngram_is_generated_twice(temperature: float, n: int) -> None:
    model = Tabular(random_table(2, 12, seed=3))
    prompt = torch.tensor([4, 7, 4])
    state = model.advance(model.start(5), prompt.expand(5, -1))
    choose = make_chooser(
        temperature, no_repeat_ngram=n, noise=Noise.of(1, range(5)), prompt=prompt
    )
    tokens = torch.stack(list(generate(model, state, choose, 40)), 1)
    for row in tokens.tolist():
        text = [*prompt.tolist(), *row]
        assert (
            len({tuple(text[at : at + n]) for at in range(len(text) - n + 1)}) == len(text) - n + 1
        )


def test_a_penalty_spreads_greedy_text_out() -> None:
    model = Tabular(random_table(2, 12, seed=3))
    distinct = [
        torch.stack(list(generate(model, model.start(1), choose, 30)), 1).unique().numel()
        for choose in (make_chooser(0, repetition_penalty=penalty) for penalty in (1.0, 1.5, 10.0))
    ]
    assert distinct[0] < distinct[1] < distinct[2]


# ------------------------------------------------------------------------------------------- beams


Plain = tuple[tuple[int, ...], float, float]  # tokens, log p, q


def plain_beam(
    model: Tabular,
    prompt: list[int],
    width: int,
    steps: int,
    adjust: Callable[[Tensor, list[int]], list[float]],
) -> list[Plain]:
    """Prefixes go by q, and log p is what the model says."""
    alive: list[Plain] = [((), 0.0, 0.0)]
    found: list[Plain] = []
    for _ in range(steps):
        candidates = []
        for tokens, log_prob, q in alive:
            text = [*prompt, *tokens]
            row = model.log_probs(model.advance(model.start(1), torch.tensor([text]).long()))[0]
            weights = adjust(row, text)
            for v, (more, weight) in enumerate(zip(row.tolist(), weights, strict=True)):
                candidates.append(((*tokens, v), log_prob + more, q + weight))
        candidates = sorted(candidates, key=lambda one: -one[2])
        found += [one for one in candidates[:width] if one[0][-1] == EOS and one[2] > -math.inf]
        alive = [one for one in candidates if one[0][-1] != EOS and one[2] > -math.inf][:width]
    found += alive
    return sorted(found, key=lambda one: (one[0][-1:] == (EOS,), one[2]), reverse=True)[:width]


@given(texts, penalties, ngrams, st.integers(1, 4), st.integers(0, 10**6))
def test_a_beam_searches_the_adjusted_log_probs(
    prompt: list[int], penalty: float, n: int | None, width: int, seed: int
) -> None:
    model = Tabular(random_table(2, V, seed))
    ids = torch.tensor(prompt, dtype=torch.long)
    state = model.advance(model.start(1), ids[None])
    [found] = beam_search(
        model, state, width, 6, EOS, adjust=repetition_adjustment(penalty, n, ids)
    )
    expected = plain_beam(model, prompt, width, 6, partial(adjusted, penalty=penalty, n=n))
    assert [tuple(one.tokens.tolist()) for one in found] == [tokens for tokens, _, _ in expected]
    for one, (_, log_prob, q) in zip(found, expected, strict=True):
        assert (one.log_prob, one.score) == pytest.approx((log_prob, q))


@given(penalties, ngrams, st.integers(0, 10**6))
def test_a_beam_of_one_is_still_greedy(penalty: float, n: int | None, seed: int) -> None:
    model = Tabular(random_table(2, V, seed))
    choose = make_chooser(0, repetition_penalty=penalty, no_repeat_ngram=n)
    greedy = torch.stack(list(generate(model, model.start(1), choose, 9, end=EOS)), 1)
    [[best]] = beam_search(
        model, model.start(1), 1, 9, EOS, adjust=repetition_adjustment(penalty, n)
    )
    assert best.tokens.tolist() == greedy[0].tolist()


@pytest.mark.parametrize("wrong", [(0.9, None), (math.inf, None), (math.nan, None), (1.0, 0)])
def test_values_out_of_range_are_refused_in_one_line(wrong: tuple[float, int | None]) -> None:
    with pytest.raises(UsageError, match="must be at least 1") as raised:
        repetition_adjustment(*wrong)
    assert "\n" not in str(raised.value)
