"""Tests of association of words in a table of vectors: WEAT, with what became of the words.

    measure:weat|std:sample|sided:one|ties:counted|p:exact.200000,sampled.100000.1|missing:drop|…

A signature names every choice of formula (`weat.py`), up to how many partitions p is exact, how
many are drawn otherwise and their seed, what is done with words that have no vector, how words are
looked up, how many tests there are and a digest of their words, and the vectors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError
from seqlm.evaluation.bias.bias_settings import WeatSettings
from seqlm.evaluation.bias.find_words import FoundWords, find_words, some_of, vectors_part
from seqlm.evaluation.bias.weat import EXACT, WeatFigures, association, weat, word_effect_sizes
from seqlm.evaluation.bias.word_sets import OPPOSITES, SETS, WordSets
from seqlm.runs.loading.load_vectors import LoadedVectors


class FoundSets(NamedTuple):
    """The words of a test that are in the table."""

    X: FoundWords
    Y: FoundWords
    A: FoundWords
    B: FoundWords

    @property
    def is_complete(self) -> bool:
        """Whether each set has words."""
        return all(found.words for found in self)

    @property
    def missing(self) -> list[str]:
        return [word for found in self for word in found.missing]

    def unit_vectors(self, table: LoadedVectors) -> UnitVectors:
        """(n, D) for each set, of length 1."""
        return UnitVectors(*(found.unit_vectors(table) for found in self))


class UnitVectors(NamedTuple):
    """Of a test, the arguments of `weat`."""

    x: np.ndarray
    y: np.ndarray
    a: np.ndarray
    b: np.ndarray


class FoundTest(NamedTuple):
    """A test and its words in a table."""

    name: str
    sets: FoundSets


class AssociationTest(NamedTuple):
    """A test and its figures; these are None where a set has no words in the table."""

    name: str
    sets: FoundSets
    figures: WeatFigures | None


class WordAssociation(NamedTuple):
    """How one word of X or Y is associated with A rather than B."""

    test: str
    set: str
    word: str
    association: float
    """s(w, A, B)"""
    effect_size: float
    """d(w, A, B), that of WEFAT"""


def run_tests(
    table: LoadedVectors, tests: Sequence[WordSets], settings: WeatSettings
) -> list[AssociationTest]:
    """The tests and their figures. Errors: those of `find_tests` and of `check_complete`."""
    found = find_tests(table, tests, settings)
    check_complete(table, found)
    return [
        AssociationTest(name, sets, run_test(table, sets, settings) if sets.is_complete else None)
        for name, sets in found
    ]


def run_test(table: LoadedVectors, sets: FoundSets, settings: WeatSettings) -> WeatFigures:
    """The figures of sets that have words each."""
    x, y, a, b = sets.unit_vectors(table)
    return weat(x, y, a, b, settings)


def find_tests(
    table: LoadedVectors, tests: Sequence[WordSets], settings: WeatSettings
) -> list[FoundTest]:
    """Errors: DataError where a word is missing that `settings` does not allow to be, or two words
    of opposite sets are one in the table."""
    return [FoundTest(test.name, find_sets(table, test, settings.missing)) for test in tests]


def check_complete(table: LoadedVectors, found: Sequence[FoundTest]) -> None:
    """Errors: DataError where no test has words in each of its sets."""
    if any(sets.is_complete for _, sets in found):
        return
    name, sets = found[0]
    letters = ", ".join(letter for letter, each in zip(SETS, sets) if not each.words)
    raise DataError(
        f"{table.path} has no word of {letters} of {name}; missing are {some_of(sets.missing)}"
    )


def find_sets(table: LoadedVectors, sets: WordSets, missing: str) -> FoundSets:
    """Errors: those of `find_tests`."""
    found = FoundSets(*(find_words(table, words) for words in sets[1:]))
    if missing == "refuse" and found.missing:
        raise DataError(
            f"{table.path} lacks words of {sets.name}: {some_of(found.missing)} (`missing=refuse`)"
        )
    for one, other in OPPOSITES:
        shared = set(getattr(found, one).rows) & set(getattr(found, other).rows)
        if shared:
            word = table.words[min(shared)]
            raise DataError(f"{sets.name}: {one} and {other} both have {word!r} in {table.path}")
    if missing == "balance":
        size = min(len(found.X.rows), len(found.Y.rows))
        found = found._replace(X=first_of(found.X, size), Y=first_of(found.Y, size))
    return found


def first_of(found: FoundWords, size: int) -> FoundWords:
    return FoundWords(found.words[:size], found.rows[:size], found.missing)


def word_associations(
    table: LoadedVectors, test: AssociationTest, settings: WeatSettings
) -> list[WordAssociation]:
    """Those of the words of X and then of Y; none where the test has no figures."""
    if test.figures is None:
        return []
    x, y, a, b = test.sets.unit_vectors(table)
    return [
        WordAssociation(test.name, letter, word, s, d)
        for letter, found, words in (("X", test.sets.X, x), ("Y", test.sets.Y, y))
        for word, s, d in zip(
            found.words,
            association(words, a, b).tolist(),
            word_effect_sizes(words, a, b, settings.std).tolist(),
        )
    ]


def weat_signature(table: LoadedVectors, tests: Sequence[WordSets], settings: WeatSettings) -> str:
    """What the figures of `tests` depend on."""
    words = json.dumps([test[1:] for test in tests]).encode()
    chosen = asdict(settings)
    parts = {
        "measure": "weat",
        **{name: chosen[name] for name in ("std", "sided", "ties")},
        "p": f"exact.{EXACT},sampled.{settings.samples}.{settings.seed}",
        "missing": settings.missing,
        "sets": f"{len(tests)}.{hashlib.sha256(words).hexdigest()[:12]}",
    }
    return "|".join(f"{name}:{value}" for name, value in parts.items()) + f"|{vectors_part(table)}"
