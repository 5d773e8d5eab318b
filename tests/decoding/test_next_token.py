"""The next token: words of several tokens, and what stands between a history and a word."""

from __future__ import annotations

import math
from dataclasses import astuple

import pytest
import torch

from seqlm.decoding.next_token import next_tokens
from seqlm.decoding.prompt import read_ids, unknown_tokens
from seqlm.errors import DataError
from seqlm.models.base import SEGMENT
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED
from tests.decoding.tabular import Tabular, random_table
from tests.decoding.translators import WORDS

CHARACTERS = Tokenizer("char", [*RESERVED, b"a", b"b", b" "])


def test_a_word_of_several_tokens_has_the_product_of_their_probabilities() -> None:
    model = Tabular(random_table(2, 5, seed=4))
    (word,) = next_tokens(model, CHARACTERS, "a ", words=["ba"]).tokens
    state = read_ids(model, torch.tensor([2, 4]))
    expected = float(model.score(state, torch.tensor([[3, 2]]))[0].sum())
    assert word.probability == pytest.approx(math.exp(expected))
    assert word.surprisal == pytest.approx(-expected / math.log(2))
    assert astuple(word)[3:] == (None, None, None, None)
    (with_space,) = next_tokens(model, CHARACTERS, "a", words=[" ba"]).tokens
    assert with_space.probability < word.probability  # the space is one more token


def test_the_end_of_the_line_can_be_asked_for() -> None:
    model = Tabular(random_table(2, len(WORDS), seed=4))
    (end,) = next_tokens(model, WORDS, "it", words=["</s>"]).tokens
    everything = next_tokens(model, WORDS, "it", k=len(WORDS)).tokens
    assert end == everything[end.rank - 1]  # type: ignore[operator]
    assert end.token == "</s>"
    with pytest.raises(DataError, match="the token <s> is reserved"):
        next_tokens(model, WORDS, "it", words=["<s>"])


def test_a_word_that_changes_the_tokens_before_it_is_refused() -> None:
    merged = Tokenizer("bpe", [*RESERVED, b"a", b"b", b"ab"], [["a", "b"]])
    model = Tabular(random_table(2, 5, seed=4))
    assert next_tokens(model, merged, "", words=["ab"]).tokens[0].rank is not None
    with pytest.raises(DataError, match="no probability of its own"):
        next_tokens(model, merged, "b ", words=[""])


def test_a_long_prompt_is_read_in_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    model, read = Tabular(random_table(3, 9, seed=2)), []
    advance = model.advance
    ids = torch.randint(9, (2 * SEGMENT + 7,), generator=torch.Generator().manual_seed(1))

    def counted(state: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        read.append(tokens.shape[1])
        return advance(state, tokens)

    at_once = advance(model.start(1), ids[None])
    monkeypatch.setattr(model, "advance", counted)
    assert torch.equal(read_ids(model, ids), at_once)
    assert read == [SEGMENT, SEGMENT, 7]


def test_unknown_tokens_are_those_that_become_unk() -> None:
    assert unknown_tokens(WORDS, "it zyzzyva  it ü zyzzyva <unk>") == ["zyzzyva", "ü"]
    assert unknown_tokens(WORDS, "") == []
    assert unknown_tokens(CHARACTERS, "abc a") == ["c"]
    assert EOS == 1
