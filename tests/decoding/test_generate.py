"""The generation loop, on tables whose next token is known, for arrays of both kinds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from seqlm.decoding.generate import generate
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_sampling import Chooser, make_chooser
from seqlm.models.arrays import Array, as_like, to_numpy
from seqlm.text.vocabulary import EOS
from tests.decoding.both_kinds import NumpyTabular
from tests.decoding.tabular import Tabular, random_table

GREEDY = make_chooser(temperature=0)


def cycle(*tokens: int) -> Tabular:
    """After `</s>` comes tokens[0], after that tokens[1], .. and after the last `</s>` again."""
    table = torch.full((6, 6), -torch.inf, dtype=torch.float64)
    for before, after in zip((EOS, *tokens), (*tokens, EOS)):
        table[before, after] = 0
    return Tabular(table)


def generated(
    model: Tabular,
    read: Sequence[Sequence[int]],
    choose: Chooser,
    steps: int,
    forced: Sequence[Sequence[int]] | None = None,
    end: int | None = None,
) -> list[list[int]]:
    """The tokens of each row after it has read `read`, which are the same for both kinds."""
    both = []
    for kind in (model, NumpyTabular(model)):
        state = kind.start(len(read))
        tokens = np.array(read, np.int64).reshape(len(read), -1)
        state = kind.advance(state, as_like(tokens, state))
        given = None if forced is None else as_like(np.array(forced), state)
        found = [*generate(kind, state, choose, steps, given, end)]
        both.append(np.stack([to_numpy(tokens) for tokens in found], 1).tolist())
    assert both[0] == both[1]
    return both[0]


def test_tokens_come_one_step_at_a_time() -> None:
    model = cycle(2, 3, 4)
    steps = generate(model, model.start(2), GREEDY, 200)
    assert next(steps).tolist() == [2, 2]
    assert next(steps).tolist() == [3, 3]
    rest = [tokens[0].item() for tokens in steps]
    assert len(rest) == 198
    assert rest[:4] == [4, EOS, 2, 3]
    assert generated(model, [[]], GREEDY, 200) == [[2, 3, *rest]]


def test_a_row_that_ended_yields_end_until_all_rows_have_ended() -> None:
    tokens = generated(cycle(2, 3, 4, 5), [[4], [2], [5]], GREEDY, 50, end=EOS)
    assert tokens == [[5, 1, 1, 1], [3, 4, 5, 1], [1, 1, 1, 1]]


def test_forced_tokens_are_taken_and_a_forced_end_is_no_end() -> None:
    forced = [[3, EOS, 2], [-1, -1, -1], [4, -1, -1]]
    tokens = generated(cycle(2, 3, 4), [[], [], []], GREEDY, 9, forced, EOS)
    assert tokens == [[3, 1, 2, 3, 4, 1], [2, 3, 4, 1, 1, 1], [4, 1, 1, 1, 1, 1]]


def test_forcing_the_rest_of_a_prompt_changes_no_sample() -> None:
    model = Tabular(random_table(3, 9, seed=2))
    prompts, common = [[3, 4], [3, 4, 5, 6], [3, 4, 2]], 2
    forced = [[-1, -1], [5, 6], [2, -1]]
    together = make_chooser(noise=Noise.of(8, range(3), common))
    batch = generated(model, [prompt[:common] for prompt in prompts], together, 20, forced)
    for number, prompt in enumerate(prompts):
        alone = make_chooser(noise=Noise.of(8, [number], len(prompt)))
        [tokens] = generated(model, [prompt], alone, 10)
        skipped = len(prompt) - common
        assert tokens == batch[number][skipped : skipped + 10]


def test_choose_sees_all_tokens_since_the_state() -> None:
    seen: list[list[int]] = []

    def choose(log_probs: Array, history: Array) -> Array:
        seen.append(history[0].tolist())
        return log_probs.argmax(1)

    [tokens] = generated(cycle(2, 3, 4), [[]], choose, 140)
    assert seen == [tokens[:length] for length in range(140)] * 2


def test_the_model_reads_no_further_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model may be used up to its context length: the last token is not read."""
    model, read = cycle(2, 3), []
    advance = model.advance

    def counted(state: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        read.append(tokens.shape[1])
        return advance(state, tokens)

    monkeypatch.setattr(model, "advance", counted)
    list(generate(model, model.start(1), GREEDY, 5))
    assert sum(read) == 4


def test_nothing_is_recorded_for_gradients_nor_left_in_inference_mode() -> None:
    table = torch.zeros(6, 6, requires_grad=True)
    model = cycle(2, 3)
    modes = []

    def choose(log_probs: Array, history: Array) -> Array:
        modes.append(torch.is_inference_mode_enabled())
        assert not (log_probs + table[:1]).requires_grad
        return log_probs.argmax(1)

    for _ in generate(model, model.start(1), choose, 3):
        assert not torch.is_inference_mode_enabled()
    assert modes == [True] * 3


@pytest.mark.parametrize("steps", [0, 1])
def test_few_steps(steps: int) -> None:
    model = cycle(2, 3)
    for kind in (model, NumpyTabular(model)):
        assert len(list(generate(kind, kind.start(2), GREEDY, steps))) == steps
