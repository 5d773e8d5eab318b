"""What a labeler reads of a word besides its id: characters, prefixes and suffixes, and casing.

A *form* is the spelling of a word as it stands in the text. A table has one row for each form:

    word         id in the vocabulary, of the form in normal form; `<unk>` outside it
    characters   ids of ^, the characters, and $; of a long form the first and the last ones
    affixes      ids of its first 1, 2, … characters, and of its last 1, 2, …; 0 for unknown ones
    casing       how it is capitalized, and whether it has digits

U forms · C characters of the longest · A affixes
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from seqlm.text.labeled.label_vocabulary import (
    BEGIN,
    END,
    PADDING,
    RESERVED_CHARACTERS,
    UNKNOWN,
    LabelVocabulary,
)
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, UNK

MOST_CHARACTERS = 32
"""Characters of a form that are read: of a longer one the first half and the last."""


class FormTable(NamedTuple):
    """One row for each form."""

    words: np.ndarray  # (U,) int64
    characters: np.ndarray  # (U, C) int64, PADDING after the last
    spelled: np.ndarray  # (U,) int64, the number of characters
    affixes: np.ndarray  # (U, A) int64
    casing: np.ndarray  # (U,) int64


class FormReader:
    """Makes the table of the forms in a text."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: LabelVocabulary) -> None:
        self.tokenizer = tokenizer
        self.character_ids = {
            character: id for id, character in enumerate(vocabulary.characters, RESERVED_CHARACTERS)
        }
        self.affix_ids = [
            {affix: id for id, affix in enumerate(affixes, 1)} for affixes in vocabulary.affixes
        ]

    def read(self, tokens: Iterable[str]) -> tuple[np.ndarray, FormTable]:
        """(N,) int64 the row of each of N tokens, and the table of their forms."""
        row_of: dict[str, int] = {}
        rows = [row_of.setdefault(token, len(row_of)) for token in tokens]
        return np.array(rows, np.int64), self.table(list(row_of))

    def table(self, forms: Sequence[str]) -> FormTable:
        """The table of different forms."""
        spellings = [self.spell(form) for form in forms]
        spelled = np.array([len(spelling) for spelling in spellings], np.int64)
        characters = np.full((len(forms), int(spelled.max(initial=1))), PADDING, np.int64)
        characters[np.arange(characters.shape[1]) < spelled[:, None]] = np.fromiter(
            chain.from_iterable(spellings), np.int64
        )
        affixes = np.array([self.affixes(form) for form in forms], np.int64)
        return FormTable(
            words=word_ids(self.tokenizer, forms),
            characters=characters,
            spelled=spelled,
            affixes=affixes.reshape(len(forms), len(self.affix_ids)),
            casing=np.array([casing(form) for form in forms], np.int64),
        )

    def spell(self, form: str) -> list[int]:
        """The ids of the characters of a form."""
        if len(form) > MOST_CHARACTERS:
            form = form[: MOST_CHARACTERS // 2] + form[-MOST_CHARACTERS // 2 :]
        ids = self.character_ids
        return [BEGIN, *(ids.get(character, UNKNOWN) for character in form), END]

    def affixes(self, form: str) -> list[int]:
        """The ids of the prefixes of a form, then of its suffixes; 0 for unknown ones."""
        return [
            ids.get(affix, 0) for ids, affix in zip(self.affix_ids, affixes_of(form, self.longest))
        ]

    @property
    def longest(self) -> int:
        """The characters of the longest affix."""
        return len(self.affix_ids) // 2


def affixes_of(form: str, longest: int) -> list[str]:
    """The first 1, 2, … `longest` characters, then the last ones; the whole form where it is
    shorter."""
    lengths = range(1, longest + 1)
    return [form[:n] for n in lengths] + [form[-n:] for n in lengths]


def word_ids(tokenizer: Tokenizer, forms: Sequence[str]) -> np.ndarray:
    """(U,) int64 ids of forms in normal form. The empty form is `</s>`, and so stands for a text
    without words; a form with white space in it is unknown."""
    id_of_type, normalize = tokenizer.id_of_type, tokenizer.normalizer
    ids = []
    for form in forms:
        data = form.encode(errors="replace")
        ids.append(id_of_type.get(normalize(data) if normalize else data, UNK) if form else EOS)
    return np.array(ids, np.int64)


def casing(form: str) -> int:
    """0 lower case, 1 capitalized, 2 upper case, 3 mixed, 4 number, 5 with digits, 6 no letters."""
    if any(map(str.isdigit, form)):
        return 5 if any(map(str.isalpha, form)) else 4
    if form.islower():
        return 0
    if form.isupper():
        return 2 if len(form) > 1 else 1
    if not any(map(str.isalpha, form)):
        return 6
    return 1 if form[0].isupper() and form[1:].islower() else 3


CASING_TYPES = 7
"""The number of values of `casing`."""
