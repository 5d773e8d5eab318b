"""The next token, from the model's distribution: pure functions on (B, V) log-probabilities.

`make_chooser` puts them together. What is not allowed, and what is done against repetition
(`repetition.py`), comes first: it belongs to the text and not to the draw. Temperature then gives
the *tempered* distribution, and top-k, top-p and min-p each cut the tail off it. Nothing is
renormalized between them, so that all three look at the same distribution, their order does not
matter, and a token is kept where each one by itself would keep it: the most probable always is.
What is cut is -inf, and is never drawn.

The functions take arrays of numpy as they take tensors (`models.arrays`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.decoding.repetition import Adjustment, forbid, repetition_adjustment
from seqlm.decoding.sampling_noise import Noise
from seqlm.models.arrays import (
    Array,
    argsort,
    as_like,
    double,
    gather,
    library,
    scatter,
    to_numpy,
    topk,
)
from seqlm.text.vocabulary import UNK

Chooser = Callable[[Array, Array], Array]
"""(B, V) log-probabilities and the (B, t) tokens generated so far -> (B,) tokens."""


def make_chooser(
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int | None = None,
    noise: Noise | None = None,
    prompt: Array | None = None,
    unk: bool = True,
) -> Chooser:
    """A way to choose. Temperature 0 is greedy and needs no noise; None cuts nothing.

    `prompt` (P,) is what was read before the first token: it counts as text that may be repeated.
    Without `unk` it is never chosen.
    Errors: UsageError for a value outside its range.
    """
    GenerationSettings(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p
    )  # checks their ranges
    adjust = make_adjustment(repetition_penalty, no_repeat_ngram, prompt, unk)
    if temperature == 0:
        return lambda log_probs, history: greedy(adjust(log_probs, history))
    assert noise is not None, "a temperature above 0 draws, and needs noise to draw with"

    def choose(log_probs: Array, history: Array) -> Array:
        log_probs = apply_temperature(adjust(double(log_probs), history), temperature)
        if top_k is not None:
            log_probs = keep_top_k(log_probs, top_k)
        if top_p is not None and top_p < 1:
            log_probs = keep_top_p(log_probs, top_p)
        if min_p is not None:
            log_probs = keep_min_p(log_probs, min_p)
        return draw(log_probs, as_like(noise.uniform(history.shape[1]), log_probs))

    return choose


def make_adjustment(
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int | None = None,
    prompt: Array | None = None,
    unk: bool = True,
) -> Adjustment:
    """What is done to log-probabilities before a token is chosen, or a beam looks at them.

    Errors: UsageError for a value outside its range.
    """
    against_repetition = repetition_adjustment(repetition_penalty, no_repeat_ngram, prompt)
    if unk:
        return against_repetition
    return lambda log_probs, history: against_repetition(forbid_unk(log_probs), history)


# ------------------------------------------------------------- from log-probabilities to a token


def greedy(log_probs: Array) -> Array:
    """(B, V) -> (B,): the most probable token; the lowest id among equals."""
    if isinstance(log_probs, np.ndarray) or log_probs.device.type != "cpu":
        return log_probs.argmax(1)
    return as_like(to_numpy(log_probs).argmax(1), log_probs)  # PyTorch takes 25 times as long


def draw(log_probs: Array, uniform: Array) -> Array:
    """(B, V), (B,) in [0, 1) -> (B,): the token at which the cumulative sum passes `uniform`.

    The log-probabilities need not be normalized. One of -inf adds nothing to the sum, so that no
    `uniform` can stop at it; the last token where all are.
    """
    cumulative = library(log_probs).exp(log_probs).cumsum(1)
    target = uniform[:, None] * cumulative[:, -1:]  # (B, 1), below the total: uniform < 1
    return (cumulative <= target).sum(1).clip(max=log_probs.shape[1] - 1)


# ---------------------------------------------------------------------- changing the distribution


def apply_temperature(log_probs: Array, temperature: float) -> Array:
    """p^(1/temperature), normalized (Ackley, Hinton & Sejnowski 1985).

    Below 1 it sharpens, above 1 it flattens. The highest is moved to 0 before the division, which
    would otherwise overflow near temperature 0.
    """
    xp = library(log_probs)
    with np.errstate(over="ignore", invalid="ignore"):  # of numpy, which warns of -inf and NaN
        tempered = from_highest(log_probs) / temperature
        return tempered - xp.log(xp.exp(tempered).sum(1))[:, None]


def from_highest(log_probs: Array) -> Array:
    """(B, V) relative to the highest of each row."""
    return log_probs - library(log_probs).amax(log_probs, 1, keepdims=True)


def forbid_unk(log_probs: Array) -> Array:
    """-inf for `<unk>`; a row in which this would leave no token is not changed."""
    return forbid(log_probs, slice(None), UNK)


def keep_top_k(log_probs: Array, k: int) -> Array:
    """The k most probable tokens (Fan, Lewis & Dauphin 2018)."""
    ids = top_ids(log_probs, min(k, log_probs.shape[1]))
    return keep(log_probs, ids, gather(log_probs, ids))


def keep_top_p(log_probs: Array, p: float) -> Array:
    """The nucleus: the fewest tokens whose mass reaches p (Holtzman et al. 2020)."""
    xp, vocab_size = library(log_probs), log_probs.shape[1]
    size = min(256, vocab_size)
    while True:  # A nucleus is mostly small; sorting the whole vocabulary costs ten times as much.
        ids = top_ids(log_probs, size)  # (B, size)
        values = gather(log_probs, ids)
        mass = xp.exp(values).cumsum(1)
        reached = (mass[:, -1] >= p) | (values[:, -1] == -math.inf)
        if size == vocab_size or reached.all():
            break
        size = min(4 * size, vocab_size)
    before = xp.concatenate([xp.zeros_like(mass[:, :1]), mass[:, :-1]], 1)  # of those more probable
    return keep(log_probs, ids, xp.where(before >= p, -math.inf, values))


def keep_min_p(log_probs: Array, p: float) -> Array:
    """The tokens at least p times as probable as the most probable one (Nguyen et al. 2024)."""
    xp = library(log_probs)
    return xp.where(xp.exp(from_highest(log_probs)) < p, -math.inf, log_probs)


def keep(log_probs: Array, ids: Array, values: Array) -> Array:
    """(B, V) that holds (B, k) `values` at `ids` and -inf elsewhere."""
    return scatter(library(log_probs).full_like(log_probs, -math.inf), ids, values)


def top_ids(values: Array, k: int) -> Array:
    """(B, N) -> (B, k) indices of the k highest, falling; among equals the lower index first.

    `topk` finds the k-th value but promises nothing about ties, which the counts of an n-gram model
    are full of; a stable sort would keep the promise at fifty times the price.
    """
    best, indices = topk(values, min(k + 1, values.shape[1]))
    if best.shape[1] > k and (best[:, k - 1] == best[:, k]).any():  # the k-th has equals further on
        kth = best[:, k - 1 : k]
        above, equal = values > kth, values == kth
        needed = k - above.sum(1)[:, None]
        chosen = above | (equal & (equal.cumsum(1) <= needed))  # k a row
        indices = library(chosen).where(chosen)[1].reshape(-1, k)
    indices = gather(indices[:, :k], argsort(indices[:, :k]))
    return gather(indices, argsort(-gather(values, indices)))
