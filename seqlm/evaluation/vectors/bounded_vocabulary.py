"""The words of a table that a test may use: so many of the first ones, under a rule of case.

    keep      words are what they are: "Turkey" is not "turkey"
    lower     words are compared in lower case, and of those that are equal only the first is used

The first is the most frequent, and an answer is never another spelling of a word of the question.

    N words of the table · R of them that are used
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from seqlm.evaluation.vectors.nearest_words import check_vocabulary
from seqlm.runs.loading.load_vectors import LoadedVectors

Case = Literal["lower", "keep"]


class BoundedVocabulary(NamedTuple):
    rows: np.ndarray  # (R,) int64, rising: the row in the table of each word
    places: dict[str, int]
    """The place in `rows` of each word, in lower case where that is the rule."""
    case: Case

    def place(self, word: str) -> int | None:
        """Where `word` is in `rows`, or None where it is not among the words."""
        return self.places.get(in_case(word, self.case))


def bound_vocabulary(table: LoadedVectors, size: int, case: Case) -> BoundedVocabulary:
    """The first `size` words of `table`. Errors: UsageError where that is less than 1."""
    places: dict[str, int] = {}
    rows: list[int] = []
    for row, word in enumerate(table.words[: check_vocabulary(table, size)]):
        spelled = in_case(word, case)
        if spelled not in places:
            places[spelled] = len(rows)
            rows.append(row)
    return BoundedVocabulary(np.array(rows, np.int64), places, case)


def in_case(word: str, case: Case) -> str:
    return word.lower() if case == "lower" else word
