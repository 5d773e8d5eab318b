"""What is read of a word, against a slow way with one word and no tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text.labeled.label_vocabulary import (
    BEGIN,
    END,
    PADDING,
    UNKNOWN,
    LabelColumn,
    LabelVocabulary,
)
from seqlm.text.labeled.word_forms import (
    CASING_TYPES,
    MOST_CHARACTERS,
    FormReader,
    affixes_of,
    casing,
    word_ids,
)
from seqlm.text.normalization import Normalizer
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED, UNK

CHARACTERS = ("e", "é", "T", "1", " ")
PREFIXES, SUFFIXES = [("t", "1"), ("th", "é")], [("e", "t"), ("he",)]
WORDS = ["the", "é", "teh", "1e", "t\u2028e"]
VOCABULARY = LabelVocabulary(
    "tagging",
    (LabelColumn("tag", ("X",)),),
    characters=CHARACTERS,
    affixes=(*PREFIXES, *SUFFIXES),
)
FORMS = st.lists(st.text("tTheEé1 .", max_size=5) | st.text(max_size=40), max_size=8)


def tokenizer(steps: str | None = None) -> Tokenizer:
    types = [word.encode() for word in WORDS]
    return Tokenizer("word", RESERVED + types, normalizer=Normalizer.parse(steps))


def slow_row(form: str, lower: bool) -> tuple[int, list[int], list[int]]:
    """The id of the word, the ids of the characters, and those of the affixes."""
    normal = form.lower() if lower else form
    word = 2 + WORDS.index(normal) if normal in WORDS else UNK
    kept = form if len(form) <= 32 else form[:16] + form[-16:]
    spelling = [BEGIN]
    for character in kept:
        known = character in CHARACTERS
        spelling.append(4 + CHARACTERS.index(character) if known else UNKNOWN)
    affixes = []
    for kinds, part in ((PREFIXES, lambda n: form[:n]), (SUFFIXES, lambda n: form[-n:])):
        for n, known_ones in enumerate(kinds, 1):
            affix = part(n)
            affixes.append(1 + known_ones.index(affix) if affix in known_ones else 0)
    return (word if form else EOS), [*spelling, END], affixes


@pytest.mark.parametrize("lower", [False, True])
@given(tokens=FORMS)
def test_the_table_is_what_each_word_alone_gives(lower: bool, tokens: list[str]) -> None:
    tokens = [token for token in tokens if token.lower() == token.casefold()]  # ß, İ, ..
    reader = FormReader(tokenizer("lower" if lower else None), VOCABULARY)
    row_of, table = reader.read(tokens)
    assert len(table.words) == len({*tokens})
    for token, row in zip(tokens, row_of, strict=True):
        word, spelling, affixes = slow_row(token, lower)
        assert table.words[row] == word
        assert table.spelled[row] == len(spelling)
        assert table.characters[row, : len(spelling)].tolist() == spelling
        assert (table.characters[row, len(spelling) :] == PADDING).all()
        assert table.affixes[row].tolist() == affixes
        assert table.casing[row] == casing(token)
    longest = max([len(slow_row(token, lower)[1]) for token in tokens], default=1)
    assert table.characters.shape == (len({*tokens}), longest)
    assert {array.dtype for array in table} == {np.dtype(np.int64)}


def test_of_a_long_word_both_ends_are_read() -> None:
    reader = FormReader(tokenizer(), VOCABULARY)
    for length in (MOST_CHARACTERS - 1, MOST_CHARACTERS, MOST_CHARACTERS + 1, 10_000):
        form = "T" + "x" * (length - 2) + "e"
        spelling = reader.spell(form)
        assert len(spelling) == min(length, MOST_CHARACTERS) + 2
        assert spelling[:2] == [BEGIN, 4 + CHARACTERS.index("T")]
        assert spelling[-2:] == [4 + CHARACTERS.index("e"), END]


def test_without_affixes_there_are_none() -> None:
    reader = FormReader(tokenizer(), LabelVocabulary("tagging", (LabelColumn("tag", ("X",)),)))
    assert reader.read(["the", "cat"])[1].affixes.shape == (2, 0)
    assert reader.read([])[1].affixes.shape == (0, 0)


def test_a_short_word_is_its_own_affix() -> None:
    assert affixes_of("abc", 4) == ["a", "ab", "abc", "abc", "c", "bc", "abc", "abc"]
    assert affixes_of("", 2) == ["", "", "", ""]


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        *((form, 0) for form in ("the", "o'clock", "über-groß", "x.")),
        *((form, 1) for form in ("The", "I", "Ärger")),
        *((form, 2) for form in ("NATO", "U.S.", "ÄÖ", "O.")),
        *((form, 3) for form in ("iPhone", "McDonald", "-The", "日本", "'Tis")),
        *((form, 4) for form in ("1987", "10,000", "٣", "3.14", "²")),
        *((form, 5) for form in ("2nd", "B2B", "COVID-19")),
        *((form, 6) for form in (".", "--", "€", "", "\u0301")),
    ],
)
def test_casing(form: str, kind: int) -> None:
    assert casing(form) == kind


@given(st.text(max_size=6))
def test_every_casing_has_an_embedding(form: str) -> None:
    assert 0 <= casing(form) < CASING_TYPES


def test_words_are_looked_up_in_normal_form_and_whole() -> None:
    plain, lower = tokenizer(), tokenizer("lower")
    forms = ["The", "the", "the cat", "", "<unk>", "</s>", "dog", "\ud800"]
    assert word_ids(plain, forms).tolist() == [UNK, 2, UNK, EOS, UNK, EOS, UNK, UNK]
    assert word_ids(lower, forms).tolist() == [2, 2, UNK, EOS, UNK, EOS, UNK, UNK]
