"""The weights of a linear mixture: checked where they are given, and found on held-out text.

The weights of a mixture (Jelinek & Mercer 1980) by expectation maximization (Dempster, Laird &
Rubin 1977): the hidden variable is the member that a token came from.

    r_im  =  w_m p_m(i) / Σ_k w_k p_k(i)      how likely token i is to have come from m
    w_m   =  1/N Σ_i r_im

No step makes the text less probable, and as Σ_i ln Σ_m w_m p_m(i) is concave in w, the steps lead
to its one maximum.

    N tokens · C members of the mixture
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from seqlm.arguments import list_numbers
from seqlm.errors import UsageError

STEPS = 1000
TOLERANCE = 1e-9
"""The steps end where no weight moves further than this."""
DIGITS = 6
"""Decimals of a tuned weight, so that the weights that are printed are those that were used."""


def check_weights(weights: Sequence[float], models: int) -> list[float]:
    """The weights of so many models, scaled to the sum 1 that they miss by a rounding error.

    Errors: UsageError where they are not one weight a model, negative, infinite, or sum to another
    number.
    """
    weights = list_numbers("weights", weights)
    mix = f"`mix={','.join(f'{weight:g}' for weight in weights)}`"
    if models == 1:
        raise UsageError("`mix` weighs several models: name another `model`, or add a `cache`")
    if len(weights) != models:
        raise UsageError(f"{mix}: {models} models take {models} weights, not {len(weights)}")
    if not all(0 <= weight < math.inf for weight in weights):
        raise UsageError(f"{mix}: every weight is a number of 0 or more")
    total = sum(weights)
    if abs(total - 1) > 1e-3:
        raise UsageError(f"{mix}: the weights sum to {total:g} instead of 1")
    return [weight / total for weight in weights]


def fit_weights(
    probabilities: np.ndarray,
    steps: int = STEPS,
    tie: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, int]:
    """(N, C) probabilities, scaled by any factor a row -> (C,) weights, and the steps it took.

    `tie` maps weights to the nearest that are allowed.
    """
    weights = np.full(probabilities.shape[1], 1 / probabilities.shape[1])
    weights = tie(weights) if tie else weights
    for step in range(1, steps + 1):
        updated = em_step(weights, probabilities)
        before, weights = weights, tie(updated) if tie else updated
        if np.abs(weights - before).max() < TOLERANCE:
            return weights, step
    return weights, steps


def em_step(weights: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(C,) weights -> (C,) their mean responsibilities, which are the weights of the next step."""
    mixed = probabilities @ weights  # (N,)
    updated: np.ndarray = weights * (probabilities.T @ (1 / mixed)) / len(mixed)
    return updated


def round_weights(weights: np.ndarray) -> list[float]:
    """The weights to DIGITS decimals; the largest takes up what rounding changes in the sum."""
    short = weights.round(DIGITS)
    largest = short.argmax()
    short[largest] = (1 - np.delete(short, largest).sum()).round(DIGITS)
    rounded: list[float] = short.tolist()
    return rounded
