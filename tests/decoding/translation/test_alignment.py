"""Tokens to words: what white space separates, however it was cut."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.decoding.translation.alignment import (
    align_words,
    pieces_of_block,
    pieces_of_ids,
    word_numbers,
)
from seqlm.text.bpe.bpe_learning import learn_bpe
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED

LETTERS = st.text(" abé\t", max_size=12)


def tokenizers() -> list[Tokenizer]:
    text = Block("a bé bb ab abé a b\n".encode(), "text", 1)
    words = [word.encode() for word in ("a", "bé", "bb", "ab")]
    letters = [letter.encode() for letter in " abé"]
    return [
        Tokenizer("word", RESERVED + words),
        Tokenizer("char", RESERVED + letters),
        learn_bpe([text], 262, 1),
    ]


@pytest.mark.parametrize("tokenizer", tokenizers(), ids=lambda one: one.kind)
@given(lines=st.lists(LETTERS, min_size=1, max_size=3))
def test_the_words_of_the_pieces_are_those_of_the_line(
    tokenizer: Tokenizer, lines: list[str]
) -> None:
    block = Block("".join(line + "\n" for line in lines).encode(), "text", 1)
    ids = tokenizer.encode(block)
    pieces = pieces_of_block(tokenizer, block, ids)
    begin = 0
    for line, end in zip(lines, np.flatnonzero(ids == EOS).tolist(), strict=True):
        own = pieces[begin : end + 1]
        begin = end + 1
        text = b"".join(own)
        assert own[-1] == b""
        assert text == (
            b" ".join(line.encode().split()) if tokenizer.kind == "word" else line.encode()
        )
        words = word_numbers(own)
        spelled = [b""] * len(line.encode().split())
        for piece, word in zip(own, words, strict=True):
            if word >= 0:
                spelled[word] += piece.strip()
            else:
                assert not piece.strip()
        assert spelled == line.encode().split()


@pytest.mark.parametrize("tokenizer", tokenizers(), ids=lambda one: one.kind)
def test_pieces_of_ids_are_those_of_the_block_they_encode(tokenizer: Tokenizer) -> None:
    block = Block("a bé bb\n".encode(), "text", 1)
    ids = tokenizer.encode(block)
    pieces = pieces_of_ids(tokenizer, ids.tolist())
    assert pieces == pieces_of_block(tokenizer, block, ids)
    assert b"".join(pieces) + b"\n" == block.data


def test_the_attention_of_a_word_is_that_of_all_its_tokens() -> None:
    source = [b"ha", b"us", b" the", b""]  # two words and the end
    target = [b"the", b" ho", b"use", b""]
    attention = torch.tensor(
        [
            [0.3, 0.3, 0.4, 0.0],  # either piece of 'haus' less than 'the', both more
            [0.1, 0.2, 0.6, 0.1],
            [0.0, 0.1, 0.5, 0.4],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )
    assert align_words(attention, source, target) == [(0, 0), (1, 1)]
    assert align_words(attention.flip(0), source, target) == [(0, 0), (1, 1)]


def test_sides_without_words_have_no_links() -> None:
    assert align_words(torch.ones(2, 1), [b""], [b"a", b""]) == []
    assert align_words(torch.ones(1, 2), [b"a", b""], [b""]) == []
