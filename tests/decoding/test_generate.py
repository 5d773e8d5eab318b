"""The generation loop, on tables whose next token is known."""

import pytest
import torch
from torch import Tensor

from seqlm.decoding.generate import generate
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_sampling import make_chooser
from seqlm.text.vocabulary import EOS
from tests.decoding.tabular import Tabular, random_table

GREEDY = make_chooser(temperature=0)


def cycle(*tokens: int) -> Tabular:
    """After `</s>` comes tokens[0], after that tokens[1], .. and after the last `</s>` again."""
    table = torch.full((6, 6), -torch.inf, dtype=torch.float64)
    for before, after in zip((EOS, *tokens), (*tokens, EOS)):
        table[before, after] = 0
    return Tabular(table)


def test_tokens_come_one_step_at_a_time() -> None:
    model = cycle(2, 3, 4)
    steps = generate(model, model.start(2), GREEDY, 200)
    assert next(steps).tolist() == [2, 2]
    assert next(steps).tolist() == [3, 3]
    rest = [tokens[0].item() for tokens in steps]
    assert len(rest) == 198
    assert rest[:4] == [4, EOS, 2, 3]


def test_a_row_that_ended_yields_end_until_all_rows_have_ended() -> None:
    model = cycle(2, 3, 4, 5)
    state = model.advance(model.start(3), torch.tensor([[4], [2], [5]]))
    tokens = torch.stack(list(generate(model, state, GREEDY, 50, end=EOS)), 1)
    assert tokens.tolist() == [[5, 1, 1, 1], [3, 4, 5, 1], [1, 1, 1, 1]]


def test_forced_tokens_are_taken_and_a_forced_end_is_no_end() -> None:
    model = cycle(2, 3, 4)
    forced = torch.tensor([[3, EOS, 2], [-1, -1, -1], [4, -1, -1]])
    tokens = torch.stack(list(generate(model, model.start(3), GREEDY, 9, forced, EOS)), 1)
    assert tokens.tolist() == [[3, 1, 2, 3, 4, 1], [2, 3, 4, 1, 1, 1], [4, 1, 1, 1, 1, 1]]


def test_forcing_the_rest_of_a_prompt_changes_no_sample() -> None:
    model = Tabular(random_table(3, 9, seed=2))
    prompts, common = [[3, 4], [3, 4, 5, 6], [3, 4, 2]], 2
    forced = torch.tensor([[-1, -1], [5, 6], [2, -1]])
    state = model.advance(model.start(3), torch.tensor([prompt[:common] for prompt in prompts]))
    together = make_chooser(noise=Noise.of(8, range(3), common))
    batch = torch.stack(list(generate(model, state, together, 20, forced)), 1)
    for number, prompt in enumerate(prompts):
        state = model.advance(model.start(1), torch.tensor([prompt]))
        alone = make_chooser(noise=Noise.of(8, [number], len(prompt)))
        tokens = torch.stack(list(generate(model, state, alone, 10)), 1)
        skipped = len(prompt) - common
        assert torch.equal(tokens[0], batch[number, skipped : skipped + 10])


def test_choose_sees_all_tokens_since_the_state() -> None:
    model, seen = cycle(2, 3, 4), []

    def choose(log_probs: Tensor, history: Tensor) -> Tensor:
        seen.append(history.clone())
        return log_probs.argmax(1)

    tokens = torch.stack(list(generate(model, model.start(1), choose, 70)), 1)
    assert [history.shape[1] for history in seen] == list(range(70))
    assert all(torch.equal(history, tokens[:, : history.shape[1]]) for history in seen)


def test_the_model_reads_no_further_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model may be used up to its context length: the last token is not read."""
    model, read = cycle(2, 3), []
    advance = model.advance

    def counted(state: Tensor, tokens: Tensor) -> Tensor:
        read.append(tokens.shape[1])
        return advance(state, tokens)

    monkeypatch.setattr(model, "advance", counted)
    list(generate(model, model.start(1), GREEDY, 5))
    assert sum(read) == 4


def test_nothing_is_recorded_for_gradients_nor_left_in_inference_mode() -> None:
    model = cycle(2, 3)
    for _ in generate(model, model.start(1), GREEDY, 3):
        assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("steps", [0, 1])
def test_few_steps(steps: int) -> None:
    model = cycle(2, 3)
    assert len(list(generate(model, model.start(2), GREEDY, steps))) == steps
