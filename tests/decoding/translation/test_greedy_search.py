"""Greedy search against a loop over one row, and against a beam of width 1."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlm.decoding.beam_search import beam_search
from seqlm.decoding.translation import greedy_search as module
from seqlm.decoding.translation.greedy_search import greedy_search
from seqlm.errors import ModelError
from seqlm.models.base import SequenceModel, State
from seqlm.models.tree import select
from seqlm.text.vocabulary import EOS
from tests.decoding.tabular import Attending, Tabular, random_table


def slowly(model: SequenceModel, state: State, limit: int) -> tuple[list[int], float]:
    """The tokens and the log-probability of the one row of `state`."""
    tokens: list[int] = []
    total = 0.0
    while len(tokens) < limit and tokens[-1:] != [EOS]:
        if tokens:
            state = model.advance(state, torch.tensor([tokens[-1:]]))
        [log_probs] = model.log_probs(state).tolist()
        tokens.append(log_probs.index(max(log_probs)))
        total += max(log_probs)
    return tokens, total


def read_rows(model: Tabular, rows: int, seed: int) -> Tensor:
    """The states of rows that have read different words."""
    torch.manual_seed(seed)
    return model.advance(model.start(rows), torch.randint(len(model.table), (rows, 2)))


cases = given(
    st.integers(2, 6), st.integers(0, 10**6), st.sampled_from([None, 3]), st.integers(1, 9)
)


@pytest.mark.parametrize("fewest_open", [0.0, 0.8, 1.0], ids="drop {}".format)
@settings(deadline=None, max_examples=40)
@cases
def test_it_is_the_loop_over_each_row(
    fewest_open: float, vocab: int, seed: int, levels: int | None, rows: int
) -> None:
    """Whether rows that ended are dropped at once, together or never."""
    model = Tabular(random_table(2, vocab, seed, levels))
    state = read_rows(model, rows, seed)
    limits = torch.randint(1, 12, (rows,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FEWEST_OPEN", fewest_open)
        found = greedy_search(model, state, limits, EOS)
    for row, ([hypothesis], limit) in enumerate(zip(found, limits.tolist(), strict=True)):
        tokens, total = slowly(model, select(state, torch.tensor([row])), limit)
        assert hypothesis.tokens.tolist() == tokens
        assert hypothesis.score == hypothesis.log_prob == pytest.approx(total, abs=1e-12)
        assert hypothesis.alignment is None


@settings(deadline=None, max_examples=40)
@cases
def test_it_is_a_beam_of_one(vocab: int, seed: int, levels: int | None, rows: int) -> None:
    model = Tabular(random_table(2, vocab, seed, levels))
    state, limits = read_rows(model, rows, seed), torch.arange(1, rows + 1)
    searched = beam_search(model, state, 1, limits, EOS)
    for [one], [other] in zip(greedy_search(model, state, limits, EOS), searched, strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        assert one.log_prob == other.log_prob


def test_its_attention_is_that_of_a_beam_of_one() -> None:
    torch.manual_seed(2)
    model = Attending(random_table(2, 6, 4), torch.randn(6, 5, dtype=torch.float64))
    source, lengths = torch.randn(7, 5, dtype=torch.float64), torch.tensor([5, 1, 2, 5, 3, 4, 2])
    state, limits = model.read(source, lengths), torch.arange(1, 8)
    searched = beam_search(model, state, 1, limits, EOS)
    for [one], [other] in zip(greedy_search(model, state, limits, EOS, True), searched):
        assert one.alignment is not None
        torch.testing.assert_close(one.alignment, other.alignment)


def test_a_row_without_a_possible_token_has_no_hypothesis() -> None:
    table = torch.full((4, 4), -math.inf, dtype=torch.float64)
    table[2, EOS] = 0.0
    model = Tabular(table)
    state = model.advance(model.start(2), torch.tensor([[2], [3]]))
    [[possible], impossible] = greedy_search(model, state, torch.tensor([3, 3]), EOS)
    assert possible.tokens.tolist() == [EOS]
    assert impossible == []


def test_what_is_not_a_number_is_refused() -> None:
    model = Tabular(torch.full((4, 4), math.nan))
    with pytest.raises(ModelError, match="gives NaN"):
        greedy_search(model, model.start(1), torch.tensor([3]), EOS)
