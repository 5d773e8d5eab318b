"""Samples and continuations from Python: texts that begin with their prompts."""

from __future__ import annotations

import pytest
import torch

from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.decoding.text_generation import sample, sample_texts, search_continuations
from seqlm.errors import UsageError
from seqlm.text.vocabulary import EOS
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
    texts = list(sample_texts(model, WORDS, PROMPTS, settings))
    assert len(texts) == 9
    assert all(text.startswith(PROMPTS[number // 3]) for number, text in enumerate(texts))
    together = [""] * 9
    for piece in sample(model, WORDS, PROMPTS, settings, batch_size):
        together[piece.number] += piece.text
    assert together == texts


def test_only_a_stop_at_the_end_of_a_line_makes_texts_end_early(model: Tabular) -> None:
    stopped, going_on = (
        list(sample_texts(model, WORDS, [""], GenerationSettings(max_tokens=30, stop=stop)))
        for stop in ("eos", "none")
    )
    assert all(text.count("\n") == 1 for text in stopped)
    assert max(text.count("\n") for text in going_on) > 1


@pytest.mark.parametrize("normalization", ["simple", "gnmt"])
def test_continuations_are_ranked_by_their_normalized_score(
    model: Tabular, normalization: str
) -> None:
    settings = GenerationSettings(
        beam=4, nbest=3, max_tokens=60, length_penalty=0.7, normalization=normalization
    )
    for prompt, ranked in zip(PROMPTS, search_continuations(model, WORDS, PROMPTS, settings)):
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


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="it must be above 0 and at most 1"):
        GenerationSettings(top_p=1.5)
    with pytest.raises(UsageError, match="nbest 3 needs a beam at least as wide"):
        GenerationSettings(beam=2, nbest=3)
