"""How much a figure owes to which sentences it was measured on: the bootstrap.

A sample has as many sentences as the text, drawn from them with replacement. Over many samples, a
figure varies as it would over other texts of the same kind:

    interval     from the 2.5th to the 97.5th percentile of a figure, of 95 %
    difference   d_s = second - first, in each sample s the same sentences for both
    p            2 min(#{d_s <= 0} + 1, #{d_s >= 0} + 1) / (samples + 1), at most 1

Efron & Tibshirani 1993, "An introduction to the bootstrap"; the paired test is that of Koehn 2004,
"Statistical significance tests for machine translation evaluation", taken two-sided: p is below
0.05 where the interval of the difference leaves out 0, up to its last samples. Sentences are drawn
and not tokens, since the errors of a sentence depend on one another. Percentiles are not corrected
for bias: samples lack some of the rarest kinds, which raises macro-f1, and chance raises `ece`.

    N sentences · S samples · weights (S, N), how often each sentence is in each sample
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seqlm.evaluation.labeling.label_counts import LabelCounts
from seqlm.evaluation.labeling.label_metrics import LabelMetric

PIECE = 2**20
"""The largest number of weights in memory at once, where a sample has fewer."""


class Interval(NamedTuple):
    low: float
    high: float


class Difference(NamedTuple):
    """By how much a second system's figure is above a first one's."""

    value: float
    low: float
    high: float
    p: float


def sample_figures(
    counts: LabelCounts, metrics: Sequence[LabelMetric], samples: int, seed: int
) -> dict[str, np.ndarray]:
    """The figures (S,) of bootstrap samples, by the name of their metric.

    Equal seeds draw equal sentences from every text of N sentences.
    """
    figures: dict[str, list[np.ndarray]] = {metric.name: [] for metric in metrics}
    for weights in sample_weights(len(counts.sentences), samples, seed):
        sums = counts.resampled(weights)
        for metric in metrics:
            figures[metric.name].append(metric.of_sums(sums))
    return {name: np.concatenate(pieces) for name, pieces in figures.items()}


def sample_weights(sentences: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """The rows of weights (S, N), in pieces."""
    generator = np.random.default_rng(seed)
    rows = max(1, PIECE // sentences)
    for first in range(0, samples, rows):
        shape = (min(rows, samples - first), sentences)
        drawn = generator.integers(sentences, size=shape)
        cells = drawn + sentences * np.arange(shape[0])[:, None]
        weights = np.bincount(cells.ravel(), minlength=shape[0] * sentences)
        yield weights.reshape(shape).astype(float)


def interval(figures: np.ndarray) -> Interval:
    """The 95 % interval of the figures (S,) of samples."""
    low, high = np.quantile(figures, [0.025, 0.975])
    return Interval(float(low), float(high))


def difference(first: float, second: float, samples: tuple[np.ndarray, np.ndarray]) -> Difference:
    """The difference of two figures, given those (S,) of both in the same `samples`."""
    differences = samples[1] - samples[0]
    extremes = min((differences <= 0).sum(), (differences >= 0).sum())
    p = min(1.0, 2 * (int(extremes) + 1) / (len(differences) + 1))
    return Difference(second - first, *interval(differences), p)
