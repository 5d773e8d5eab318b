"""Sentences on lines, with and without tags."""

from __future__ import annotations

import pytest

from seqlm.errors import DataError
from tests.text.labeled.examples import read, sentences, written


def test_a_word_ends_at_its_last_underscore() -> None:
    text = "The_DT snake_case_NN ___: a\u00a0b_X\n\n \nx_Y"
    first, second = sentences("tagging", "word-tag", f"{text}\n", labels_needed=True)
    assert first.tokens == ["The", "snake_case", "__", "a\u00a0b"]
    assert first.columns == {"token": first.tokens, "tag": ["DT", "NN", ":", "X"]}
    assert (second.tokens, second.line) == (["x"], 4)


def test_white_space_between_words_stays() -> None:
    records = read("tagging", "word-tag", " a_b_X\t c_Y  \n\nd_Z\n")
    assert written(records, tag=[["1", "2"], [r"\1"]]) == " a_b_1\t c_2  \n\nd_\\1\n"


def test_sentences_are_written_with_tags() -> None:
    records = read("tagging", "text", "  The frog\t sings\n\n_\n")
    assert [record.tokens for record in records] == [["The", "frog", "sings"], [], ["_"]]
    assert [record.is_blank for record in records] == [False, True, False]
    assert written(records, upos=[["X", "Y", "Z"], ["P"]]) == ("The_X frog_Y sings_Z\n\n__P\n")


@pytest.mark.parametrize("word", ["frog", "_", "frog_", "_NN"])
def test_a_word_without_a_tag_is_refused(word: str) -> None:
    with pytest.raises(DataError) as error:
        read("tagging", "word-tag", f"The_DT\nThe_DT {word}\n")
    assert str(error.value) == f"file, line 2: {word!r} is no word and tag, as The_DT is"
