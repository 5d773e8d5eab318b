"""Constants and weights from held-out text.

A network with a neural cache counts as two members of the mixture. Their weights
(`mixture_weights.py`) are tied: a network of weight v has (1 - λ) v, and its cache λ v. One λ holds
for all networks: the part of the responsibility of networks and caches that the caches have.

Temperature and cache are chosen among candidates (`adaptation/candidates.py`) by coordinate search:
each in turn takes its best candidate, until neither changes. The weights are fitted anew for each
candidate. Where the best is the lowest or the highest that was tried, the text is read again with
candidates around it.

Before that, hill climbing finds the learning rate and the decay of dynamic evaluation, which it
doubles and halves. It uses the first tokens of the text and the networks alone.

    N tokens · M models · C members, the models and then the caches
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation, require
from seqlm.evaluation.adaptation.candidates import (
    Candidates,
    Columns,
    beyond_the_edge,
    make_candidates,
    score_candidates,
)
from seqlm.evaluation.mixtures.mixture_scoring import LoadedMixture
from seqlm.evaluation.mixtures.mixture_weights import DIGITS, STEPS, fit_weights, round_weights
from seqlm.progress import Progress, silent
from seqlm.text.reading import STDIN, read_blocks
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS

MOST_MOVES = 6
"""How often the candidates move to the edge of those before, at most."""
CANDIDATE_STEPS = 30
"""Steps towards the weights of a candidate, which are compared with others and not used."""
HILL_CLIMBING_TOKENS = 20_000
"""Tokens of the held-out text on which learning rates and decays are tried."""
MIN_GAIN = 1e-4
"""Nats a token that a step of hill climbing has to gain."""


# ------------------------------------------------------------------------------- held-out text


class HeldOutText(NamedTuple):
    """A text that constants and weights are tuned on."""

    name: str
    ids: np.ndarray  # (N,)
    digest: str = ""
    """SHA-256 of the clean text."""


def read_held_out(tokenizer: Tokenizer, file: str, errors: str = "refuse") -> HeldOutText:
    """A text to learn from. Errors: DataError where it cannot be read, or has no token but
    `</s>`."""
    digest, parts = hashlib.sha256(), [np.empty(0, np.int32)]
    for block in read_blocks([file], errors):
        digest.update(block.data)
        parts.append(tokenizer.encode(block))
    ids = np.concatenate(parts)
    if not np.any(ids != EOS):
        raise DataError(f"no text to learn from in {file}: nothing but empty lines")
    return HeldOutText(file, ids, digest.hexdigest())


def check_held_out(held_out: str, files: Sequence[str], setting: str = "tune") -> None:
    """Errors: UsageError where one of the `files` to be evaluated is the file that `setting`
    names."""
    if held_out == STDIN and STDIN in files:
        raise UsageError("- stands for standard input, which can be read once")
    path = Path(held_out)
    for file in files:
        if path.exists() and Path(file).exists() and path.samefile(file):
            raise not_held_out(file, setting)


def not_held_out(file: str, setting: str) -> UsageError:
    """The error where a text is evaluated that `setting` names."""
    return UsageError(f"{file} is the text of `{setting}`, which has to be another, held-out one")


# --------------------------------------------------------------------------------------- tuning


def tune(
    models: LoadedMixture, held_out: HeldOutText, batch_size: int = 64, progress: Progress = silent
) -> LoadedMixture:
    """The models with the weights, and the constants that are not given, under which the held-out
    text is most probable.

    Errors: UsageError where there is nothing to tune; DataError where no model gives any token a
    probability above 0.
    """
    check_tunable(models)
    adaptation, ids = models.adaptation, held_out.ids
    if adaptation.dynamic is not None:
        adaptation = tune_dynamic(models, ids[:HILL_CLIMBING_TOKENS], progress)
    candidates = make_candidates(adaptation, len(ids))
    chosen = choose(models, held_out, adaptation, candidates, batch_size, progress)
    moves = 0
    while has_network(models) and (moved := beyond_the_edge(candidates, *chosen.indices)):
        found = choose(models, held_out, adaptation, moved, batch_size, progress)
        if found.fit.log_prob < chosen.fit.log_prob + MIN_GAIN * len(ids):
            break
        if moves == MOST_MOVES:
            warnings.warn(
                "`tune` has given up its search for the temperature and theta: values beyond those"
                " that it has found are better still",
                stacklevel=2,
            )
            break
        candidates, chosen, moves = moved, found, moves + 1
    best, (temperature, chosen_cache) = chosen
    if has_network(models):
        adaptation = replace(adaptation, softmax_temperature=candidates.temperatures[temperature])
    if candidates.caches:
        config = candidates.caches[chosen_cache]
        adaptation = replace(
            adaptation,
            neural_cache=config.window,
            # It is below 1, as a weight that is given has to be.
            neural_cache_weight=min(round(float(best.cache_share), DIGITS), 1 - 10**-DIGITS),
            neural_cache_theta=config.theta,
        )
    return models._replace(weights=round_weights(best.weights), adaptation=adaptation)


class Fit(NamedTuple):
    """The weights under which a text is most probable."""

    log_prob: float
    """The log-probability of the text."""
    weights: np.ndarray  # (M,) of the models, each with its cache
    cache_share: float
    """λ of the caches."""


class Choice(NamedTuple):
    """The best of some candidates."""

    fit: Fit
    indices: tuple[int, int]
    """Of the temperature and of the cache."""


def choose(
    models: LoadedMixture,
    held_out: HeldOutText,
    adaptation: Adaptation,
    candidates: Candidates,
    batch_size: int,
    progress: Progress,
) -> Choice:
    """The best of the candidates, found in one reading of the text.

    Errors: DataError where no model gives any token a probability above 0.
    """
    ids, constants, columns = held_out.ids, adaptation.with_defaults(), []
    for loaded, type_ids, rms_gradients in models.members():
        progress(f"reading {held_out.name} with {loaded.path}")
        columns.append(
            score_candidates(
                loaded, type_ids[ids], constants, candidates, rms_gradients, batch_size
            )
        )
    first_columns = [model_columns.log_probs[:, 0] for model_columns in columns]
    possible = np.isfinite(np.stack(first_columns)).any(0)
    if not possible.any():
        raise DataError(f"no model gives any token of {held_out.name} a probability above 0")
    columns = [model_columns.at(possible) for model_columns in columns]
    best, *indices = search_candidates(columns, adaptation.neural_cache_weight)
    return Choice(best, (indices[0], indices[1]))


def check_tunable(models: LoadedMixture) -> None:
    """Errors: UsageError where there is nothing to tune."""
    if len(models.models) == 1 and not has_network(models):
        raise UsageError("`tune` weighs several models: name another `model`, or add a `cache`")
    if len(models.models) == 1 and models.adaptation == models.adaptation.with_defaults():
        raise UsageError("`tune` has nothing to find: every constant is given")


def has_network(models: LoadedMixture) -> bool:
    return any(loaded.network is not None for loaded in models.models)


def tune_dynamic(models: LoadedMixture, ids: np.ndarray, progress: Progress = silent) -> Adaptation:
    """The adaptation with the learning rate and the decay, where they are not given, that make
    `ids` (N,) most probable."""
    from seqlm.evaluation.adaptation.dynamic_evaluation import AdaptiveScorer, update_rule

    adaptation, start = models.adaptation, models.adaptation.with_defaults()

    @cache
    def loss(lr: float, decay: float) -> float:
        if decay > 1:
            return math.inf
        constants = replace(start, dynamic_lr=lr, dynamic_decay=decay)
        losses = []  # of each network
        for loaded, type_ids, rms_gradients in models.members():
            if loaded.network is not None:
                scorer = AdaptiveScorer(loaded.network, update_rule(constants, rms_gradients))
                losses.append(-float(scorer(type_ids[ids]).log_probs.mean()))
        mean = sum(losses) / len(losses)
        progress(f"rate {lr:g}, decay {decay:g}: {mean:.4f} nats a token")
        return mean if math.isfinite(mean) else math.inf

    lr, decay = require(start.dynamic_lr), require(start.dynamic_decay)
    if adaptation.dynamic_lr is None:
        lr = hill_climb(lr, lambda value: loss(value, decay))
    if adaptation.dynamic_decay is None:
        decay = hill_climb(decay, lambda value: loss(lr, value))
    return replace(adaptation, dynamic_lr=lr, dynamic_decay=decay)


def hill_climb(value: float, loss: Callable[[float], float]) -> float:
    """Doubles or halves `value` until neither doubling nor halving lowers the loss by MIN_GAIN. The
    result is rounded to six digits."""
    for factor in (2.0, 0.5):
        while loss(next_value := float(f"{value * factor:.6g}")) < loss(value) - MIN_GAIN:
            value = next_value
    return value


def search_candidates(
    columns: Sequence[Columns], cache_share: float | None = None
) -> tuple[Fit, int, int]:
    """The best fit, with the index of its temperature and of its cache. `cache_share` may be
    given."""

    @cache
    def log_prob(temperature: int, cache: int) -> float:
        return fit(columns, temperature, cache, cache_share, CANDIDATE_STEPS).log_prob

    temperatures = range(max(x.log_probs.shape[1] for x in columns))
    caches = range(max(x.cache_probs.shape[1] for x in columns))
    best, before = (len(temperatures) // 2, 0), None
    while best != before:
        before = best
        best = (max(temperatures, key=lambda t: log_prob(t, before[1])), before[1])
        best = (best[0], max(caches, key=lambda c: log_prob(best[0], c), default=0))
    return fit(columns, *best, cache_share), *best


def fit(
    columns: Sequence[Columns],
    temperature: int = 0,
    cache: int = 0,
    cache_share: float | None = None,
    steps: int = STEPS,
) -> Fit:
    """The weights for one temperature and one cache, by their indices."""
    models = [x.log_probs[:, min(temperature, x.log_probs.shape[1] - 1)] for x in columns]
    with_cache = [m for m, x in enumerate(columns) if x.cache_probs.shape[1]]
    with np.errstate(divide="ignore"):
        caches = [np.log(columns[m].cache_probs[:, cache]) for m in with_cache]
    # Where nothing has been read, the cache of a network has the network's own distribution.
    caches = [
        np.where(np.isnan(column), models[m], column) for m, column in zip(with_cache, caches)
    ]
    log_probs = np.stack([*models, *caches], 1)  # (N, C)
    highest = log_probs.max(1, keepdims=True)
    p = np.exp(log_probs - highest)

    def merge(members: np.ndarray) -> tuple[np.ndarray, float]:
        """(C,) of the members -> (M,) of the models, each with its cache, and λ."""
        weights, cache_weights = np.split(members, [len(columns)])
        weights[with_cache] += cache_weights
        if cache_share is not None:
            return weights, cache_share
        return weights, cache_weights.sum() / weights[with_cache].sum()

    def tie(members: np.ndarray) -> np.ndarray:
        """The same λ for every network and its cache."""
        weights, λ = merge(members)
        cache_weights = λ * weights[with_cache]
        weights[with_cache] -= cache_weights
        return np.concatenate([weights, cache_weights])

    members, _ = fit_weights(p, steps, tie if with_cache else None)
    log_prob = float(np.log(p @ members).sum() + highest.sum())
    return Fit(log_prob, *(merge(members) if with_cache else (members, 0.0)))
