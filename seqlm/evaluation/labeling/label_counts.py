"""What is counted of each sentence, so that sums of it give every figure of a labeler.

    N sentences · K kinds of spans, or classes · M bins of confidence

A figure of a text is a function of the sums over its sentences, and that of a bootstrap sample is
the same function of other sums of the same counts. Precision, recall and F1 count spans. Where
labels stand for no spans, a label is a span of one token, and `O`, "none of the kinds", is no span;
where a whole text is classified, every class is a kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError
from seqlm.text.labeled.spans import Span, find_spans

Labels = Sequence[Sequence[str]]
"""The labels of sentences; a classified text is a sentence of one label."""
OUTSIDE_LABEL = "O"
BINS = 15
"""M, as Guo et al. (2017) have it."""
SMALLEST = float(np.finfo(np.float64).eps)
"""Probabilities count as no less in the logarithm, so that a label which a model never saw costs 36
nats and not infinitely many (scikit-learn does the same)."""


class LabelCounts(NamedTuple):
    """Counts (N, ...) of sentences, or sums of them, whose first axis is samples or is missing."""

    sentences: np.ndarray  # (N,), all 1
    sentences_correct: np.ndarray  # (N,)
    tokens: np.ndarray  # (N,)
    correct: np.ndarray  # (N,)
    unseen: np.ndarray  # (N,), tokens that training had not
    unseen_correct: np.ndarray  # (N,)
    surprisal: np.ndarray  # (N,), sum of -ln p(gold label)
    overconfidence: np.ndarray  # (N, M), sum of confidence - correct over the tokens of a bin
    gold: np.ndarray  # (N, K), spans
    predicted: np.ndarray  # (N, K)
    matched: np.ndarray  # (N, K), predicted spans that are gold ones

    def total(self) -> LabelCounts:
        """The sums over all sentences."""
        return LabelCounts(*(part.sum(axis=0) for part in self))

    def resampled(self, weights: np.ndarray) -> LabelCounts:
        """The sums of samples in which sentence n occurs `weights` (samples, N) times."""
        return LabelCounts(*(weights @ part for part in self))


def count_labels(
    gold: Labels,
    predicted: Labels,
    scheme: str | None,
    unseen: Sequence[Sequence[bool]] | None = None,
    gold_probabilities: Sequence[Sequence[float]] | None = None,
    confidences: Sequence[Sequence[float]] | None = None,
) -> tuple[LabelCounts, list[str]]:
    """The counts of every sentence, and the K kinds in the order of their columns.

    The arguments are those of `evaluate_labels`; what is counted from one of the last three means
    nothing without it. Errors: DataError where the sequences of a sentence differ in length.
    """
    check_lengths(gold, predicted)
    lengths = [len(labels) for labels in gold]
    sentence = np.repeat(np.arange(len(gold)), lengths)  # (tokens,)

    def per_sentence(values: np.ndarray) -> np.ndarray:
        return np.bincount(sentence, values, minlength=len(gold))

    tokens = np.array(lengths, dtype=float)
    is_correct = np.array(
        [ours == theirs for pair in zip(predicted, gold) for ours, theirs in zip(*pair)],
        dtype=float,
    )  # (tokens,)
    correct = per_sentence(is_correct)
    is_unseen = per_token(unseen, gold, "known or unseen words")
    p = per_token(gold_probabilities, gold, "probabilities", absent=1.0)
    confidence = per_token(confidences, gold, "confidences")
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gold_spans, predicted_spans = label_spans(gold, scheme), label_spans(predicted, scheme)
    matched = [[*(set(ours) & set(theirs))] for ours, theirs in zip(predicted_spans, gold_spans)]
    kinds = sorted({span.kind for spans in gold_spans + predicted_spans for span in spans})
    column = {kind: number for number, kind in enumerate(kinds)}
    counts = LabelCounts(
        sentences=np.ones(len(gold)),
        sentences_correct=(correct == tokens).astype(float),
        tokens=tokens,
        correct=correct,
        unseen=per_sentence(is_unseen),
        unseen_correct=per_sentence(is_unseen * is_correct),
        surprisal=per_sentence(-np.log(np.maximum(p, SMALLEST))),
        overconfidence=add_into_cells(sentence, bins, (len(gold), BINS), confidence - is_correct),
        gold=count_spans(gold_spans, column),
        predicted=count_spans(predicted_spans, column),
        matched=count_spans(matched, column),
    )
    return counts, kinds


def check_lengths(gold: Labels, predicted: Labels) -> None:
    """Errors: DataError where there is no sentence, or a sentence lacks labels."""
    if not gold:
        raise DataError("there are no labels to evaluate")
    if len(gold) != len(predicted):
        raise DataError(
            f"{len(gold):,} sentences have gold labels and {len(predicted):,} have predicted ones:"
            " both have to be of the same text"
        )
    for number, (theirs, ours) in enumerate(zip(gold, predicted), 1):
        if len(theirs) != len(ours):
            raise DataError(
                f"sentence {number} has {len(theirs):,} gold labels and {len(ours):,} predicted"
                " ones: both have to be of the same text"
            )


def per_token(
    values: Sequence[Sequence[float]] | None, gold: Labels, name: str, absent: float = 0.0
) -> np.ndarray:
    """(tokens,) the values of all sentences, or `absent` everywhere. Errors: DataError."""
    lengths = [len(labels) for labels in gold]
    if values is None:
        return np.full(sum(lengths), absent)
    if [len(each) for each in values] != lengths:
        raise DataError(f"there are not as many {name} as gold labels in every sentence")
    return np.concatenate([np.asarray(each, dtype=float) for each in values])


def label_spans(sentences: Labels, scheme: str | None) -> list[list[Span]]:
    """The spans of each sentence: those of its tags, or its labels as spans of one token."""
    if scheme not in (None, "none"):
        return [find_spans(labels) for labels in sentences]
    outside = OUTSIDE_LABEL if scheme == "none" else None
    return [
        [Span(label, at, at + 1) for at, label in enumerate(labels) if label != outside]
        for labels in sentences
    ]


def count_spans(sentences: Sequence[Sequence[Span]], column: dict[str, int]) -> np.ndarray:
    """(N, K) the spans of every kind in each sentence."""
    row = np.repeat(np.arange(len(sentences)), [len(spans) for spans in sentences])
    kind = np.array([column[span.kind] for spans in sentences for span in spans], dtype=int)
    return add_into_cells(row, kind, (len(sentences), len(column)), np.ones(len(kind)))


def add_into_cells(
    row: np.ndarray, column: np.ndarray, shape: tuple[int, int], values: np.ndarray
) -> np.ndarray:
    """A table of `shape` with each of `values` added into its cell."""
    rows, columns = shape
    sums: np.ndarray = np.bincount(row * columns + column, values, minlength=rows * columns)
    return sums.reshape(shape)
