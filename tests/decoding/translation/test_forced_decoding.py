"""Given translations, scored token by token."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.decoding.translation.forced_decoding import score_targets
from seqlm.decoding.translation.sentence_batches import POSITIONS_PER_ROW
from seqlm.decoding.translation.translation_search import translate
from seqlm.errors import DataError
from seqlm.models.base import TranslationNetwork, Translator
from seqlm.text.reading import Block
from seqlm.text.vocabulary import EOS, UNK
from tests.decoding.translators import LINES, WORDS, Copier, Read, random_model


@pytest.fixture(params=["gru", "transformer"])
def model(request: pytest.FixtureRequest) -> Translator:
    return random_model(request.param, len(WORDS), width=8)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_given_targets_are_scored_token_by_token(model: Translator, batch_size: int) -> None:
    pairs = [*zip(LINES, reversed(LINES))]
    scored = [*score_targets(model, WORDS, WORDS, iter(pairs), batch_size, align=True)]
    assert [(scored_pair.source.text, scored_pair.target.text) for scored_pair in scored] == pairs
    for scored_pair in scored:
        line = Block(f"{scored_pair.source.text}\n".encode(), "", 1)
        source = torch.tensor([WORDS.encode(line).tolist()])
        with torch.no_grad():
            state = model.start(source, torch.tensor([source.shape[1]]))
            for at, token in enumerate(scored_pair.target.tokens):
                log_prob = model.log_probs(state)[0, token].item()
                assert scored_pair.log_probs[at] == pytest.approx(log_prob, abs=1e-12)
                attention = model.alignment(state)
                assert attention is not None
                assert scored_pair.alignment is not None
                torch.testing.assert_close(scored_pair.alignment[at], attention[0])
                state = model.advance(state, torch.tensor([[token]]))
        assert scored_pair.target.tokens[-1] == EOS
        assert (
            len(scored_pair.log_probs)
            == scored_pair.target.length
            == len(scored_pair.target.pieces)
        )


def test_a_translation_is_scored_as_by_the_search_that_found_it(model: Translator) -> None:
    assert isinstance(model, TranslationNetwork)
    model.output_layer.get_parameter("bias").data[EOS] += 3
    translated = [*translate(model, WORDS, WORDS, LINES, TranslationSettings(max_length_ratio=0.5))]
    ended = [line for line in translated if line.best.tokens[-1:] == [EOS]]
    scored = score_targets(
        model, WORDS, WORDS, [(line.source.text, line.best.text) for line in ended]
    )
    comparable = [
        (line.best, scored_pair)
        for line, scored_pair in zip(ended, scored, strict=True)
        if UNK not in scored_pair.target.tokens
    ]
    assert comparable
    for best, scored_pair in comparable:
        assert scored_pair.target.tokens == best.tokens
        assert sum(scored_pair.log_probs) == pytest.approx(best.log_prob)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_a_pair_with_a_reserved_word_is_refused_and_named(batch_size: int) -> None:
    model = Copier(len(WORDS))
    pairs = [("it", "it")] * 5
    for pair, side in ((("the </s>", "it"), "source"), (("it", "<s>"), "target")):
        with pytest.raises(DataError, match=f"the {side}, line 6: the token </?s>"):
            list(score_targets(model, WORDS, WORDS, [*pairs, pair], batch_size))


def test_long_targets_share_a_batch_with_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = Copier(len(WORDS)), []
    start = model.start

    def seen(source: Tensor, lengths: Tensor) -> Read:
        rows.append(len(source))
        return start(source, lengths)

    monkeypatch.setattr(model, "start", seen)
    pairs = [("it", "the")] * 4 + [("it", "the " * (2 * POSITIONS_PER_ROW - 1))] * 4
    list(score_targets(model, WORDS, WORDS, pairs, batch_size=4))
    assert rows == [4, 2, 2]
