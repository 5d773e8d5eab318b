"""Constants and weights from held-out text.

The weights of a mixture (Jelinek & Mercer, 1980): the hidden thing is which member a token came
from, and expectation maximisation (Dempster, Laird & Rubin, 1977) finds the weights under which the
text is most probable. No step makes it less so, and as Σ_i ln Σ_m w_m p_m(i) is concave in w, the
steps lead to its one maximum.

    r_im  =  w_m p_m(i) / Σ_k w_k p_k(i)      how likely token i is to have come from m
    w_m   =  1/N Σ_i r_im

The neural cache of a network is a member of its own, and its λ is found with the weights: a network
of weight v speaks with (1 - λ) v and its cache with λ v, where λ is the share of the caches in what
networks and caches together are responsible for. The other constants are candidates (`candidates`):
temperature and cache in turn take the best, with the weights found anew for each, until nothing
changes. Before that, the rate and decay of dynamic evaluation climb by factors of 2 on the first
tokens of the text, for the networks alone.

    N tokens · M models · C members, the models and then the caches
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.adaptation.candidates import Columns, candidates, columns
from seqlm.evaluation.adaptation.constants import Adaptation
from seqlm.evaluation.adaptation.dynamic_evaluation import AdaptiveScorer, known, rule_of
from seqlm.evaluation.mixture_scoring import Mix
from seqlm.models.base import LanguageNetwork
from seqlm.progress import Progress, silent
from seqlm.text.reading import STDIN, read_blocks
from seqlm.text.vocabulary import EOS

STEPS = 1000
TOLERANCE = 1e-9
"""Steps end where no weight moves further than this."""
TRIAL_STEPS = 30
"""Of a candidate, which is compared with others and not kept."""
CLIMBED = 20_000
"""Tokens of the held-out text on which a rate and a decay are tried."""
DIGITS = 6
"""Decimals of a tuned weight, so that what is printed is what was used."""


class Tuned(NamedTuple):
    mix: Mix
    tokens: int
    digest: str
    """SHA-256 of the text it was tuned on."""


def tune(
    mix: Mix,
    held_out: str,
    batch_size: int = 64,
    errors: str = "strict",
    progress: Progress = silent,
) -> Tuned:
    """The mix with the weights, and the constants that are not given, under which the text
    `held_out` is most probable.

    Errors: UsageError where there is nothing to find; DataError where there is no token, or none
    that any model thinks possible.
    """
    adaptation = mix.adaptation
    has_network = any(isinstance(one.model, LanguageNetwork) for one in mix.models)
    if len(mix.models) == 1 and not has_network:
        raise UsageError("--tune weighs several models: -m names another, --cache adds one")
    if len(mix.models) == 1 and adaptation == adaptation.settled():
        raise UsageError("--tune finds what no flag gives, and all is given")
    ids, digest = read_text(mix, held_out, errors)
    if adaptation.segment is not None:
        adaptation = climbed(mix, ids[:CLIMBED], progress)
    every, found = candidates(adaptation, len(ids)), []
    for one, own, roots in zip(mix.models, mix.ids, mix.each_roots):
        progress(f"reading {held_out} with {one.path}")
        constants = adaptation.settled()
        found.append(columns(one, own[ids], constants, every, roots, batch_size))
    possible = np.isfinite(np.stack([each.spoken[:, 0] for each in found])).any(0)
    if not possible.any():
        raise DataError(f"no model thinks any token of {held_out} possible")
    best, temperature, recalled = search([each.at(possible) for each in found], adaptation.weight)
    if has_network:
        adaptation = replace(adaptation, temperature=every.temperatures[temperature])
    if every.caches:
        config = every.caches[recalled]
        adaptation = replace(
            adaptation,
            window=config.window,
            weight=round(best.share, DIGITS),
            flatness=config.theta,
        )
    tuned = mix._replace(weights=rounded(best.weights), adaptation=adaptation)
    return Tuned(tuned, len(ids), digest)


def read_text(mix: Mix, source: str, errors: str = "strict") -> tuple[np.ndarray, str]:
    """A text's ids (N,) and its SHA-256. Errors: DataError where there is no token."""
    digest, parts = hashlib.sha256(), [np.empty(0, np.int32)]
    for block in read_blocks([source], errors):
        digest.update(block.data)
        parts.append(mix.tokenizer.encode(block))
    ids = np.concatenate(parts)
    if not np.any(ids != EOS):
        raise DataError(f"no text to learn from in {source}: nothing but empty lines")
    return ids, digest.hexdigest()


def check_held_out(held_out: str, sources: Sequence[str], flag: str = "--tune") -> None:
    """Errors: UsageError where one of the texts to be evaluated is the file that `flag` names."""
    if held_out == STDIN and STDIN in sources:
        raise UsageError("- stands for standard input, which can be read once")
    path = Path(held_out)
    for source in sources:
        if path.exists() and Path(source).exists() and path.samefile(source):
            raise not_held_out(source, flag)


