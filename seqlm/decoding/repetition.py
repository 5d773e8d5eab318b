"""Against repetition: log-probabilities changed by what the text has held so far.

    p_v     the model's probability of token v      S   the tokens of the text so far
    theta   how much a token of S is discouraged    n   the length that may not occur twice

The repetition penalty (Keskar et al. 2019, "CTRL") divides the logits of S by theta, which makes
one below 0 *more* probable. No log-probability is above 0, and so on them the idea has one sign:

    log p_v  <-  theta log p_v,   v in S            p_v^theta <= p_v for theta >= 1

*No repeated n-grams* (Paulus, Xiong & Socher 2018) gives no probability to a token that would
complete an n-gram for the second time. A row in which this would leave no token is not changed.

What comes out need not sum to 1: sampling normalizes it, and beam search adds it up as it is. The
text so far is the prompt and what was generated; `</s>` in it is a token like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.models.arrays import Array, gather, library, scatter

Adjustment = Callable[[Array, Array], Array]
"""(B, V) log-probabilities and the (B, t) tokens generated so far -> (B, V) adjusted ones."""


def repetition_adjustment(
    penalty: float = 1.0, ngram: int | None = None, prompt: Array | None = None
) -> Adjustment:
    """The repetition penalty and the ban on repeated n-grams together.

    A `penalty` of 1 and an `ngram` of None change nothing; the tokens of `prompt` (P,) belong to
    the text so far.
    Errors: UsageError for a value outside its range.
    """
    GenerationSettings(repetition_penalty=penalty, no_repeat_ngram=ngram)  # checks their ranges

    def adjust(log_probs: Array, history: Array) -> Array:
        if penalty == 1 and ngram is None:
            return log_probs
        if prompt is not None:
            xp = library(history)
            before = xp.broadcast_to(prompt, (len(history), len(prompt)))
            history = xp.concatenate([before, history], 1)
        if penalty != 1:
            log_probs = penalize_tokens(log_probs, history, penalty)
        return log_probs if ngram is None else forbid_repeats(log_probs, history, ngram)

    return adjust


def penalize_tokens(log_probs: Array, history: Array, penalty: float) -> Array:
    """(B, V), (B, t): multiplies the log-probability of every token in `history` by `penalty`, once
    however often it occurs."""
    with np.errstate(over="ignore"):  # of numpy, which warns where a logarithm becomes -inf
        return scatter(log_probs, history, penalty * gather(log_probs, history))


def forbid_repeats(log_probs: Array, history: Array, n: int) -> Array:
    """(B, V), (B, t): -inf where the token would complete an n-gram that is in `history`."""
    t = history.shape[1]
    if t < n:
        return log_probs
    starts = t - n + 1  # of the n-grams of the history
    matches = history[:, :starts] >= 0  # (B, t-n+1), all of them so far
    for k in range(n - 1):
        matches = matches & (history[:, k : starts + k] == history[:, starts + k, None])
    rows, at = library(matches).where(matches)
    return forbid(log_probs, rows, history[rows, at + n - 1])


def forbid(log_probs: Array, rows: Array, tokens: Array) -> Array:
    """(B, V), (N,), (N,): -inf for each of `tokens` in its row of `rows`; a row in which this would
    leave no token is not changed."""
    xp = library(log_probs)
    ban = xp.zeros_like(log_probs)
    ban[rows, tokens] = -math.inf
    remaining = log_probs + ban
    return xp.where(xp.amax(remaining, 1, keepdims=True) > -math.inf, remaining, log_probs)
