"""Weights that make the best hypotheses as good as they can be: minimum error rate training.

Och 2003, "Minimum error rate training in statistical machine translation". Along a line of weights

    w + g d                      w where it starts, d its direction, g how far

the total of a hypothesis with features f is a straight line in g: (f w) + g (f d). Which hypothesis
of a list is the best changes only where lines of the upper envelope cross, and with it the counts
of errors. So the error of all lists is constant between crossings, and its minimum over all g is
found exactly, by looking into each interval. Search goes along each feature in turn and then along
random directions, until none is better, from the given weights and from random ones.

    L lists · N hypotheses of one · D features · S counts, whose sums give the error
    E crossings, of all lists
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

RESTARTS = 8
"""Random weights that search starts from, beside the given ones."""
DIRECTIONS = 4
"""Random directions in each round, beside the features."""

Error = Callable[[np.ndarray], np.ndarray]
"""Counts (…, S) -> the error (…,), to be made small."""


class TuningList(NamedTuple):
    """A list whose hypotheses have been compared with its reference."""

    features: np.ndarray  # (N, D)
    counts: np.ndarray  # (N, S)


def tune_weights(
    lists: Sequence[TuningList], start: np.ndarray, error: Error, fixed: int | None, seed: int = 1
) -> tuple[np.ndarray, float]:
    """Weights (D,) of the lowest error that was found, and that error.

    The weight at `fixed` stays: only the relations between weights matter.
    """
    generator = np.random.default_rng(seed)
    free = [place for place in range(len(start)) if place != fixed]
    best, lowest = start, error_of(lists, start, error)
    for restart in range(RESTARTS + 1):
        weights = start.copy()
        if restart:
            weights[free] = start[free] + generator.normal(size=len(free))
        found, value = descend(lists, weights, error, free, generator)
        if value < lowest:
            best, lowest = found, value
    return best, lowest


def descend(
    lists: Sequence[TuningList],
    weights: np.ndarray,
    error: Error,
    free: Sequence[int],
    generator: np.random.Generator,
) -> tuple[np.ndarray, float]:
    """Searches line after line until a round of them gains nothing."""
    lowest = error_of(lists, weights, error)
    while True:
        directions = [np.eye(len(weights))[place] for place in free]
        for _ in range(DIRECTIONS if len(free) > 1 else 0):
            direction = np.zeros(len(weights))
            direction[free] = generator.normal(size=len(free))
            directions.append(direction)
        before = lowest
        for direction in directions:
            step, _ = search_line(lists, weights, direction, error)
            value = error_of(lists, weights + step * direction, error)
            if value < lowest:
                weights, lowest = weights + step * direction, value
        if lowest == before:
            return weights, lowest


def search_line(
    lists: Sequence[TuningList], weights: np.ndarray, direction: np.ndarray, error: Error
) -> tuple[float, float]:
    """The g of the lowest error along a line, and that error.

    Among intervals of equal error it is the middle of the widest; one without end counts as wide as
    it is from its crossing to 0, or 1.
    """
    crossings, changes = [], []
    first = np.zeros(lists[0].counts.shape[1])
    for each in lists:
        order, starts = upper_envelope(each.features @ weights, each.features @ direction)
        counts = each.counts[order]  # of the best hypothesis, from g = -inf on
        first = first + counts[0]
        crossings.append(starts[1:])
        changes.append(np.diff(counts, axis=0))
    at = np.concatenate(crossings)  # (E,)
    by_place = at.argsort(kind="stable")
    at = at[by_place]
    sums = first + np.concatenate(
        [np.zeros((1, len(first))), np.concatenate(changes)[by_place].cumsum(0)]
    )  # (E + 1, S)
    if len(at) == 0:
        return 0.0, float(error(sums[0]))
    low = np.concatenate([[at[0] - max(1.0, abs(at[0]))], at])
    high = np.concatenate([at, [at[-1] + max(1.0, abs(at[-1]))]])
    errors = np.where(high - low > 1e-9 * (1 + np.abs(low)), error(sums), np.inf)
    lowest = errors.min()
    widest = np.where(errors <= lowest, high - low, -1).argmax()
    return float((low[widest] + high[widest]) / 2), float(lowest)


def upper_envelope(offsets: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lines offset + g slope (N,) that are the highest anywhere, from g = -inf on, and where
    each begins to be (the first at -inf).

    >>> order, starts = upper_envelope(np.array([0.0, 1.0, 0.0]), np.array([-1.0, 0.0, 1.0]))
    >>> order.tolist(), starts.tolist()
    ([0, 1, 2], [-inf, -1.0, 1.0])
    """
    order: list[int] = []
    starts: list[float] = []
    for line in np.lexsort((np.arange(len(slopes)), -offsets, slopes)).tolist():
        if order and slopes[line] == slopes[order[-1]]:
            continue  # parallel, and not higher
        start = -np.inf
        while order:
            top = order[-1]
            start = (offsets[top] - offsets[line]) / (slopes[line] - slopes[top])
            if start > starts[-1]:
                break
            order.pop()
            starts.pop()
            start = -np.inf
        order.append(line)
        starts.append(start)
    return np.array(order), np.array(starts)


def error_of(lists: Sequence[TuningList], weights: np.ndarray, error: Error) -> float:
    """The error of the best hypotheses under `weights`; of equals, the first of a list."""
    chosen = [each.counts[(each.features @ weights).argmax()] for each in lists]
    return float(error(np.sum(chosen, axis=0)))
