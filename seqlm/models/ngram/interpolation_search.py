"""Interpolation search (Perl, Itai & Avni, 1978): many searches at once, all in step.

A sorted stretch of values that lie evenly between known bounds is like a telephone book: a name
with Z is looked for at the end. Each probe guesses by proportion,

    guess  =  low + (target - least) / (most - least) · (high - low)

and what it finds narrows the stretch low … high and the bounds least … most from one side. One of m
values is found in about log log m probes, where halving takes log m. After a few probes a search
that has guessed badly turns to halving, which bounds the worst case.

    Q searches
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

INTERPOLATIONS = 6
"""Probes by proportion, before a search turns to halving."""


def interpolation_search(
    values_at: Callable[[np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    targets: np.ndarray,
    bound: int,
) -> np.ndarray:
    """(Q,) int32 positions of the `targets` (Q,), or -1 for what is not there.

    Search q looks among the sorted values at positions `low[q]` up to, and without, `high[q]`
    (Q,), where `values_at` gives those at some positions. All lie in 0 … `bound` - 1.

    >>> values = np.array([3, 50, 97, 8, 9], np.int32)  # two sorted stretches
    >>> low, high = np.array([[0, 0, 3], [3, 3, 5]], np.int32)
    >>> targets = np.array([50, 51, 9], np.int32)
    >>> interpolation_search(lambda positions: values[positions], low, high, targets, 100).tolist()
    [1, -1, 4]
    """
    positions = np.full(len(targets), -1, np.int32)
    # The values of a stretch lie in least … most-1.
    least, most = np.zeros_like(targets), np.full_like(targets, bound)
    search = np.flatnonzero(low < high)  # the number of each that goes on
    columns = [column[search] for column in (targets, low, high, least, most)]
    probes = 0
    while len(search):
        targets, low, high, least, most = columns
        if probes < INTERPOLATIONS:
            # Between 0 and 1 even where values that nobody has checked are in no order.
            share = (targets - least).astype(np.float32) / np.maximum(most - least, 1)
            steps = (share.clip(0, 1) * (high - low)).astype(np.int32)
            guess = np.minimum(low + steps, high - 1)
        else:
            guess = low + (high - low) // 2
        probed = values_at(guess)
        hit = probed == targets
        positions[search[hit]] = guess[hit]
        beyond = probed < targets
        low, high = np.where(beyond, guess + 1, low), np.where(beyond, high, guess)
        least, most = np.where(beyond, probed + 1, least), np.where(beyond, most, probed)
        remaining = np.flatnonzero((low < high) & ~hit)
        search = search[remaining]
        columns = [column[remaining] for column in (targets, low, high, least, most)]
        probes += 1
    return positions
