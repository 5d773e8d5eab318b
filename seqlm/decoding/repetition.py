"""Against repetition: log-probabilities changed by what the text has held so far.

    p_v     the model's probability of token v      S   the tokens of the text so far
    theta   how much a token of S is discouraged    n   the length that may not occur twice

The repetition penalty (Keskar et al. 2019, "CTRL") divides the logits of S by theta, which makes
one below 0 *more* probable. No log-probability is above 0, and so on them the idea has one sign:

    log p_v  <-  theta log p_v,   v in S            p_v^theta <= p_v for theta >= 1

*No repeated n-grams* (Paulus, Xiong & Socher 2018) gives no probability to a token that would
complete an n-gram for the second time. A row that is left nothing by this is left as it was.

What comes out need not sum to 1: whoever draws normalises, and a beam adds up what it is given. The
text so far is the prompt and what was generated; `</s>` in it is a token like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from seqlm.errors import UsageError

Adjust = Callable[[Tensor, Tensor], Tensor]
"""(B, V) log-probabilities and the (B, t) tokens generated so far -> (B, V)."""


def repetition(
    penalty: float = 1.0, ngram: int | None = None, prompt: Tensor | None = None
) -> Adjust:
    """Both together. `penalty` 1 and `ngram` None change nothing; `prompt` (P,) is text so far too.

    Errors: UsageError for a value outside its range.
    """
    if not 1 <= penalty < math.inf:
        raise UsageError(f"repetition-penalty must be 1 or more, not {penalty}")
    if ngram is not None and ngram < 1:
        raise UsageError(f"no-repeat-ngram must be 1 or more, not {ngram}")

    def adjust(log_probs: Tensor, history: Tensor) -> Tensor:
        if penalty == 1 and ngram is None:
            return log_probs
        if prompt is not None:
            history = torch.cat([prompt.expand(len(history), -1), history], 1)
        if penalty != 1:
            log_probs = discourage(log_probs, history, penalty)
        return log_probs if ngram is None else forbid_repeats(log_probs, history, ngram)

    return adjust


def discourage(log_probs: Tensor, history: Tensor, penalty: float) -> Tensor:
    """(B, V), (B, t): those of the tokens in `history`, once or often, times `penalty`."""
    return log_probs.scatter(1, history, penalty * log_probs.gather(1, history))


def forbid_repeats(log_probs: Tensor, history: Tensor, n: int) -> Tensor:
    """(B, V), (B, t): -inf where the token would complete an n-gram that is in `history`."""
    t = history.shape[1]
    if t < n:
        return log_probs
    begun = history[:, t - n + 1 :]  # (B, n-1)
    ngrams = history.unfold(1, n, 1)  # (B, t-n+1, n)
    alike = (ngrams[..., :-1] == begun[:, None]).all(2)  # (B, t-n+1)
    times = torch.zeros_like(log_probs).scatter_add(1, ngrams[..., -1], alike.to(log_probs.dtype))
    left = log_probs.masked_fill(times > 0, -math.inf)
    return left.where(left.isfinite().any(1, keepdim=True), log_probs)
