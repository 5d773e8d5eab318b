"""Ids to text, one at a time, as `sample` prints it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text.corpus import read_corpus
from seqlm.text.detokenize import BackwardDetokenizer, Detokenizer, make_detokenizer
from seqlm.text.reading import Block
from seqlm.text.tokenizer import TOKENIZER_KINDS, Tokenizer
from seqlm.text.vocabulary import RESERVED

WORDS = Tokenizer("word", [*RESERVED, b"a", b"b"])
A, B = 2, 3


def write_all(detokenizer: Detokenizer | BackwardDetokenizer, ids: list[int]) -> str:
    return "".join(map(detokenizer.write, ids)) + detokenizer.finish()


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
def test_words_follow_the_text_before_them_with_one_space(before, after) -> None:
    assert before + write_all(Detokenizer(WORDS, before), [A, B]) == after


def test_a_line_ends_where_the_model_ends_it() -> None:
    assert write_all(Detokenizer(WORDS), [A, 1, 1, B]) == "a\n\nb\n"


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@given(text=st.text(st.sampled_from("ab üß文𝄞\n"), max_size=20))
def test_writing_piece_by_piece_is_decoding(kind, text, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "alphabet"
    path.write_text("ab üß文𝄞\n" * 3, encoding="utf-8")
    tokenizer = read_corpus([str(path)], kind=kind).tokenizer
    ids = tokenizer.encode(Block(text.encode(), "text", 1)).tolist()
    whole = tokenizer.decode(ids).decode()
    last_newline = "\n" if whole.rpartition("\n")[2] else ""
    assert write_all(Detokenizer(tokenizer), ids) == whole + last_newline


def test_half_a_character_waits_for_its_rest() -> None:
    pairs = Tokenizer("bpe", RESERVED + [bytes([byte]) for byte in "ü!".encode()], [])
    detokenizer = Detokenizer(pairs)
    assert [detokenizer.write(id) for id in (2, 3, 2, 4)] == ["", "ü", "", "\ufffd!"]
    assert detokenizer.write(2) + detokenizer.finish() == "\ufffd\n"


# --------------------------------------------------------------------------------------- backward

BACKWARD = WORDS.in_direction("backward")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "b a\n"),
        ("the", "b a the\n"),
        (" the", "b a the\n"),
        ("the end\n", "the end\nb a\n"),
        ("the end\nof it", "the end\nb a of it\n"),
    ],
)
def test_words_that_are_read_backward_precede_the_end_of_their_line(before, after) -> None:
    detokenizer = make_detokenizer(BACKWARD, before)
    assert detokenizer.start() + write_all(detokenizer, [A, B]) == after


def test_a_line_that_is_read_backward_appears_as_a_whole() -> None:
    detokenizer = make_detokenizer(BACKWARD, "the")
    written = [detokenizer.write(id) for id in (A, B, 1, 1, B, A)]
    assert written == ["", "", "b a the\n", "\n", "", ""]
    assert (detokenizer.finish(), detokenizer.finish()) == ("a b\n", "")
    assert make_detokenizer(BACKWARD, "the").finish() == "the\n"


@pytest.mark.parametrize("kind", TOKENIZER_KINDS)
@given(text=st.text(st.sampled_from("ab üß文𝄞\n"), max_size=20))
def test_writing_backward_line_by_line_is_decoding(kind, text, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "alphabet"
    path.write_text("ab üß文𝄞\n" * 3, encoding="utf-8")
    tokenizer = read_corpus([str(path)], kind=kind, direction="backward").tokenizer
    ids = tokenizer.encode_text(text).tolist()
    whole = tokenizer.decode(ids).decode()
    last_newline = "\n" if whole.rpartition("\n")[2] or (ids and ids[-1] != 1) else ""
    assert write_all(make_detokenizer(tokenizer), ids) == whole + last_newline
