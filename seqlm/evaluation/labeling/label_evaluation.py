"""The labels that a model predicts beside the gold ones, evaluated in one call; two models
compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.labeling.bootstrap import (
    Difference,
    Interval,
    difference,
    interval,
    sample_figures,
)
from seqlm.evaluation.labeling.label_counts import LabelCounts, Labels, count_labels
from seqlm.evaluation.labeling.label_metrics import select_label_metrics
from seqlm.evaluation.labeling.label_signature import label_signature


class LabelEvaluation(NamedTuple):
    figures: dict[str, float]
    """By the name of the metric."""
    intervals: dict[str, Interval]
    """95 % intervals; none where there are no samples."""
    samples: dict[str, np.ndarray]
    """The figures (S,) of bootstrap samples."""
    counts: LabelCounts
    """Of each sentence."""
    kinds: list[str]
    """The kinds of spans, or classes, in the order of their columns."""
    gold: Labels
    signature: str


def evaluate_labels(
    gold: Labels,
    predicted: Labels,
    *,
    metrics: Sequence[str],
    scheme: str | None,
    unseen: Sequence[Sequence[bool]] | None = None,
    gold_probabilities: Sequence[Sequence[float]] | None = None,
    confidences: Sequence[Sequence[float]] | None = None,
    samples: int = 1000,
    seed: int = 1,
) -> LabelEvaluation:
    """The figures of predicted labels, with their intervals from so many bootstrap `samples`.

    `scheme` is that of the gold tags, "none" where they stand for no spans, and None where each
    label is the class of a whole text. Of every token there may be known: in `unseen`, whether its
    word did not occur in training; in `gold_probabilities` and `confidences`, the probabilities of
    its gold label and of its predicted one. A gold label that the model never saw counts as wrong.

    Errors: DataError where the sequences of a sentence differ in length; UsageError on a metric
    that does not exist, or whose argument is missing.
    """
    optional = {
        "unseen": unseen,
        "gold_probabilities": gold_probabilities,
        "confidences": confidences,
    }
    given = [name for name, values in optional.items() if values is not None]
    selected = select_label_metrics(metrics, given)
    counts, kinds = count_labels(gold, predicted, scheme, unseen, gold_probabilities, confidences)
    total = counts.total()
    drawn = sample_figures(counts, selected, samples, seed) if samples else {}
    return LabelEvaluation(
        figures={metric.name: float(metric.of_sums(total)) for metric in selected},
        intervals={name: interval(figures) for name, figures in drawn.items()},
        samples=drawn,
        counts=counts,
        kinds=kinds,
        gold=gold,
        signature=label_signature(
            [metric.name for metric in selected],
            scheme,
            len({label for labels in gold for label in labels}),
            samples,
            seed,
        ),
    )


def compare(first: LabelEvaluation, second: LabelEvaluation) -> dict[str, Difference]:
    """By how much each figure of `second` is above that of `first`, tested on the same samples.

    Errors: DataError where their gold labels differ; UsageError where their signatures do, or they
    have no samples.
    """
    if list(map(list, first.gold)) != list(map(list, second.gold)):
        raise DataError("two systems are compared on one text, and these have other gold labels")
    if first.signature != second.signature:
        raise UsageError(
            f"figures with different signatures do not compare: {first.signature} and"
            f" {second.signature}"
        )
    if not first.samples:
        raise UsageError("two systems are compared by bootstrap, and there are no samples")
    return {
        name: difference(value, second.figures[name], (first.samples[name], second.samples[name]))
        for name, value in first.figures.items()
    }
