"""Lines that begin afresh, of models whose states grow: rows end their lines at different times."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqlm.models.base import LanguageModel
from seqlm.models.tree import select
from seqlm.models.wrappers.fresh_lines import FreshLines, with_fresh_lines
from seqlm.text.vocabulary import EOS
from tests.contract.models import VOCAB_SIZE, cache, lm, mixture, ngram, sliding_window

PARTS = [
    lm("gru", width=5, layers=2),
    lm("ffnn", width=5, order=3),
    lm("mamba2", width=6, layers=1, state_size=4, head_width=3),
    sliding_window(lm("transformer", width=8, layers=1, heads=2, context_length=5), stride=2),
    sliding_window(lm("transformer", width=8, layers=1, heads=2, context_length=3), stride=3),
    cache("", size=4),
    mixture(ngram("", smoothing="witten-bell"), lm("lstm", width=5)),
]


@pytest.fixture(params=PARTS, ids=str)
def part(request: pytest.FixtureRequest) -> LanguageModel:
    model: LanguageModel = request.param.build()
    return model


def random_tokens(seed: int, rows: int = 5, columns: int = 24) -> Tensor:
    """(B, T) with an end of a line in every third place or so."""
    noise = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCAB_SIZE, (rows, columns), generator=noise)
    ends = torch.rand(rows, columns, generator=noise) < 0.3
    return tokens.masked_fill(ends, EOS)


def line_by_line(model: LanguageModel, row: Tensor) -> Tensor:
    """(T,) the scores of the tokens of `row` (T,), each line from the start."""
    scores, start = [], 0
    for end in [*((row == EOS).nonzero()[:, 0] + 1).tolist(), len(row)]:
        scores.append(model.score(model.start(1), row[None, start:end])[0][0])
        start = end
    return torch.cat(scores)


@torch.no_grad()
def test_every_line_has_the_score_that_it_has_alone(part: LanguageModel) -> None:
    tokens = random_tokens(1)
    scores, _ = FreshLines(part).score(FreshLines(part).start(len(tokens)), tokens)
    for row, expected in zip(tokens, scores):
        torch.testing.assert_close(line_by_line(part, row), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_rows_that_are_selected_and_advanced_keep_their_lines(part: LanguageModel) -> None:
    model, noise = FreshLines(part), torch.Generator().manual_seed(3)
    tokens, read = random_tokens(2), torch.empty(5, 0, dtype=torch.long)
    state, kept = model.start(5), None
    for column in tokens.split(1, 1):
        rows = torch.randint(5, (5,), generator=noise)
        state, read = select(state, rows), read[rows]
        log_probs = model.log_probs(state)
        for row in range(5):
            ends = (read[row] == EOS).nonzero()
            line = read[row, int(ends[-1]) + 1 if len(ends) else 0 :]
            alone = part.log_probs(part.advance(part.start(1), line[None]))[0]
            torch.testing.assert_close(log_probs[row], alone, atol=1e-5, rtol=1e-5)
        if kept is not None:  # a state is a value
            torch.testing.assert_close(model.log_probs(kept[0]), kept[1])
        kept = state, log_probs
        state, read = model.advance(state, column), torch.cat([read, column], 1)


@torch.no_grad()
def test_groups_that_all_rows_have_left_are_dropped() -> None:
    model = FreshLines(PARTS[3].build())
    state = model.advance(model.start(3), torch.tensor([[2, 3], [2, EOS], [4, 5]]))
    assert len(state.states) == 2
    state = model.advance(state, torch.tensor([[EOS], [2], [EOS]]))
    state = model.advance(state, torch.tensor([[EOS], [EOS], [EOS]]))
    state = model.advance(state, torch.tensor([[2], [2], [2]]))
    assert len(state.states) == 1
    recurrent = FreshLines(PARTS[0].build())
    assert len(recurrent.advance(recurrent.start(5), random_tokens(5)).states) == 1


def test_a_model_that_begins_afresh_by_itself_is_left_alone() -> None:
    resetting, carried = ngram("", smoothing="mle").build(), lm("gru", width=5).build()
    assert with_fresh_lines(resetting, "sentence") is resetting
    assert with_fresh_lines(carried, "carried") is carried
    assert isinstance(with_fresh_lines(carried, "sentence"), FreshLines)
