"""Word vectors evaluated on a file of analogies, or of pairs of words.

    accuracy               analogies whose answer is right / analogies that are answered
    semantic-accuracy      that of the sections whose name does not begin with "gram"
    syntactic-accuracy     that of those whose name does
    spearman, pearson      agreement with people on the similarity of pairs

An analogy is answered if its four words are in the vocabulary, and a pair if its two words have
vectors; the others are skipped and counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError, UsageError, did_you_mean
from seqlm.evaluation.vectors.analogies import solve_analogies
from seqlm.evaluation.vectors.bounded_vocabulary import BoundedVocabulary, bound_vocabulary
from seqlm.evaluation.vectors.vector_test_sets import (
    Analogy,
    VectorTestSet,
    read_test_set,
)
from seqlm.evaluation.vectors.vector_test_settings import VectorTestSettings
from seqlm.evaluation.vectors.vectors_signature import vectors_signature
from seqlm.evaluation.vectors.word_similarity import pearson, similarities, spearman
from seqlm.runs.loading.load_vectors import LoadedVectors

SYNTACTIC, TOTAL = "gram", "total"
ANALOGY_METRICS = ("accuracy", "semantic-accuracy", "syntactic-accuracy")
PAIR_METRICS = ("spearman", "pearson")


class SectionScore(NamedTuple):
    """The analogies of one section."""

    section: str
    correct: int
    answered: int
    asked: int

    @property
    def accuracy(self) -> float:
        """From 0 to 1, or nan where none is answered."""
        return self.correct / self.answered if self.answered else math.nan


class VectorEvaluation(NamedTuple):
    """Figures of word vectors on a file, and what they depend on."""

    figures: dict[str, float]
    """The value of each metric."""
    signature: str
    """What the figures depend on: two can be compared where all but the model agrees."""
    answered: int
    """The number of analogies or pairs whose words have vectors."""
    asked: int
    """The number of all."""
    sections: list[SectionScore]
    """Of analogies, those of each section, in the order of the file."""


def evaluate_vectors(
    table: LoadedVectors,
    file: str,
    settings: VectorTestSettings,
    metrics: Sequence[str] | None = None,
    errors: str = "strict",
) -> VectorEvaluation:
    """The `metrics` of the analogies or of the pairs in `file`; '-' is standard input.

    Without names, the metrics are all that the file has. Errors: DataError where the file is
    neither, or no word of it has a vector; UsageError on a metric of another kind of file.
    """
    test_set = read_test_set(file, errors)
    vocabulary = bound_vocabulary(table, settings.vocabulary, settings.case)
    evaluate = evaluate_analogies if test_set.analogies else evaluate_pairs
    return evaluate(table, test_set, vocabulary, settings, metrics)


def evaluate_analogies(
    table: LoadedVectors,
    test_set: VectorTestSet,
    vocabulary: BoundedVocabulary,
    settings: VectorTestSettings,
    metrics: Sequence[str] | None,
) -> VectorEvaluation:
    name, analogies = test_set.name, test_set.analogies
    kinds = {is_syntactic(analogy.section) for analogy in analogies}
    there = ANALOGY_METRICS if len(kinds) == 2 else ANALOGY_METRICS[:1]
    chosen = choose_metrics(metrics, there, f"{name}, which has analogies")
    sections = score_sections(table, analogies, vocabulary, settings)
    whole = total(sections)
    check_answered(whole.answered, name, "analogy")
    scores = {
        "accuracy": whole,
        "semantic-accuracy": total(each for each in sections if not is_syntactic(each.section)),
        "syntactic-accuracy": total(each for each in sections if is_syntactic(each.section)),
    }
    signature = vectors_signature(
        table, chosen, settings, whole.answered, whole.asked, has_formula=True, composes=False
    )
    figures = {metric: scores[metric].accuracy for metric in chosen}
    return VectorEvaluation(figures, signature, whole.answered, whole.asked, sections)


def score_sections(
    table: LoadedVectors,
    analogies: Sequence[Analogy],
    vocabulary: BoundedVocabulary,
    settings: VectorTestSettings,
) -> list[SectionScore]:
    """The score of each section, of those of one name together."""
    places = [[vocabulary.place(word) for word in analogy[1:]] for analogy in analogies]
    is_answered = np.array([None not in four for four in places])
    known = np.array([four for four in places if None not in four], np.int64).reshape(-1, 4)
    answers = solve_analogies(table, vocabulary.rows, known[:, :3], settings.formula)
    is_correct = np.zeros(len(analogies), bool)
    is_correct[is_answered] = answers == known[:, 3]

    names = list(dict.fromkeys(analogy.section for analogy in analogies))
    number = {name: index for index, name in enumerate(names)}
    section = np.array([number[analogy.section] for analogy in analogies])
    counts = [
        np.bincount(section, weights, len(names)).astype(int).tolist()
        for weights in (is_correct, is_answered, None)
    ]
    return [SectionScore(*row) for row in zip(names, *counts)]


def is_syntactic(section: str) -> bool:
    return section.startswith(SYNTACTIC)


def total(sections: Iterable[SectionScore]) -> SectionScore:
    """The score of several sections together."""
    _, correct, answered, asked = zip(("", 0, 0, 0), *sections)
    return SectionScore(TOTAL, sum(correct), sum(answered), sum(asked))


def evaluate_pairs(
    table: LoadedVectors,
    test_set: VectorTestSet,
    vocabulary: BoundedVocabulary,
    settings: VectorTestSettings,
    metrics: Sequence[str] | None,
) -> VectorEvaluation:
    pairs, name = test_set.pairs, test_set.name
    chosen = choose_metrics(metrics, PAIR_METRICS, f"{name}, which has pairs of words")
    composes = settings.unseen == "compose" and table.compose is not None
    found = [
        (ours, pair.similarity)
        for ours, pair in zip(similarities(table, pairs, vocabulary, composes), pairs)
        if ours is not None
    ]
    check_answered(len(found), name, "pair")
    x, y = np.array(found).T  # each (n,)
    correlations = {"spearman": spearman, "pearson": pearson}
    figures = {metric: correlations[metric](x, y) for metric in chosen}
    signature = vectors_signature(
        table, chosen, settings, len(found), len(pairs), has_formula=False, composes=composes
    )
    return VectorEvaluation(figures, signature, len(found), len(pairs), [])


def choose_metrics(wanted: Sequence[str] | None, there: Sequence[str], of: str) -> list[str]:
    """The metrics that are wanted, or all that are there. Errors: UsageError on another one."""
    for metric in wanted or ():
        if metric not in there:
            raise UsageError(f"no metric {metric!r} of {of}{did_you_mean(metric, there)}")
    return list(there if wanted is None else dict.fromkeys(wanted))


def check_answered(answered: int, name: str, kind: str) -> None:
    """Errors: DataError where no question has vectors."""
    if not answered:
        raise DataError(f"{name}: no {kind} has vectors for all of its words")
