"""The contract between decoders and every language model."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from seqlm.decoding.beam_search import beam_search
from seqlm.decoding.generate import generate
from seqlm.decoding.next_token import next_tokens
from seqlm.decoding.sampling_noise import Noise
from seqlm.decoding.token_sampling import make_chooser
from seqlm.models.base import LanguageModel
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED
from tests.contract.models import VOCAB_SIZE

WORDS = Tokenizer("word", [*RESERVED, b"a", b"b", b"c", b"d"])
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


@pytest.mark.parametrize("history", ["", "a", "b a d d c"])
def test_next_tokens_are_the_distribution(model: LanguageModel, history: str) -> None:
    with torch.no_grad():
        state = model.start(1)
        for id in WORDS.encode_text(history).tolist():
            state = model.advance(state, torch.tensor([[id]]))
        expected = model.log_probs(state)[0].double()
        lengths = [model.ngram_length(state, torch.tensor([[id]])) for id in range(VOCAB_SIZE)]
    found = next_tokens(model, WORDS, history, k=VOCAB_SIZE)
    names = [type_.decode() for type_ in WORDS.types]
    ids = [names.index(token.token) for token in found.tokens]
    assert sorted(ids) == list(range(VOCAB_SIZE))
    assert [(token.probability, id) for token, id in zip(found.tokens, ids)] == sorted(
        ((token.probability, id) for token, id in zip(found.tokens, ids)),
        key=lambda pair: (-pair[0], pair[1]),
    )
    so_far = 0.0
    for token, id in zip(found.tokens, ids):
        rank = 1 + int((expected > expected[id]).sum())
        p = math.exp(expected[id])
        so_far = min(so_far + p, 1.0) if model.normalized else so_far + p
        assert token.probability == pytest.approx(p, abs=1e-6)
        assert token.surprisal == (pytest.approx(-math.log2(p), abs=1e-4) if p else math.inf)
        assert (token.rank, token.cumulative) == (rank, pytest.approx(so_far, abs=1e-6))
        assert token.order == (lengths[id].item() if lengths[id] is not None else None)
        if id > EOS:
            assert next_tokens(model, WORDS, history, words=[token.token]).tokens == [token]
    if model.normalized:
        terms = [p * math.log2(p) for p in expected.exp().tolist() if p]
        assert found.entropy == pytest.approx(-sum(terms), abs=1e-6)
    else:
        assert found.entropy is None
