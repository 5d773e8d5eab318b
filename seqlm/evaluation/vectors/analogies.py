"""Analogies: a is to b as c is to which word d?

    3CosAdd   d = argmax cos(d, b - a + c)
                = argmax cos(d, b) + cos(d, c) - cos(d, a)                  Mikolov et al. 2013
    3CosMul   d = argmax s(d, b) s(d, c) / (s(d, a) + ε)              Levy & Goldberg 2014
                = argmax ln s(d, b) + ln s(d, c) - ln(s(d, a) + ε)

    s(d, x) = (cos(d, x) + 1) / 2,   ε = 0.001

The vectors a, b and c have length 1, and d is another word than those of the question. Both are a
sum of terms of d and one word: a file of questions has few different words, and the terms of each
are computed once, a block of the table at a time.

    Q questions · U different words in them · R words that may be answers · D numbers of a vector
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from seqlm.errors import UsageError, did_you_mean, shown
from seqlm.evaluation.vectors.nearest_words import (
    SMALLEST,
    Neighbor,
    cosines,
    direction,
    highest_rows,
    nearest_words,
    rows_of,
)
from seqlm.runs.loading.load_vectors import LoadedVectors

Formula = Literal["add", "mul"]
FORMULAS: tuple[Formula, ...] = get_args(Formula)
EPSILON = 0.001
ROWS_AT_ONCE, QUESTIONS_AT_ONCE = 1 << 11, 1 << 5
WORDS_AT_ONCE = 1 << 12
"""Sizes of the blocks, which fit the caches of a processor and bound the memory."""


def solve_analogy(
    table: LoadedVectors,
    a: str,
    b: str,
    c: str,
    k: int = 10,
    formula: Formula = "add",
    vocabulary: int | None = None,
) -> list[Neighbor]:
    """The `k` best words d of "`a` is to `b` as `c` is to d", among the first `vocabulary` words.

    What stands beside each is cos(d, b - a + c), or the quotient of 3CosMul, which may exceed 1.
    Errors: UsageError where a word has no vector, or its vector no direction.
    """
    check_formula(formula)
    asked = (a, b, c)
    vectors = [direction(table, word) for word in asked]  # each (D,)
    if formula == "add":
        query = vectors[1] - vectors[0] + vectors[2]
        return nearest_words(table, query, k, asked, vocabulary)
    s_a, s_b, s_c = (s_of(cosines(table, vector, vocabulary)) for vector in vectors)  # (N,)
    quotient = s_b * s_c / (s_a + EPSILON)
    return [
        Neighbor(table.words[row], float(quotient[row]))
        for row in highest_rows(quotient, k, rows_of(table, asked))
    ]


def check_formula(formula: str) -> None:
    """Errors: UsageError where there is no such formula."""
    if formula not in FORMULAS:
        raise UsageError(f"`formula` is {shown(formula)}{did_you_mean(formula, FORMULAS)}")


def s_of(cosine: np.ndarray) -> np.ndarray:
    """s(d, x), from 0 to 1, of cosines from -1 to 1."""
    s: np.ndarray = np.clip((cosine + 1) / 2, 0, 1)
    return s


# ------------------------------------------------------------------------------- many questions


def solve_analogies(
    table: LoadedVectors, rows: np.ndarray, questions: np.ndarray, formula: Formula
) -> np.ndarray:
    """(Q,) int64, the place in `rows` of the answer to each question.

    `rows` (R,) are those words of the table that may be answers, and `questions` (Q, 3) the places
    there of a, b and c. An answer is -1 where no word is left.
    """
    check_formula(formula)
    answers = np.full(len(questions), -1)
    for start in range(0, len(questions), WORDS_AT_ONCE):  # of which there are U words at most
        part = slice(start, start + WORDS_AT_ONCE)
        answers[part] = solve_part(table, rows, questions[part], formula)
    return answers


def solve_part(
    table: LoadedVectors, rows: np.ndarray, questions: np.ndarray, formula: Formula
) -> np.ndarray:
    places, asked = np.unique(questions, return_inverse=True)  # (U,); (Q, 3) into it
    asked = asked.reshape(questions.shape)
    words = unit_rows(table, rows[places])  # (U, D)
    highest = np.full(len(questions), -np.inf, np.float32)
    answers = np.full(len(questions), -1)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        candidates = unit_rows(table, rows[start : start + ROWS_AT_ONCE])  # (r, D)
        plus, minus = terms(words @ candidates.T, formula)  # each (U, r)
        for first in range(0, len(questions), QUESTIONS_AT_ONCE):
            part = slice(first, first + QUESTIONS_AT_ONCE)
            a, b, c = asked[part].T
            score = plus[b]  # (q, r)
            score += plus[c]
            score -= minus[a]
            exclude(score, questions[part] - start)
            best = score.argmax(axis=1)
            reached = score[np.arange(len(best)), best]
            is_higher = reached > highest[part]
            highest[part] = np.where(is_higher, reached, highest[part])
            answers[part] = np.where(is_higher, best + start, answers[part])
    return answers


def unit_rows(table: LoadedVectors, rows: np.ndarray) -> np.ndarray:
    """(n, D) those `rows` of the table with length 1; a vector of zeros stays as it is."""
    vectors: np.ndarray = table.vectors[rows]
    vectors /= np.maximum(table.norms[rows], SMALLEST)[:, None]
    return vectors


def terms(cosine: np.ndarray, formula: Formula) -> tuple[np.ndarray, np.ndarray]:
    """What b and c add to the score of each word d, and what a takes away."""
    if formula == "add":
        return cosine, cosine
    s = s_of(cosine)
    with np.errstate(divide="ignore"):  # ln 0
        return np.log(s), np.log(s + np.float32(EPSILON))


def exclude(score: np.ndarray, columns: np.ndarray) -> None:
    """Sets to -inf the `columns` (q, 3) of each row of `score` (q, r), where it has them."""
    row, word = np.nonzero((columns >= 0) & (columns < score.shape[1]))
    score[row, columns[row, word]] = -np.inf
