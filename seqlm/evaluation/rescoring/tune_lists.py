"""Weights from n-best lists whose right text is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError
from seqlm.evaluation.rescoring.error_counts import METRICS, MetricName
from seqlm.evaluation.rescoring.line_search import TuningList, error_of, tune_weights
from seqlm.evaluation.rescoring.log_linear import (
    WORDS,
    Scored,
    feature_row,
    used_weights,
)
from seqlm.evaluation.rescoring.nbest_formats import SCORE


class Tuned(NamedTuple):
    weights: dict[str, float]
    before: float
    """The error of the best hypotheses by the list's own score alone; without one, of the first."""
    after: float
    """The error of the best hypotheses under the weights."""
    lists: int


def tune_on_lists(
    lists: Iterable[list[Scored]],
    references: Sequence[str],
    metric: MetricName = "wer",
    start: Mapping[str, float] | None = None,
    name: str = "lm",
    seed: int = 1,
) -> Tuned:
    """The weights under which the best hypotheses of `lists` come closest to the `references`, one
    for each list.

    Search begins at `start`, by default the list's own score, and 0.5 of the language model called
    `name` (1 where the lists have no score). The weights that `start` has, and those of the
    language model and of the words, are tuned; that of the score, or else of the language model, is
    fixed.
    Errors: DataError where lists and references differ in number, or a feature is missing.
    """
    counts, tuning, all_lists = METRICS[metric].counts, [], list(lists)
    if len(all_lists) != len(references) or not all_lists:
        raise DataError(f"{len(all_lists)} lists to tune on, and {len(references)} references")
    first = all_lists[0][0]
    given = used_weights({SCORE: 1.0, **(start or {})}, first)
    fixed = SCORE if SCORE in given else name
    defaults = {SCORE: 1.0} if fixed == SCORE else {}
    weights = {**defaults, name: 0.5 if defaults else 1.0, WORDS: 0.0, **given}
    names = list(weights)
    for scored, reference in zip(all_lists, references):
        words = reference.split()
        tuning.append(
            TuningList(
                np.array([feature_row(names, each) for each in scored]),
                np.array([counts(each.candidate.text.split(), words) for each in scored], float),
            )
        )
    error = METRICS[metric].error
    alone = np.array([float(each == SCORE) for each in names])
    found, after = tune_weights(
        tuning, np.array(list(weights.values())), error, names.index(fixed), seed
    )
    before = error_of(tuning, alone, error)
    return Tuned(dict(zip(names, found.tolist())), before, after, len(tuning))
