"""Where a labeler errs: figures of each class, which labels it takes for which, and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from seqlm.evaluation.labeling.label_counts import LabelCounts, Labels
from seqlm.evaluation.labeling.label_metrics import share

CONTEXT = 4
"""Words that are shown on each side of an error."""


class ClassFigures(NamedTuple):
    """A class, or a kind of spans: how many there are, and how well they are found."""

    name: str
    gold: int
    predicted: int
    correct: int
    precision: float
    recall: float
    f1: float


def class_table(counts: LabelCounts, kinds: Sequence[str]) -> list[ClassFigures]:
    """The figures of every kind, the most frequent gold one first and equals by name.

    `counts` and `kinds` as `count_labels` gives them.
    """
    gold, predicted, matched = (
        part.sum(axis=0) for part in (counts.gold, counts.predicted, counts.matched)
    )  # (K,)
    columns = (
        gold.astype(int), predicted.astype(int), matched.astype(int),
        share(matched, predicted), share(matched, gold), share(2 * matched, gold + predicted),
    )  # fmt: skip
    rows = [ClassFigures(*row) for row in zip(kinds, *(column.tolist() for column in columns))]
    return sorted(rows, key=lambda row: (-row.gold, row.name))


# --------------------------------------------------------------------------------------- confusions


class Confusion(NamedTuple):
    """How often `predicted` stands where `gold` should."""

    gold: str
    predicted: str
    times: int


class ConfusionMatrix(NamedTuple):
    labels: list[str]
    """All labels, the most frequent gold one first and equals by name."""
    counts: np.ndarray  # (L, L), gold by predicted

    def confusions(self) -> list[Confusion]:
        """The errors, the most frequent first."""
        errors = [cell for cell in self.cells() if cell.gold != cell.predicted]
        return sorted(errors, key=lambda each: -each.times)

    def agreements(self) -> list[Confusion]:
        """How often each label is right, in the order of the labels."""
        return [cell for cell in self.cells() if cell.gold == cell.predicted]

    def cells(self) -> list[Confusion]:
        """Those that are not 0."""
        return [
            Confusion(self.labels[row], self.labels[column], int(self.counts[row, column]))
            for row, column in np.argwhere(self.counts).tolist()
        ]


def confusion_matrix(gold: Labels, predicted: Labels) -> ConfusionMatrix:
    """How often each label is predicted where each is right; lengths agree."""
    pairs = Counter(pair for both in zip(gold, predicted) for pair in zip(*both, strict=True))
    frequency: Counter[str] = Counter()
    for (theirs, ours), count in pairs.items():
        frequency[theirs] += count
        frequency[ours] += 0
    labels = sorted(frequency, key=lambda label: (-frequency[label], label))
    place = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    for (theirs, ours), count in pairs.items():
        counts[place[theirs], place[ours]] = count
    return ConfusionMatrix(labels, counts)


# ------------------------------------------------------------------------------------------- errors


class LabelError(NamedTuple):
    """A token with a wrong label. Sentences and positions are counted from 1."""

    sentence: int
    line: int
    position: int
    token: str
    gold: str
    predicted: str
    left: str
    right: str


def first_errors(
    tokens: Sequence[Sequence[str]],
    gold: Labels,
    predicted: Labels,
    lines: Sequence[Sequence[int]],
    most: int,
) -> list[LabelError]:
    """The first errors of a text, at most so many, each with a few words to both sides.

    `lines` has the number of the line that each token stands on. The token of a classified text is
    all of it.
    """
    return list(islice(find_errors(tokens, gold, predicted, lines), most))


def find_errors(
    tokens: Sequence[Sequence[str]],
    gold: Labels,
    predicted: Labels,
    lines: Sequence[Sequence[int]],
) -> Iterator[LabelError]:
    for sentence, parts in enumerate(zip(tokens, gold, predicted, lines, strict=True), 1):
        words = parts[0]
        for at, (word, theirs, ours, line) in enumerate(zip(*parts, strict=True)):
            if theirs != ours:
                left = " ".join(words[max(0, at - CONTEXT) : at])
                right = " ".join(words[at + 1 : at + 1 + CONTEXT])
                yield LabelError(sentence, line, at + 1, word, theirs, ours, left, right)
