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

import torch
from torch import Tensor

from seqlm.decoding.decoding_settings import GenerationSettings

Adjustment = Callable[[Tensor, Tensor], Tensor]
"""(B, V) log-probabilities and the (B, t) tokens generated so far -> (B, V) adjusted ones."""


def repetition_adjustment(
    penalty: float = 1.0, ngram: int | None = None, prompt: Tensor | None = None
) -> Adjustment:
    """The repetition penalty and the ban on repeated n-grams together.

    A `penalty` of 1 and an `ngram` of None change nothing; the tokens of `prompt` (P,) belong to
    the text so far.
    Errors: UsageError for a value outside its range.
    """
    GenerationSettings(repetition_penalty=penalty, no_repeat_ngram=ngram)  # checks their ranges

    def adjust(log_probs: Tensor, history: Tensor) -> Tensor:
        if penalty == 1 and ngram is None:
            return log_probs
        if prompt is not None:
            history = torch.cat([prompt.expand(len(history), -1), history], 1)
        if penalty != 1:
            log_probs = penalize_tokens(log_probs, history, penalty)
        return log_probs if ngram is None else forbid_repeats(log_probs, history, ngram)

    return adjust


def penalize_tokens(log_probs: Tensor, history: Tensor, penalty: float) -> Tensor:
    """(B, V), (B, t): multiplies the log-probability of every token in `history` by `penalty`, once
    however often it occurs."""
    return log_probs.scatter(1, history, penalty * log_probs.gather(1, history))


def forbid_repeats(log_probs: Tensor, history: Tensor, n: int) -> Tensor:
    """(B, V), (B, t): -inf where the token would complete an n-gram that is in `history`."""
    t = history.shape[1]
    if t < n:
        return log_probs
    prefix = history[:, t - n + 1 :]  # (B, n-1)
    ngrams = history.unfold(1, n, 1)  # (B, t-n+1, n)
    matches = (ngrams[..., :-1] == prefix[:, None]).all(2)  # (B, t-n+1)
    counts = torch.zeros_like(log_probs).scatter_add(
        1, ngrams[..., -1], matches.to(log_probs.dtype)
    )
    remaining = log_probs.masked_fill(counts > 0, -math.inf)
    return remaining.where(remaining.isfinite().any(1, keepdim=True), log_probs)