def not_held_out(source: str, flag: str) -> UsageError:
    return UsageError(f"{source} is the text of {flag}, which has to be another, held-out one")


# -------------------------------------------------------------------------------------- constants


def climbed(mix: Mix, ids: np.ndarray, progress: Progress = silent) -> Adaptation:
    """With the rate and the decay, where none is given, that make `ids` (N,) most probable."""
    given, start = mix.adaptation, mix.adaptation.settled()

    @cache
    def loss(rate: float, decay: float) -> float:
        if decay > 1:
            return math.inf
        tried, total = replace(start, rate=rate, decay=decay), 0.0
        for one, own, roots in zip(mix.models, mix.ids, mix.each_roots):
            if isinstance(one.model, LanguageNetwork):
                scorer = AdaptiveScorer(one.model, rule_of(tried, roots))
                total -= float(scorer(own[ids]).log_probs.mean())
        progress(f"rate {rate:g}, decay {decay:g}: {total:.4f} nats a token")
        return total if math.isfinite(total) else math.inf

    rate, decay = known(start.rate), known(start.decay)
    if given.rate is None:
        rate = climb(rate, lambda value: loss(value, decay))
    if given.decay is None:
        decay = climb(decay, lambda value: loss(rate, value))
    return replace(given, rate=rate, decay=decay)


GAIN = 1e-4
"""Nats a token that are worth another reading of the text."""


def climb(value: float, loss: Callable[[float], float]) -> float:
    """The value, short to print, from which no factor of 2 lessens the loss by GAIN."""
    for factor in (2.0, 0.5):
        while loss(further := float(f"{value * factor:.6g}")) < loss(value) - GAIN:
            value = further
    return value


class Fit(NamedTuple):
    log_prob: float
    """Of the text."""
    weights: np.ndarray  # (M,) of the models, each with its cache
    share: float
    """λ of the caches."""


def search(found: Sequence[Columns], share: float | None = None) -> tuple[Fit, int, int]:
    """The best fit, with the index of its temperature and of its cache. `share` may be given."""

    @cache
    def tried(temperature: int, recalled: int) -> float:
        return fit(found, temperature, recalled, share, TRIAL_STEPS).log_prob

    temperatures = range(max(each.spoken.shape[1] for each in found))
    caches = range(max(each.recalled.shape[1] for each in found))
    best, before = (len(temperatures) // 2, 0), None
    while best != before:
        before = best
        best = (max(temperatures, key=lambda t: tried(t, before[1])), before[1])
        best = (best[0], max(caches, key=lambda c: tried(best[0], c), default=0))
    return fit(found, *best, share), *best


def fit(
    found: Sequence[Columns],
    temperature: int = 0,
    recalled: int = 0,
    share: float | None = None,
    steps: int = STEPS,
) -> Fit:
    """The weights for one temperature and one cache, by their indices."""
    spoken = [each.spoken[:, min(temperature, each.spoken.shape[1] - 1)] for each in found]
    networks = [m for m, each in enumerate(found) if each.recalled.shape[1]]
    with np.errstate(divide="ignore"):
        caches = [np.log(found[m].recalled[:, recalled]) for m in networks]
    # Where nothing has been read yet a network speaks alone.
    caches = [np.where(np.isnan(own), spoken[m], own) for m, own in zip(networks, caches)]
    log_probs = np.stack([*spoken, *caches], 1)  # (N, C)
    most = log_probs.max(1, keepdims=True)
    p = np.exp(log_probs - most)

    def tied(members: np.ndarray) -> tuple[np.ndarray, float]:
        """(C,) of the members -> (M,) of the models, each with its cache, and λ."""
        weights, own = np.split(members, [len(found)])
        weights[networks] += own
        return weights, own.sum() / weights[networks].sum() if share is None else share

    def tie(members: np.ndarray) -> np.ndarray:
        """The same λ for every network and its cache."""
        weights, λ = tied(members)
        own = λ * weights[networks]
        weights[networks] -= own
        return np.concatenate([weights, own])

    members, _ = em(p, steps, tie if networks else None)
    log_prob = float(np.log(p @ members).sum() + most.sum())
    return Fit(log_prob, *(tied(members) if networks else (members, 0.0)))


# ---------------------------------------------------------------------------------------- weights


def em(
    probabilities: np.ndarray,
    steps: int = STEPS,
    tie: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, int]:
    """(N, C) probabilities, scaled by any factor a row -> (C,) weights, and the steps it took.

    `tie` brings weights to the nearest that are allowed.
    """
    weights = np.full(probabilities.shape[1], 1 / probabilities.shape[1])
    weights = tie(weights) if tie else weights
    for step in range(1, steps + 1):
        better = improved(weights, probabilities)
        before, weights = weights, tie(better) if tie else better
        if np.abs(weights - before).max() < TOLERANCE:
            return weights, step
    return weights, steps


def improved(weights: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """One step: (C,) weights -> (C,) their mean responsibilities."""
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
