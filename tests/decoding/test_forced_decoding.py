"""Given translations, scored token by token."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.decoding.forced_decoding import score_targets
from seqlm.decoding.sentence_batches import POSITIONS_PER_ROW
from seqlm.decoding.translation_search import translate
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
    assert [(one.source.text, one.target.text) for one in scored] == pairs
    for one in scored:
        line = Block(f"{one.source.text}\n".encode(), "", 1)
        source = torch.tensor([WORDS.encode(line).tolist()])
        with torch.no_grad():
            state = model.start(source, torch.tensor([source.shape[1]]))
            for at, token in enumerate(one.target.tokens):
                log_prob = model.log_probs(state)[0, token].item()
                assert one.log_probs[at] == pytest.approx(log_prob, abs=1e-12)
                behind = model.alignment(state)
                assert behind is not None
                assert one.alignment is not None
                torch.testing.assert_close(one.alignment[at], behind[0])
                state = model.advance(state, torch.tensor([[token]]))
        assert one.target.tokens[-1] == EOS
        assert len(one.log_probs) == one.target.length == len(one.target.pieces)


def test_what_a_search_found_is_scored_as_it_was_found(model: Translator) -> None:
    assert isinstance(model, TranslationNetwork)
    model.output_layer.get_parameter("bias").data[EOS] += 3
    found = [*translate(model, WORDS, WORDS, LINES, TranslationSettings(max_length_ratio=0.5))]
    ended = [each for each in found if each.best.tokens[-1:] == [EOS]]
    scored = score_targets(
        model, WORDS, WORDS, [(each.source.text, each.best.text) for each in ended]
    )
    assert ended
    for each, one in zip(ended, scored, strict=True):
        if UNK not in one.target.tokens:
            assert one.target.tokens == each.best.tokens
            assert sum(one.log_probs) == pytest.approx(each.best.log_prob)


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
