"""The next token: words of several tokens, and what stands between a history and a word."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
import torch

from seqlm.decoding.next_token import next_tokens
from seqlm.decoding.prompt import SEGMENT, read_ids, unknown_tokens
from seqlm.errors import DataError, UsageError
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED
from tests.decoding.both_kinds import NumpyTabular
from tests.decoding.tabular import Tabular, random_table
from tests.decoding.translators import WORDS

CHARACTERS = Tokenizer("char", [*RESERVED, b"a", b"b", b" "])


def test_a_word_of_several_tokens_has_the_product_of_their_probabilities() -> None:
    model = Tabular(random_table(2, 5, seed=4))
    (word,) = next_tokens(model, CHARACTERS, "a ", words=["ba"]).tokens
    state = read_ids(model, np.array([2, 4]))
    expected = float(model.score(state, torch.tensor([[3, 2]]))[0].sum())
    assert word.probability == pytest.approx(math.exp(expected))
    assert word.surprisal == pytest.approx(-expected / math.log(2))
    assert astuple(word)[3:] == (None, None, 0, None, None)
    (with_space,) = next_tokens(model, CHARACTERS, "a", words=[" ba"]).tokens
    assert with_space.probability < word.probability  # the space is one more token


def test_the_answer_is_the_same_for_arrays_of_both_kinds() -> None:
    model = Tabular(random_table(3, len(WORDS), seed=4))
    for words in (None, "it </s> zyzzyva"):
        found = next_tokens(model, WORDS, "the old", 5, words)
        assert next_tokens(NumpyTabular(model), WORDS, "the old", 5, words) == found
    letters = Tabular(random_table(2, 5, seed=4))
    for_letters = next_tokens(letters, CHARACTERS, "a", words=["ab", "b"])
    assert next_tokens(NumpyTabular(letters), CHARACTERS, "a", words=["ab", "b"]) == for_letters


def test_the_end_of_the_line_can_be_asked_for() -> None:
    model = Tabular(random_table(2, len(WORDS), seed=4))
    (end,) = next_tokens(model, WORDS, "it", words=["</s>"]).tokens
    everything = next_tokens(model, WORDS, "it", k=len(WORDS)).tokens
    assert end == everything[end.rank - 1]  # type: ignore[operator]
    assert end.token == "</s>"
    with pytest.raises(DataError, match="the token <s> is reserved"):
        next_tokens(model, WORDS, "it", words=["<s>"])


def test_equals_share_the_rank_after_all_that_are_more_probable() -> None:
    row = torch.tensor([0.1, 0.3, 0.1, 0.3, 0.2])
    model = Tabular(row.log().expand(5, 5).contiguous()[None].expand(2, 5, 5).contiguous())
    found = next_tokens(model, CHARACTERS, "a", k=5).tokens
    assert [(each.token, each.rank) for each in found] == [
        ("</s>", 1), ("b", 1), (" ", 3), ("<unk>", 4), ("a", 4),
    ]  # fmt: skip
    assert [each.cumulative for each in found] == pytest.approx([0.3, 0.6, 0.8, 0.9, 1])
    assert [next_tokens(model, CHARACTERS, "a", words=[w]).tokens[0].rank for w in "ab"] == [4, 1]


def test_words_outside_the_vocabulary_are_marked() -> None:
    model = Tabular(random_table(2, len(WORDS), seed=4))
    found = next_tokens(model, WORDS, "it", words="it zyzzyva </s> <unk>").tokens
    assert [(each.token, each.oov) for each in found] == [
        ("it", 0), ("zyzzyva", 1), ("</s>", 0), ("<unk>", 1),
    ]  # fmt: skip
    letters = Tabular(random_table(2, 5, seed=4))
    found = next_tokens(letters, CHARACTERS, "a", words=["ab", "axb", "x"]).tokens
    assert [each.oov for each in found] == [0, 1, 1]
    assert [each.oov for each in next_tokens(model, WORDS, "it", k=len(WORDS)).tokens].count(1) == 1


def test_words_are_one_text_or_a_list_of_them_and_never_letters() -> None:
    model = Tabular(random_table(2, len(WORDS), seed=4))
    as_text = next_tokens(model, WORDS, "it", words=" it \t</s>")
    assert as_text == next_tokens(model, WORDS, "it", words=["it", "</s>"])
    assert [each.token for each in next_tokens(model, WORDS, "", words="it").tokens] == ["it"]
    for nothing in ("", " ", []):
        with pytest.raises(UsageError, match="words has no words"):
            next_tokens(model, WORDS, "it", words=nothing)
    for k in (0, -1):
        with pytest.raises(UsageError, match=f"k is {k}; it must be at least 1"):
            next_tokens(model, WORDS, "it", k=k)
    for word, message in {
        "<s>": "words: the token <s> is reserved",
        "it </s>": "words: the token </s> is reserved",
        "\udcff": r"words: '\\udcff' is invalid UTF-8",
    }.items():
        with pytest.raises(DataError, match=message):
            next_tokens(model, WORDS, "it", words=[word])
    with pytest.raises(DataError, match="the history, line 1: the token <s>"):
        next_tokens(model, WORDS, "<s> it")


def test_a_word_that_changes_the_tokens_before_it_is_refused() -> None:
    merged = Tokenizer("bpe", [*RESERVED, b"a", b"b", b"ab"], [["a", "b"]])
    model = Tabular(random_table(2, 5, seed=4))
    assert next_tokens(model, merged, "", words=["ab"]).tokens[0].rank is not None
    with pytest.raises(DataError, match="no probability of its own"):
        next_tokens(model, merged, "b ", words=[""])


def test_a_long_prompt_is_read_in_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    model, read = Tabular(random_table(3, 9, seed=2)), []
    advance = model.advance
    ids = np.random.default_rng(1).integers(9, size=2 * SEGMENT + 7)

    def counted(state: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        read.append(tokens.shape[1])
        return advance(state, tokens)

    at_once = advance(model.start(1), torch.from_numpy(ids[None]))
    monkeypatch.setattr(model, "advance", counted)
    assert torch.equal(read_ids(model, ids), at_once)
    assert read == [SEGMENT, SEGMENT, 7]
    np.testing.assert_array_equal(read_ids(NumpyTabular(model), ids), at_once)


def test_unknown_tokens_are_those_that_become_unk() -> None:
    assert unknown_tokens(WORDS, "it zyzzyva  it ü zyzzyva <unk>") == ["zyzzyva", "ü"]
    assert unknown_tokens(WORDS, "") == []
    assert unknown_tokens(CHARACTERS, "abc a") == ["c"]
    assert EOS == 1
