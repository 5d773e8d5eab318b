"""Text is generated in the context in which it is scored: lines that begin afresh, or go on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.decoding.next_token import next_tokens
from seqlm.decoding.text_generation import samples, search_continuations
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture, MixtureScorer
from seqlm.models.base import LanguageModel
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.runs.run_config import RunConfig
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED
from tests.contract.models import VOCAB_SIZE, lm, ngram

WORDS = Tokenizer("word", [*RESERVED, b"a", b"b", b"c", b"d"])
NETWORKS = [
    lm("ffnn", width=5, order=3),
    lm("rnn", width=5),
    lm("lstm", width=5),
    lm("gru", width=5),
    lm("transformer", width=8, layers=1, heads=2, context_length=6),
    lm("s4d", width=5, layers=1, state_size=6),
    lm("mamba", width=6, layers=1, state_size=4),
    lm("mamba2", width=6, layers=1, state_size=4, head_width=3),
]
DRAWS = 1500
BOUND = 25.0  # of chi-square with 5 degrees of freedom: it is passed once in 7 000 times


def loaded(model: LanguageModel, context: str) -> LoadedModel:
    config = RunConfig(task="lm", arch="any", context=context, model={})
    return LoadedModel(model, WORDS, config, Path("run"), "")


@pytest.fixture(params=NETWORKS, ids=str)
def network(request: pytest.FixtureRequest) -> LanguageModel:
    model: LanguageModel = request.param.build()
    return model


@pytest.fixture(params=["sentence", "carried", "mixed"])
def mixture(request: pytest.FixtureRequest, network: LanguageModel) -> LoadedMixture:
    """A network in each context, and beside one that carries its state."""
    if request.param != "mixed":
        return LoadedMixture.of([loaded(network, request.param)])
    carried = lm("lstm", width=5).build()
    return LoadedMixture.of([loaded(network, "sentence"), loaded(carried, "carried")], [0.7, 0.3])


def distribution(mixture: LoadedMixture, history: str) -> np.ndarray:
    """(V,) what `eval` says of every token after `history`."""
    before = WORDS.encode_text(history)
    probabilities = []
    for id in range(VOCAB_SIZE):
        scorer = MixtureScorer(mixture)
        scores = scorer(np.array([*before.tolist(), id], np.int32))
        probabilities.append(np.exp(scores.log_probs[-1]))
    return np.array(probabilities)


def chi_square(drawn: Counter[str], expected: np.ndarray) -> float:
    counts = np.array([drawn[type_.decode()] for type_ in WORDS.types])
    total = counts.sum()
    return float(((counts - total * expected) ** 2 / (total * expected)).sum())


@pytest.mark.parametrize("history", ["a b d\n", "a\n\nc c b\n", "a b d\nb"])
def test_the_next_token_is_that_of_eval(mixture: LoadedMixture, history: str) -> None:
    model, expected = mixture.as_language_model(), distribution(mixture, history)
    for token in next_tokens(model, WORDS, history, k=VOCAB_SIZE).tokens:
        id = [type_.decode() for type_ in WORDS.types].index(token.token)
        assert token.probability == pytest.approx(expected[id], abs=1e-5)


def test_the_first_token_of_a_second_line_is_drawn_as_eval_scores_it(
    mixture: LoadedMixture,
) -> None:
    prompt = "a b d\n"
    settings = GenerationSettings(num_samples=DRAWS, max_tokens=1, stop="none", seed=1)
    drawn = Counter(
        text.removeprefix(prompt).strip("\n") or "</s>"
        for text, _ in samples(mixture.as_language_model(), WORDS, [prompt], settings)
    )
    assert sum(drawn.values()) == DRAWS
    assert chi_square(drawn, distribution(mixture, prompt)) < BOUND


def test_lines_drawn_one_after_the_other_begin_afresh(network: LanguageModel) -> None:
    """Rows end their lines at different times; the first word of every line is of one kind."""
    mixture = LoadedMixture.of([loaded(network, "sentence")])
    settings = GenerationSettings(num_samples=100, max_tokens=60, stop="none", seed=1)
    drawn: Counter[str] = Counter()
    for text, _ in samples(mixture.as_language_model(), WORDS, [""], settings):
        lines = text.removesuffix("\n").split("\n")
        drawn.update(line.split(" ")[0] or "</s>" for line in lines[1:])
    expected = distribution(mixture, "a\n")
    assert sum(drawn.values()) > 200
    assert chi_square(drawn, expected) < BOUND


def test_a_beam_begins_a_line_afresh(mixture: LoadedMixture) -> None:
    settings = GenerationSettings(beam=4, nbest=4, max_tokens=5)
    model = mixture.as_language_model()
    ((_, found),) = search_continuations(model, WORDS, ["a b d\n"], settings)
    for text, log_prob, _ in found:
        line = text.removeprefix("a b d\n")
        ids = WORDS.encode_text("a b d\n" + line)
        if len(line.split()) == 5:
            ids = ids[:-1]  # cut at its limit
        scores = MixtureScorer(mixture)(ids).log_probs
        assert log_prob == pytest.approx(float(scores[4:].sum()), abs=1e-4)
    assert EOS == 1


def test_ngrams_that_are_carried_can_begin_afresh() -> None:
    model = ngram("", smoothing="witten-bell", context="carried").build()
    sentence, carried = (
        LoadedMixture.of([loaded(model, context)]) for context in ("sentence", "carried")
    )
    with torch.no_grad():
        fresh = distribution(sentence, "")
    assert distribution(sentence, "a b d\n") == pytest.approx(fresh)
    assert distribution(carried, "a b d\n") != pytest.approx(fresh)
    for token in next_tokens(sentence.as_language_model(), WORDS, "a b d\n", k=9).tokens:
        id = [type_.decode() for type_ in WORDS.types].index(token.token)
        assert token.probability == pytest.approx(fresh[id], abs=1e-6)
