"""Words of lists -> rows of a table of vectors.

A word is looked up as it is, then in lower case, since lists have names (`John`) and many tables do
not. Only the words of the table count, so that tables of one vocabulary are compared on the same
words: none is composed of its character n-grams. A word whose vector is zero has no direction, and
counts as missing.

    n words that are found · D numbers of a vector
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError
from seqlm.runs.loading.load_vectors import LoadedVectors
from seqlm.version import __version__

CASE_RULE = "as-is-or-lower"
"""What a signature calls the way in which words are looked up."""


class FoundWords(NamedTuple):
    """The words that have a vector, each once, and the others."""

    words: list[str]
    """As they were asked for."""
    rows: list[int]
    missing: list[str]

    def unit_vectors(self, table: LoadedVectors) -> np.ndarray:
        """(n, D) float64, their vectors in a table of the same words, divided by their norms."""
        return unit_rows(table.vectors[self.rows])


def find_words(table: LoadedVectors, words: Iterable[str]) -> FoundWords:
    """Those of `words` that have a vector, in their order. Two forms of one word are the first."""
    found: dict[int, str] = {}
    missing = []
    for word in dict.fromkeys(words):
        row = find_word(table, word)
        if row is None:
            missing.append(word)
        else:
            found.setdefault(row, word)
    return FoundWords(list(found.values()), list(found), missing)


def find_word(table: LoadedVectors, word: str) -> int | None:
    """The row of a word, or None where it is not there or has the vector 0."""
    for form in (word, word.lower()):
        row = table.row(form)
        if row is not None:
            return row if table.vectors[row].any() else None
    return None


class FoundPairs(NamedTuple):
    """The pairs of which both words have a vector, and the words of the others that have none."""

    pairs: list[tuple[str, str]]
    rows: list[tuple[int, int]]
    missing: list[str]

    @property
    def all_rows(self) -> list[int]:
        return [row for rows in self.rows for row in rows]


def find_pairs(table: LoadedVectors, pairs: Sequence[tuple[str, str]]) -> FoundPairs:
    """Those of `pairs` that are found, in their order."""
    found = FoundPairs([], [], [])
    for pair in pairs:
        first, second = (find_word(table, word) for word in pair)
        if first is not None and second is not None:
            found.pairs.append(pair)
            found.rows.append((first, second))
        found.missing.extend(word for word, row in zip(pair, (first, second)) if row is None)
    return found


class LabeledWords(NamedTuple):
    """The words that have a label and a vector."""

    rows: np.ndarray  # (n,) int64
    labels: np.ndarray  # (n,) int64, the place of each word's label in `names`
    names: list[str]
    missing: list[str]

    @property
    def fewest(self) -> int:
        """The number of words of the rarest label."""
        return int(np.bincount(self.labels).min())


def label_words(table: LoadedVectors, label_of: Mapping[str, str]) -> LabeledWords:
    """The words of `label_of` that are found. Errors: DataError where fewer than two labels are."""
    found = find_words(table, label_of)
    names = list(dict.fromkeys(label_of[word] for word in found.words))
    if len(names) < 2:
        what = (
            f"only words of the label {names[0]!r}" if names else "none of the words with a label"
        )
        raise DataError(f"{table.path} has {what}; at least two labels are needed")
    labels = [names.index(label_of[word]) for word in found.words]
    return LabeledWords(np.array(found.rows), np.array(labels), names, found.missing)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """(n, D) -> (n, D) float64, each row divided by its norm; a row of zeros stays as it is."""
    rows = rows.astype(np.float64)
    norms = np.sqrt((rows * rows).sum(1, keepdims=True))
    np.divide(rows, norms, out=rows, where=norms > 0)
    return rows


def vectors_part(table: LoadedVectors) -> str:
    """The part of the signature of every figure of bias: how words are looked up, and in what."""
    arch = "" if table.config is None else f"|arch:{table.config.arch}"
    return (
        f"case:{CASE_RULE}|words:{len(table)}|width:{table.width}{arch}"
        f"|weights:{table.weights_digest}|seqlm:{__version__}"
    )


def some_of(words: Sequence[str], most: int = 5) -> str:
    """'a, b, c', or 'a, b, c, d, e and 7 more'."""
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
