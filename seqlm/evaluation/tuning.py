"""Weights of a mixture from held-out text (Jelinek & Mercer, 1980).

The hidden thing is which model a token came from: expectation maximisation (Dempster, Laird &
Rubin, 1977) finds the weights under which the text is most probable. No step makes it less so, and
as Σ_i ln Σ_m λ_m p_m(i) is concave in λ, the steps lead to its one maximum.

    r_im  =  λ_m p_m(i) / Σ_k λ_k p_k(i)      how likely token i is to have come from model m
    λ_m   =  1/N Σ_i r_im
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.mixing import Mix, MixScorer
from seqlm.text.reading import STDIN, blocks
from seqlm.text.vocabulary import EOS

STEPS = 1000
TOLERANCE = 1e-9
"""Steps end where no weight moves further than this."""
DIGITS = 6
"""Decimals of a tuned weight, so that what is printed is what was used."""


class Tuned(NamedTuple):
    mix: Mix
    tokens: int
    digest: str
    """SHA-256 of the text it was tuned on."""


def tune(mix: Mix, held_out: str, batch_size: int = 64, errors: str = "strict") -> Tuned:
    """The mix with the weights under which the text `held_out` is most probable.

    Errors: DataError where there is no token, or none that any model thinks possible.
    """
    scorer, digest, parts, words = MixScorer(mix, batch_size), hashlib.sha256(), [], 0
    for block in blocks([held_out], errors):
        digest.update(block.data)
        ids = mix.tokenizer.encode(block)
        parts.append(scorer.each(ids))
        words += int(np.count_nonzero(ids != EOS))
    if words == 0:
        raise DataError(f"no text to tune on in {held_out}: nothing but empty lines")
    log_probs = np.concatenate(parts)  # (N, M)
    best = log_probs.max(1, keepdims=True)
    possible = np.isfinite(best[:, 0])
    if not possible.any():
        raise DataError(f"no model thinks any token of {held_out} possible")
    weights, _ = em(np.exp(log_probs[possible] - best[possible]))
    return Tuned(mix._replace(weights=rounded(weights)), len(log_probs), digest.hexdigest())


def check_held_out(held_out: str, sources: Sequence[str]) -> None:
    """Errors: UsageError where one of the texts to be evaluated is the file `held_out`."""
    if held_out == STDIN and STDIN in sources:
        raise UsageError("- stands for standard input, which can be read once")
    path = Path(held_out)
    for source in sources:
        if path.exists() and Path(source).exists() and path.samefile(source):
            raise not_held_out(source)


def not_held_out(source: str) -> UsageError:
    return UsageError(f"{source} is the text of --tune, which has to be another, held-out one")


def em(probabilities: np.ndarray, steps: int = STEPS) -> tuple[np.ndarray, int]:
    """(N, M) probabilities, scaled by any factor a row -> (M,) weights, and the steps it took."""
    weights = np.full(probabilities.shape[1], 1 / probabilities.shape[1])
    for step in range(1, steps + 1):
        before, weights = weights, improved(weights, probabilities)
        if np.abs(weights - before).max() < TOLERANCE:
            return weights, step
    return weights, steps


def improved(weights: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """One step: (M,) weights -> (M,) their mean responsibilities."""
    mixed = probabilities @ weights  # (N,)
    better: np.ndarray = weights * (probabilities.T @ (1 / mixed)) / len(mixed)
    return better


def rounded(weights: np.ndarray) -> list[float]:
    """To DIGITS; the largest makes up for what that takes from the sum."""
    short = weights.round(DIGITS)
    largest = short.argmax()
    short[largest] = (1 - np.delete(short, largest).sum()).round(DIGITS)
    found: list[float] = short.tolist()
    return found
