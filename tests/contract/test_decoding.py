"""The contract between decoders and every language model."""

import itertools

import pytest
import torch
from torch import Tensor

from seqlm.decoding.beam_search import beam_search
from seqlm.decoding.generate import generate
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_sampling import make_chooser
from seqlm.models.base import LanguageModel
from seqlm.text.vocabulary import EOS
from tests.contract.models import VOCAB_SIZE

PROMPTS = torch.tensor([[2], [3], [EOS], [5]])


def sampled(model: LanguageModel, prompts: Tensor, numbers: list[int]) -> Tensor:
    """(B, 12) sampled tokens after (B, t) prompts."""
    with torch.no_grad():
        state = model.advance(model.start(len(prompts)), prompts)
    choose = make_chooser(temperature=0.9, top_p=0.95, noise=Noise.of(7, numbers, prompts.shape[1]))
    return torch.stack(list(generate(model, state, choose, 12)), 1)


def test_the_batch_changes_no_sample(model: LanguageModel) -> None:
    numbers = [3, 0, 8, 1]
    together = sampled(model, PROMPTS, numbers)
    for row, number in enumerate(numbers):
        assert torch.equal(sampled(model, PROMPTS[row : row + 1], [number])[0], together[row])
    assert len({tuple(sample) for sample in together.tolist()}) > 1


def test_an_impossible_token_is_never_sampled(model: LanguageModel) -> None:
    tokens = sampled(model, PROMPTS, [0, 1, 2, 3])
    with torch.no_grad():
        scores, _ = model.score(model.advance(model.start(4), PROMPTS), tokens)
    assert scores.isfinite().all()


def test_a_beam_of_one_is_greedy(model: LanguageModel) -> None:
    with torch.no_grad():
        state = model.advance(model.start(4), PROMPTS)
    greedy = torch.stack(list(generate(model, state, make_chooser(temperature=0), 8, end=EOS)), 1)
    for row, [hypothesis] in enumerate(beam_search(model, state, 1, 8, EOS)):
        length = len(hypothesis.tokens)
        assert hypothesis.tokens.tolist() == greedy[row, :length].tolist()
        assert (greedy[row, length:] == EOS).all()
        assert length == 8 or hypothesis.tokens[-1] == EOS


def test_a_wide_beam_is_enumeration(model: LanguageModel) -> None:
    steps = 3
    with torch.no_grad():
        log_prob_of = {}
        for length in range(1, steps + 1):
            texts = itertools.product(range(VOCAB_SIZE), repeat=length)
            ys = [y for y in texts if EOS not in y[:-1] and (y[-1] == EOS or length == steps)]
            scores, _ = model.score(model.start(len(ys)), torch.tensor(ys))
            log_prob_of |= dict(zip(ys, scores.double().sum(1).tolist()))
    possible = {y: log_prob for y, log_prob in log_prob_of.items() if log_prob > -torch.inf}
    width = VOCAB_SIZE**steps
    [found] = beam_search(model, model.start(1), width, steps, EOS)
    log_probs = {tuple(hypothesis.tokens.tolist()): hypothesis.log_prob for hypothesis in found}
    assert log_probs == pytest.approx(possible, abs=1e-5)
    order = [(hypothesis.tokens[-1].item() == EOS, hypothesis.score) for hypothesis in found]
    assert order == sorted(order, reverse=True)
