"""Figures of word vectors on files, counted by hand, and beside gensim's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.vectors.bounded_vocabulary import bound_vocabulary
from seqlm.evaluation.vectors.evaluate_vectors import (
    SectionScore,
    VectorEvaluation,
    evaluate_vectors,
)
from seqlm.evaluation.vectors.vector_test_settings import VectorTestSettings
from seqlm.runs.loading.load_vectors import LoadedVectors
from seqlm.version import __version__
from tests.evaluation.vectors.tables import kings, random_table, table_of

ANALOGIES = """: family
man king woman queen
king queen man woman
Cat king man zero
: gram1-plural
king man cat queen
king man dog queen
: family
man king woman man
"""


@pytest.fixture
def evaluate(tmp_path: Path) -> Any:
    def evaluate_text(
        text: str, table: LoadedVectors | None = None, metrics: Any = None, **settings: Any
    ) -> VectorEvaluation:
        (tmp_path / "text").write_text(text)
        chosen = VectorTestSettings(**settings)
        return evaluate_vectors(table or kings(), str(tmp_path / "text"), chosen, metrics)

    return evaluate_text


def test_sections_are_counted(evaluate: Any) -> None:
    """Two of the family are right: `man` is no answer to its own question, and zero is not near."""
    found = evaluate(ANALOGIES)
    assert found.sections == [
        SectionScore("family", 2, 4, 4),
        SectionScore("gram1-plural", 0, 1, 2),
    ]
    assert (found.answered, found.asked) == (5, 6)
    assert found.figures == {
        "accuracy": 2 / 5, "semantic-accuracy": 2 / 4, "syntactic-accuracy": 0,
    }  # fmt: skip


def test_case_is_kept_where_that_is_asked_for(evaluate: Any) -> None:
    found = evaluate(ANALOGIES, case="keep")
    assert [section.answered for section in found.sections] == [4, 0]
    assert math.isnan(found.figures["syntactic-accuracy"])
    assert math.isnan(found.sections[1].accuracy)


def test_only_one_spelling_of_a_word_is_used() -> None:
    words = ["The", "the", "cat", "THE", "Cat"]
    table = table_of(words, np.eye(5))
    lower = bound_vocabulary(table, 9, "lower")
    assert lower.rows.tolist() == [0, 2]
    assert [lower.place(word) for word in ("tHe", "CAT", "dog")] == [0, 1, None]
    keep = bound_vocabulary(table, 4, "keep")
    assert keep.rows.tolist() == [0, 1, 2, 3]
    assert [keep.place(word) for word in ("THE", "tHe", "Cat")] == [3, None, None]


def test_words_beyond_the_vocabulary_are_skipped(evaluate: Any) -> None:
    found = evaluate(ANALOGIES, vocabulary=4)
    assert [section.answered for section in found.sections] == [3, 0]


def test_a_file_of_one_kind_of_sections_has_one_figure(evaluate: Any) -> None:
    assert [*evaluate("man king woman queen\n").figures] == ["accuracy"]
    assert [*evaluate(": gram2\nman king woman queen\n").figures] == ["accuracy"]


def test_the_signature_says_what_figures_depend_on(evaluate: Any) -> None:
    found = evaluate(ANALOGIES, metrics=["accuracy"], formula="mul", vocabulary=100)
    assert found.signature == (
        "metric:accuracy|formula:3cosmul|vocabulary:100|case:lower|oov:skip|answered:5/6|words:6"
        f"|width:3|weights:000000000000|seqlm:{__version__}"
    )
    found = evaluate("king,queen,9\nking,man,2\nking,foo,1\n", case="keep")
    assert found.signature == (
        "metric:spearman+pearson|vocabulary:300000|case:keep|oov:skip|answered:2/3|words:6"
        f"|width:3|weights:000000000000|seqlm:{__version__}"
    )
    assert found.figures == {"spearman": pytest.approx(1), "pearson": pytest.approx(1)}
    assert found.sections == []


def composing() -> LoadedVectors:
    """Every unseen word with letters has the vector of the cat."""

    def compose(words: Any) -> tuple[list[str], np.ndarray]:
        known = [word for word in words if word.isalpha()]
        return known, np.tile(np.array([0.1, 0.1, 0.9], np.float32), (len(known), 1))

    table = kings()
    return table_of(table.words, table.vectors, compose=compose)


def test_vectors_of_unseen_words_are_composed(evaluate: Any) -> None:
    text = "king,queen,9\nking,man,5\nking,DOG,1\nking,3,2\nzero,KINGS,0\n"
    found = evaluate(text, composing())
    assert (found.answered, found.asked) == (4, 5)
    assert "|oov:compose|" in found.signature
    assert found.figures["spearman"] == pytest.approx(1)
    skipping = evaluate(text, composing(), unseen="skip")
    assert skipping.answered == 2
    assert "|oov:skip|" in skipping.signature
    assert evaluate(text).answered == 2


@pytest.mark.parametrize(
    ("text", "metrics", "message"),
    [
        (ANALOGIES, ["spearman"], "no metric 'spearman' of .*text, which has analogies"),
        ("a b c d\n", ["semantic-accuracy"], "no metric 'semantic-accuracy'"),
        ("king,queen,9\n", ["accuracy"], "no metric 'accuracy' of .*, which has pairs of words"),
    ],
)
def test_a_metric_of_another_kind_of_file_is_refused(
    text: str, metrics: list[str], message: str, evaluate: Any
) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(text, metrics=metrics)


def test_a_file_without_known_words_is_refused(evaluate: Any) -> None:
    with pytest.raises(DataError, match="text: no analogy has vectors for all of its words"):
        evaluate("a b c d\n")
    with pytest.raises(DataError, match="text: no pair has vectors for all of its words"):
        evaluate("a,king,1\n")


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="vocabulary is 0"):
        VectorTestSettings(vocabulary=0)
    with pytest.raises(UsageError, match="case is 'Lower'; did you mean 'lower'"):
        VectorTestSettings(case="Lower")  # type: ignore[arg-type]


def test_gensim_counts_the_same(data: Path) -> None:
    models = pytest.importorskip("gensim.models")
    file = data / "vectors" / "questions-words.txt"
    words = dict.fromkeys(
        word for line in file.read_text().splitlines()[:3000:3] for word in line.split()
        if line.count(" ") == 3
    )  # fmt: skip
    rng = np.random.default_rng(1)
    centers = rng.normal(size=(20, 8))
    vectors = centers[rng.integers(0, 20, len(words))] + 0.3 * rng.normal(size=(len(words), 8))
    table = table_of([*words], vectors)
    theirs = models.KeyedVectors(8)
    theirs.add_vectors(table.words, table.vectors)
    ours = evaluate_vectors(table, str(file), VectorTestSettings(case="keep"))
    accuracy, sections = theirs.evaluate_word_analogies(str(file), case_insensitive=False)
    assert ours.figures["accuracy"] == pytest.approx(accuracy)
    for section in ours.sections:
        (expected,) = (each for each in sections if each["section"] == section.section)
        assert section.correct == len(expected["correct"])
        assert section.answered == len(expected["correct"]) + len(expected["incorrect"])

    pairs = str(data / "vectors" / "wordsim353.tsv")
    table = random_table(300, 5, seed=1, has_zeros=False)
    known = [line.split("\t")[0] for line in Path(pairs).read_text().splitlines()[2:]]
    known += [line.split("\t")[1] for line in Path(pairs).read_text().splitlines()[2::2]]
    names = list(dict.fromkeys(word.lower() for word in known))[:300]
    table = table_of(names, table.vectors[: len(names)])
    theirs = models.KeyedVectors(5)
    theirs.add_vectors(table.words, table.vectors)
    pearson, spearman, skipped = theirs.evaluate_word_pairs(pairs)
    ours = evaluate_vectors(table, pairs, VectorTestSettings())
    assert ours.figures["spearman"] == pytest.approx(spearman.statistic, abs=1e-6)
    assert ours.figures["pearson"] == pytest.approx(pearson.statistic, abs=1e-6)
    assert ours.answered == round(ours.asked * (1 - skipped / 100))
