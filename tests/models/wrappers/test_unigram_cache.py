"""The cache against its equation, written out token by token."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqlm.models.base import SequenceModel
from seqlm.models.wrappers import unigram_cache
from seqlm.models.wrappers.unigram_cache import UnigramCache, UnigramCacheConfig, linear_recurrence


def build(vocab_size: int, size: int, decay: float) -> UnigramCache:
    return UnigramCache(UnigramCacheConfig(vocab_size, size, decay)).eval()


def by_the_equation(text: list[int], vocab_size: int, size: int, decay: float) -> list[float]:
    scores = []
    for t, word in enumerate(text):
        window = range(max(0, t - size), t)
        weights = [math.exp(-decay * (t - 1 - i)) for i in window]
        alike = math.fsum(w for w, i in zip(weights, window) if text[i] == word)
        p = alike / math.fsum(weights) if weights else 1 / vocab_size
        scores.append(math.log(p) if p else -math.inf)
    return scores


@given(
    st.lists(st.integers(0, 3), max_size=40),
    st.integers(1, 50),
    st.sampled_from([0.0, 1e-3, 0.3, 5.0]),
    st.integers(1, 12),
)
def test_scores_are_the_equation_however_the_text_is_cut(text, size, decay, chunk):
    model, tokens = build(4, size, decay), torch.tensor([text], dtype=torch.long)
    expected = torch.tensor([by_the_equation(text, 4, size, decay)], dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unigram_cache, "CHUNK", chunk)
        scores, state = model.score(model.start(1), tokens)
    torch.testing.assert_close(scores, expected.view(1, -1), rtol=1e-9, atol=1e-9)
    slow, slow_state = (
        SequenceModel.score(model, model.start(1), tokens) if text else (scores, state)
    )
    torch.testing.assert_close(slow, scores, rtol=1e-9, atol=1e-9)
    assert torch.equal(state.tokens, slow_state.tokens)


def test_a_fast_decay_over_a_long_text_neither_overflows_nor_loses_distant_tokens():
    model = build(50, 400, 1.0)
    tokens = torch.arange(45)[None].repeat(1, 30)  # each type every 45 tokens
    scores, _ = model.score(model.start(1), tokens)
    assert scores[0, 0] == pytest.approx(-math.log(50))
    assert (scores[0, 1:45] == -math.inf).all()
    far = -44 - math.log(sum(math.exp(-k) for k in range(45)))
    torch.testing.assert_close(scores[0, 45:], torch.full((1305,), far).double(), atol=1e-5, rtol=0)


def test_an_empty_cache_is_uniform_and_a_filled_one_knows_only_its_tokens():
    model = build(5, 3, 0.0)
    state = model.start(2)
    torch.testing.assert_close(model.log_probs(state).exp(), torch.full((2, 5), 0.2).double())
    state = model.advance(state, torch.tensor([[4, 4, 0, 4], [1, 2, 3, 2]]))
    p = model.log_probs(state).exp()
    expected = torch.tensor([[1, 0, 0, 0, 2], [0, 0, 2, 1, 0]]).double() / 3
    torch.testing.assert_close(p, expected)


def test_a_large_vocabulary_costs_nothing():
    """(B, T, V) would take 800 GB here."""
    model = build(10**6, 100, 0.008)
    tokens = torch.randint(10**6, (1, 10**5), generator=torch.Generator().manual_seed(1))
    assert model.score(model.start(1), tokens)[0].shape == (1, 10**5)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=40))
def test_the_recurrence_is_the_loop(pairs):
    factor, term = torch.tensor([(0.0, 0.0), *pairs], dtype=torch.float64).T
    expected: list[Tensor] = [term[0]]
    for f, t in zip(factor[1:], term[1:]):
        expected.append(f * expected[-1] + t)
    torch.testing.assert_close(linear_recurrence(factor, term), torch.stack(expected))
