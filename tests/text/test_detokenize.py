"""Ids to text, one at a time, as `sample` prints it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text.corpus import read_corpus
from seqlm.text.detokenize import Detokenizer
from seqlm.text.reading import Block
from seqlm.text.tokenizer import TOKENIZER_KINDS, Tokenizer
from seqlm.text.vocabulary import RESERVED

WORDS = Tokenizer("word", [*RESERVED, b"a", b"b"])
A, B = 2, 3


def written(writer: Detokenizer, ids: list[int]) -> str:
    return "".join(map(writer.write, ids)) + writer.finish()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "a b\n"),
        ("the", "the a b\n"),
        ("the ", "the a b\n"),
        ("the\t", "the\ta b\n"),
        ("the\u00a0", "the\u00a0 a b\n"),  # part of the word
        ("the end\n", "the end\na b\n"),
    ],
)
def test_words_go_on_from_what_stands_there_with_one_space(before, after):
    assert before + written(Detokenizer(WORDS, before), [A, B]) == after


def test_a_line_ends_where_the_model_ends_it():
    assert written(Detokenizer(WORDS), [A, 1, 1, B]) == "a\n\nb\n"


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@given(text=st.text(st.sampled_from("ab üß文𝄞\n"), max_size=20))
def test_writing_piece_by_piece_is_decoding(kind, text, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "alphabet"
    path.write_text("ab üß文𝄞\n" * 3, encoding="utf-8")
    tokenizer = read_corpus([str(path)], kind=kind).tokenizer
    ids = tokenizer.encode(Block(text.encode(), "text", 1)).tolist()
    whole = tokenizer.decode(ids).decode()
    assert written(Detokenizer(tokenizer), ids) == whole + (
        "\n" if whole.rpartition("\n")[2] else ""
    )


def test_half_a_character_waits_for_its_rest():
    pairs = Tokenizer("bpe", RESERVED + [bytes([byte]) for byte in "ü!".encode()], [])
    writer = Detokenizer(pairs)
    assert [writer.write(id) for id in (2, 3, 2, 4)] == ["", "ü", "", "\ufffd!"]
    assert writer.write(2) + writer.finish() == "\ufffd\n"
