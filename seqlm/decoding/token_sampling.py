"""The next token, from the model's distribution: pure functions on (B, V) log-probabilities.

`make_chooser` puts them together. What is not allowed, and what is done against repetition
(`repetition.py`), comes first: it belongs to the text and not to the draw. Temperature then gives
the *tempered* distribution, and top-k, top-p and min-p each cut the tail off it. Nothing is
renormalized between them, so that all three look at the same distribution, their order does not
matter, and a token is kept where each one by itself would keep it: the most probable always is.
What is cut is -inf, and is never drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.decoding.repetition import Adjustment, repetition_adjustment
from seqlm.decoding.sampling_noise import Noise
from seqlm.text.vocabulary import UNK

Chooser = Callable[[Tensor, Tensor], Tensor]
"""(B, V) log-probabilities and the (B, t) tokens generated so far -> (B,) tokens."""


def make_chooser(
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int | None = None,
    noise: Noise | None = None,
    prompt: Tensor | None = None,
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

    def choose(log_probs: Tensor, history: Tensor) -> Tensor:
        log_probs = apply_temperature(adjust(log_probs.double(), history), temperature)
        if top_k is not None:
            log_probs = keep_top_k(log_probs, top_k)
        if top_p is not None and top_p < 1:
            log_probs = keep_top_p(log_probs, top_p)
        if min_p is not None:
            log_probs = keep_min_p(log_probs, min_p)
        return draw(log_probs, noise.uniform(history.shape[1]).to(log_probs.device))

    return choose


def make_adjustment(
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int | None = None,
    prompt: Tensor | None = None,
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


def greedy(log_probs: Tensor) -> Tensor:
    """(B, V) -> (B,): the most probable token; the lowest id among equals."""
    return log_probs.argmax(1)


def draw(log_probs: Tensor, uniform: Tensor) -> Tensor:
    """(B, V), (B,) in [0, 1) -> (B,): the token at which the cumulative sum passes `uniform`.

    The log-probabilities need not be normalized. One of -inf adds nothing to the sum, so that no
    `uniform` can stop at it.
    """
    cumulative = log_probs.exp().cumsum(1)
    target = uniform[:, None] * cumulative[:, -1:]  # (B, 1), below the total: uniform < 1
    return torch.searchsorted(cumulative, target, right=True)[:, 0]


# ---------------------------------------------------------------------- changing the distribution


def apply_temperature(log_probs: Tensor, temperature: float) -> Tensor:
    """p^(1/temperature), normalized (Ackley, Hinton & Sejnowski 1985).

    Below 1 it sharpens, above 1 it flattens. The highest is moved to 0 before the division, which
    would otherwise overflow near temperature 0.
    """
    return ((log_probs - log_probs.amax(1, keepdim=True)) / temperature).log_softmax(1)


def forbid_unk(log_probs: Tensor) -> Tensor:
    """-inf for `<unk>`; a row in which this would leave no token is not changed."""
    remaining = log_probs.index_fill(1, torch.tensor([UNK], device=log_probs.device), -math.inf)
    return remaining.where(remaining.isfinite().any(1, keepdim=True), log_probs)


def keep_top_k(log_probs: Tensor, k: int) -> Tensor:
    """The k most probable tokens (Fan, Lewis & Dauphin 2018)."""
    ids = top_ids(log_probs, min(k, log_probs.shape[1]))
    return scatter_log_probs(log_probs, ids, log_probs.gather(1, ids))


def keep_top_p(log_probs: Tensor, p: float) -> Tensor:
    """The nucleus: the fewest tokens whose mass reaches p (Holtzman et al. 2020)."""
    vocab_size = log_probs.shape[1]
    size = min(256, vocab_size)
    while True:  # A nucleus is mostly small; sorting the whole vocabulary costs ten times as much.
        ids = top_ids(log_probs, size)  # (B, size)
        values = log_probs.gather(1, ids)
        mass = values.exp().cumsum(1)
        reached = (mass[:, -1] >= p) | values[:, -1].isneginf()
        if size == vocab_size or reached.all():
            break
        size = min(4 * size, vocab_size)
    mass_before = pad(mass[:, :-1], (1, 0))  # of the more probable tokens; 0 for the first
    return scatter_log_probs(log_probs, ids, values.masked_fill(mass_before >= p, -math.inf))


def keep_min_p(log_probs: Tensor, p: float) -> Tensor:
    """The tokens at least p times as probable as the most probable one (Nguyen et al. 2024)."""
    relative = (log_probs - log_probs.amax(1, keepdim=True)).exp()
    return log_probs.masked_fill(relative < p, -math.inf)


def scatter_log_probs(log_probs: Tensor, ids: Tensor, values: Tensor) -> Tensor:
    """(B, V) that holds (B, k) `values` at `ids` and -inf elsewhere."""
    return torch.full_like(log_probs, -math.inf).scatter(1, ids, values)


def top_ids(values: Tensor, k: int) -> Tensor:
    """(B, N) -> (B, k) indices of the k highest, falling; among equals the lower index first.

    `topk` finds the k-th value but promises nothing about ties, which the counts of an n-gram model
    are full of; a stable sort would keep the promise at fifty times the price.
    """
    best, indices = values.topk(min(k + 1, values.shape[1]))
    if best.shape[1] > k and (best[:, k - 1] == best[:, k]).any():  # the k-th has equals further on
        kth = best[:, k - 1 : k]
        above, equal = values > kth, values == kth
        needed = k - above.sum(1, keepdim=True)
        chosen = above | (equal & (equal.cumsum(1) <= needed))  # k a row
        indices = chosen.nonzero()[:, 1].view(-1, k)
    indices = indices[:, :k].sort(1).values
    order = values.gather(1, indices).sort(dim=1, descending=True, stable=True).indices
    return indices.gather(1, order)
