"""BPE-dropout against the algorithm of the paper, word by word, and against the library's BPE."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text.bpe.bpe_dropout import BPEDropout
from seqlm.text.bpe.bpe_learning import learn_bpe
from seqlm.text.normalization import Normalizer
from seqlm.text.reading import Block
from seqlm.text.tokenizer import Tokenizer, from_printable

LINES = [
    "der kleine Hund läuft über die Wiese",
    "",
    "  zwei Hunde laufen, laufen!",
    "Hundehütten und Wiesen",
    "a",
    "der kleine kleine Hund",
]


def blocks(lines: list[str]) -> list[Block]:
    """Two blocks of whole lines."""
    parts = lines[:2], lines[2:]
    return [Block("".join(f"{line}\n" for line in part).encode(), "lines", 1) for part in parts]


TOKENIZER = learn_bpe(blocks(LINES * 3), 330, 1)


def by_loops(tokenizer: Tokenizer, words: list[bytes], p: float, seed: int) -> list[list[bytes]]:
    """Algorithm 1 of the paper for each word. The draws are those of one step of all words after
    those of the step before."""
    rng = np.random.default_rng(seed)
    assert tokenizer.merges is not None
    rank = {tuple(map(from_printable, pair)): n for n, pair in enumerate(tokenizer.merges)}
    tokens = [[word[i : i + 1] for i in range(len(word))] for word in words]
    is_open = [len(word) > 1 for word in words]
    while any(is_open):
        applying = [
            [(rank[pair], place) for place, pair in enumerate(pairwise(word)) if pair in rank]
            if is_open[index]
            else []
            for index, word in enumerate(tokens)
        ]
        draws = iter(rng.random(sum(map(len, applying))))
        for index, merges in enumerate(applying):
            kept = [merge for merge in merges if next(draws) >= p]
            is_open[index] = bool(kept)
            if kept:
                _, place = min(kept)
                tokens[index][place : place + 2] = [b"".join(tokens[index][place : place + 2])]
    return tokens


def words_of(lines: list[str]) -> list[bytes]:
    """The words of the lines and the newlines, as byte-level BPE cuts simple text: a word may begin
    with a space, and punctuation is a word of its own."""
    cut = re.compile(r" ?\w+| ?[^\w\s]+|\s+(?!\S)|\s+")
    return [part for line in lines for part in [*map(str.encode, cut.findall(line)), b"\n"]]


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_tokens_are_those_of_the_paper(p) -> None:
    dropout = BPEDropout(TOKENIZER, blocks(LINES), p)
    for seed in range(5):
        ids = dropout.sample(100, np.random.default_rng(seed))
        expected = by_loops(TOKENIZER, words_of(LINES), p, seed)
        types = [b"\n" if id == 1 else TOKENIZER.types[id] for id in ids]
        assert types == [token for word in expected for token in word]


@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])),
                   min_size=2, max_size=5),
    p=st.sampled_from([0.0, 0.3, 1.0]),
)  # fmt: skip
def test_any_text_is_kept_and_without_dropout_these_are_the_usual_ids(lines, p) -> None:
    text = blocks(lines)
    ids = BPEDropout(TOKENIZER, text, p).sample(10**6, np.random.default_rng(1))
    assert TOKENIZER.decode(ids) == b"".join(block.data for block in text)
    if p == 0:
        assert ids.tolist() == [id for block in text for id in TOKENIZER.encode(block)]
    if p == 1:
        assert len(ids) == sum(len(block.data) for block in text)


def test_a_block_may_end_within_a_line() -> None:
    data = "".join(f"{line}\n" for line in LINES).encode()
    text = [Block(part, "lines", 1) for part in (data[:9], data[9:40], data[40:])]
    dropout = BPEDropout(TOKENIZER, text, 0.0)
    ids = dropout.sample(100, np.random.default_rng(1))
    assert ids.tolist() == [id for block in text for id in TOKENIZER.encode_part(block)]
    dropout.p = 0.5
    assert TOKENIZER.decode(dropout.sample(100, np.random.default_rng(1))) == data


def test_equal_seeds_give_equal_ids_and_others_do_not() -> None:
    dropout = BPEDropout(TOKENIZER, blocks(LINES), 0.3)
    one, same, other = (dropout.sample(100, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()


def test_a_line_that_becomes_too_long_keeps_its_usual_tokens() -> None:
    dropout = BPEDropout(TOKENIZER, blocks(LINES), 1.0)
    lines = np.split(
        ids := dropout.sample(8, np.random.default_rng(1)), np.flatnonzero(ids == 1) + 1
    )
    usual = [TOKENIZER.encode(Block(f"{line}\n".encode(), "", 1)).tolist() for line in LINES]
    for line, ids, tokens in zip(LINES, lines, usual):
        length = len(line.encode()) + 1
        assert len(ids) == (length if length <= 8 else len(tokens))
        assert length <= 8 or ids.tolist() == tokens


def test_it_reads_text_in_normal_form() -> None:
    lower = Tokenizer("bpe", TOKENIZER.types, TOKENIZER.merges, Normalizer.parse("lower"))
    dropout = BPEDropout(lower, blocks(LINES), 0.3)
    ids = dropout.sample(100, np.random.default_rng(1))
    assert lower.decode(ids).decode() == "".join(f"{line.lower()}\n" for line in LINES)


def test_a_vocabulary_without_merges_is_one_of_bytes() -> None:
    byte_types = [type_ for type_ in TOKENIZER.types if len(type_) < 2]
    tokenizer = Tokenizer("bpe", [*TOKENIZER.types[:2], *byte_types], [])
    ids = BPEDropout(tokenizer, blocks(LINES), 0.5).sample(100, np.random.default_rng(1))
    assert len(ids) == sum(len(line.encode()) + 1 for line in LINES)
