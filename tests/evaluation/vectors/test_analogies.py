"""Analogies against a loop over all words for each question, and against gensim."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from seqlm.errors import UsageError
from seqlm.evaluation.vectors import analogies
from seqlm.evaluation.vectors.analogies import EPSILON, Formula, solve_analogies, solve_analogy
from seqlm.runs.loading.load_vectors import LoadedVectors
from tests.evaluation.vectors.tables import kings, random_table, slow_cosine, table_of

FORMULAS = get_args(Formula)


def slow_scores(table: LoadedVectors, rows: tuple[int, int, int], formula: str) -> list[float]:
    """The score of each word, by the first line of each formula."""
    a, b, c = (table.vectors[row].astype(np.float64).tolist() for row in rows)
    scores = []
    for vector in table.vectors.astype(np.float64).tolist():
        if formula == "add":
            unit = [[x / max(np.linalg.norm(each), 1e-30) for x in each] for each in (a, b, c)]
            scores.append(slow_cosine(vector, [q - p + r for p, q, r in zip(*unit)]))
        else:
            s_a, s_b, s_c = ((slow_cosine(vector, each) + 1) / 2 for each in (a, b, c))
            scores.append(s_b * s_c / (s_a + EPSILON))
    return scores


@pytest.mark.parametrize("formula", FORMULAS)
def test_one_question_is_that_of_a_loop(formula: Formula) -> None:
    table = random_table(30, 4, seed=1)
    for rows in ((0, 1, 2), (3, 29, 8), (5, 5, 6)):
        slow = slow_scores(table, rows, formula)
        asked = [table.words[row] for row in rows]
        found = solve_analogy(table, *asked, k=30, formula=formula)
        assert {word for word, _ in found} == {*table.words} - {*asked}
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)
        for word, score in found:
            assert score == pytest.approx(slow[table.words.index(word)], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("blocks", [None, (7, 3, 11)])
def test_many_questions_are_those_of_a_loop(
    formula: Formula, blocks: tuple[int, int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some words have equal scores, up to rounding: the answer has the highest, or one as high."""
    for name, size in zip(("ROWS_AT_ONCE", "QUESTIONS_AT_ONCE", "WORDS_AT_ONCE"), blocks or ()):
        monkeypatch.setattr(analogies, name, size)
    table, rng = random_table(60, 4, seed=2), np.random.default_rng(5)
    rows = np.sort(rng.permutation(60)[:50])
    questions = rng.integers(0, 50, (40, 3))
    answers = solve_analogies(table, rows, questions, formula)
    for question, answer in zip(questions.tolist(), answers.tolist()):
        places = tuple(int(rows[place]) for place in question)
        slow = slow_scores(table, places, formula)
        allowed = [slow[row] for place, row in enumerate(rows) if place not in question]
        assert answer not in question
        assert slow[rows[answer]] == pytest.approx(max(allowed), rel=1e-4, abs=1e-5)


def test_equal_answers_are_the_first_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of("abcdef", [[1, 0], [0, 1], [1, 1], [0, 2], [0, 1], [0, 4]])
    questions = np.array([[0, 1, 2], [0, 3, 2], [0, 1, 2]])
    for size in (1, 2, 100):
        monkeypatch.setattr(analogies, "ROWS_AT_ONCE", size)
        answers = solve_analogies(table, np.arange(6), questions, "add")
        assert answers.tolist() == [3, 1, 3]


def test_a_question_with_no_word_left_has_no_answer() -> None:
    table = table_of("abc", np.eye(3))
    answers = solve_analogies(table, np.arange(3), np.array([[0, 1, 2], [0, 0, 1]]), "add")
    assert answers.tolist() == [-1, 2]
    assert solve_analogies(table, np.arange(3), np.empty((0, 3), int), "mul").tolist() == []
    assert solve_analogy(table, "a", "b", "c") == []


def test_opposite_vectors_and_zeros_are_scored() -> None:
    """cos = -1 is s = 0, whose logarithm is infinite; zeros are as far from all words."""
    table = table_of("abcdz", [[1, 0], [0, 1], [1, 0], [-1, 0], [0, 0]])
    answers = solve_analogies(table, np.arange(5), np.array([[1, 0, 2]]), "mul")
    assert answers.tolist() == [4]
    assert [word for word, _ in solve_analogy(table, "b", "a", "c", formula="mul")] == ["z", "d"]


def test_the_king_is_to_the_man_as_the_queen_to_the_woman() -> None:
    for formula in FORMULAS:
        assert solve_analogy(kings(), "man", "king", "woman", 1, formula)[0].word == "queen"


def test_what_has_no_answer_is_refused() -> None:
    with pytest.raises(UsageError, match="no vector of 'quen' in toy; did you mean 'queen'"):
        solve_analogy(kings(), "man", "king", "quen")
    with pytest.raises(UsageError, match="the vector of 'zero' is all zeros"):
        solve_analogy(kings(), "man", "zero", "king")
    with pytest.raises(UsageError, match="formula is 'sum'; there are add, mul"):
        solve_analogy(kings(), "man", "king", "woman", formula="sum")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of gensim's own
def test_gensim_agrees() -> None:
    models = pytest.importorskip("gensim.models")
    table = random_table(200, 8, seed=4, has_zeros=False)
    theirs = models.KeyedVectors(8)
    theirs.add_vectors(table.words, table.vectors)
    for a, b, c in (("w1", "w2", "w3"), ("w10", "w150", "w7")):
        expected = dict(theirs.most_similar(positive=[b, c], negative=[a], topn=40))
        for word, score in solve_analogy(table, a, b, c, 20):
            assert score == pytest.approx(expected[word], abs=1e-5)
        products = dict(theirs.most_similar_cosmul(positive=[b, c], negative=[a], topn=40))
        for word, score in solve_analogy(table, a, b, c, 20, "mul"):
            assert score == pytest.approx(products[word], rel=0.05)  # its ε is 1e-6
