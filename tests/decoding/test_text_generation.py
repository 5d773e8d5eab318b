"""Samples and continuations from Python: texts that begin with their prompts. A model of arrays of
numpy gives the samples of the same model of tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.decoding.text_generation import sample, samples, search_continuations
from seqlm.decoding.token_sampling import draw
from seqlm.errors import ModelError, UsageError
from seqlm.models.verbs import Drawing
from seqlm.text.vocabulary import EOS, UNK
from tests.decoding.both_kinds import NumpyTabular
from tests.decoding.tabular import Tabular, random_table
from tests.decoding.translators import WORDS

PROMPTS = ["the old", "", "it"]


@pytest.fixture
def model() -> Tabular:
    table = random_table(2, len(WORDS), seed=3)
    table[:, EOS] = table.amax(1)  # texts are short
    return Tabular(table.log_softmax(1))


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_texts_are_the_pieces_of_each_sample_put_together(model: Tabular, batch_size: int) -> None:
    settings = GenerationSettings(num_samples=3, max_tokens=8, seed=5)
    texts = [each.text for each in samples(model, WORDS, PROMPTS, settings)]
    assert len(texts) == 9
    assert all(text.startswith(PROMPTS[number // 3]) for number, text in enumerate(texts))
    together = [""] * 9
    for piece in sample(model, WORDS, PROMPTS, settings, batch_size):
        assert piece.prompt == PROMPTS[piece.number // 3]
        together[piece.number] += piece.text
    assert together == texts
    assert texts == [each.text for each in samples(NumpyTabular(model), WORDS, PROMPTS, settings)]


def test_only_a_stop_at_the_end_of_a_line_makes_texts_end_early(model: Tabular) -> None:
    stopped, going_on = (
        list(samples(model, WORDS, [""], GenerationSettings(max_tokens=30, stop=stop, seed=1)))
        for stop in ("eos", "none")
    )
    assert all(each.text.count("\n") == 1 for each in stopped)
    assert max(each.text.count("\n") for each in going_on) > 1


class DrawingTabular(NumpyTabular):
    """A table that draws tokens itself, in the way in which all others are drawn."""

    def drawing(self) -> Drawing:
        self.draws = 0

        def draw_after(state: np.ndarray, uniform: np.ndarray) -> np.ndarray:
            self.draws += len(state)
            tokens: np.ndarray = draw(self.log_probs(state), uniform)
            return tokens

        return draw_after


@pytest.mark.parametrize("stop", ["eos", "none"])
def test_a_model_that_draws_itself_gives_the_samples_of_one_that_does_not(
    model: Tabular, stop: str
) -> None:
    settings = GenerationSettings(num_samples=70, max_tokens=8, seed=5, stop=stop)
    drawing = DrawingTabular(model)
    found, expected = (list(samples(each, WORDS, PROMPTS, settings)) for each in (drawing, model))
    assert [each.text for each in found] == [each.text for each in expected]
    assert [each.log_prob for each in found] == pytest.approx([each.log_prob for each in expected])
    tokens = sum(
        len(each.text.removeprefix(PROMPTS[number // 70]).split()) + each.text.count("\n")
        for number, each in enumerate(found)
    )
    assert tokens - 210 < drawing.draws <= tokens  # none after the end
    drawing.draws = 0
    list(samples(drawing, WORDS, PROMPTS, replace(settings, top_k=3)))
    assert drawing.draws == 0


@pytest.mark.parametrize("normalization", ["simple", "gnmt"])
def test_continuations_are_ranked_by_their_normalized_score(
    model: Tabular, normalization: str
) -> None:
    settings = GenerationSettings(
        beam=4, nbest=3, max_tokens=60, length_penalty=0.7, normalization=normalization
    )
    found = list(search_continuations(model, WORDS, PROMPTS, settings))
    assert [prompt for prompt, _ in found] == PROMPTS
    for prompt, ranked in found:
        assert len(ranked) == 3
        scores = [continuation.score for continuation in ranked]
        assert scores == sorted(scores, reverse=True)
        for text, log_prob, score in ranked:
            assert text.startswith(prompt)
            ids = torch.from_numpy(WORDS.encode_text(prompt)).long()
            words = text[len(prompt) :].split()
            tokens = torch.tensor([[*(WORDS.id_of_type[w.encode()] for w in words), EOS]])
            with torch.no_grad():
                state = model.advance(model.start(1), ids[None])
                expected = float(model.score(state, tokens)[0].sum())
            length = tokens.shape[1] if normalization == "simple" else (5 + tokens.shape[1]) / 6
            assert log_prob == pytest.approx(expected)
            assert score == pytest.approx(log_prob / length**0.7)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_a_sample_has_the_log_probability_that_the_model_gives_it(
    model: Tabular, temperature: float
) -> None:
    settings = GenerationSettings(num_samples=5, max_tokens=6, seed=2, temperature=temperature)
    for number, (text, log_prob) in enumerate(samples(model, WORDS, PROMPTS, settings)):
        prompt = PROMPTS[number // 5]
        ended = len(text[len(prompt) :].split()) < 6
        ids = torch.from_numpy(WORDS.encode_text(text if ended else text.removesuffix("\n")))
        read = len(WORDS.encode_text(prompt))
        scores, _ = model.score(model.start(1), ids.long()[None])
        assert log_prob == pytest.approx(float(scores[0, read:].sum()))


def test_without_a_seed_samples_are_new_each_time(model: Tabular) -> None:
    drawn = [[each.text for each in samples(model, WORDS, [""])] for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_unk_is_not_generated_where_it_is_not_wanted(model: Tabular) -> None:
    table = model.table.clone()
    table[:, UNK] = 3
    often = Tabular(table.log_softmax(1))
    for unk in (True, False):
        settings = GenerationSettings(num_samples=20, max_tokens=9, seed=1, unk=unk)
        texts = [each.text for each in samples(often, WORDS, [""], settings)]
        assert any("<unk>" in text for text in texts) == unk
        settings = GenerationSettings(beam=3, nbest=3, max_tokens=9, unk=unk)
        ((_, found),) = search_continuations(often, WORDS, [""], settings)
        assert any("<unk>" in each.text for each in found) == unk
    always = torch.full_like(table, -torch.inf)
    always[:, UNK] = 0
    settings = GenerationSettings(num_samples=2, max_tokens=3, seed=1, unk=False)
    texts = [each.text for each in samples(Tabular(always), WORDS, [""], settings)]
    assert texts == ["<unk> <unk> <unk>\n"] * 2  # there is nothing else


def test_a_model_without_a_possible_token_is_an_error(model: Tabular) -> None:
    nothing = Tabular(torch.full_like(model.table, -torch.inf))
    for each in (nothing, NumpyTabular(nothing), DrawingTabular(nothing)):
        for temperature in (0, 0.5, 1):
            settings = GenerationSettings(seed=1, temperature=temperature)
            with pytest.raises(ModelError, match="gives no token a probability"):
                list(samples(each, WORDS, ["it"], settings))
    with pytest.raises(ModelError, match="gives no token a probability"):
        list(search_continuations(nothing, WORDS, ["it"], GenerationSettings(beam=2)))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="it must be above 0 and at most 1"):
        GenerationSettings(top_p=1.5)
    with pytest.raises(UsageError, match="nbest 3 needs a beam at least as wide"):
        GenerationSettings(beam=2, nbest=3)
