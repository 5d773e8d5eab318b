"""A unigram cache: recent words are likely to occur again (Kuhn & De Mori, 1990).

                    Σ γ^(t-1-i) [x_i = w]
    p(w | x_<t)  =  ---------------------      over the last S positions i before t;  γ = e^-decay
                    Σ γ^(t-1-i)

With decay 0 all positions have equal weights, as in the paper; above 0 the nearest weigh most
(Clarkson & Robinson, 1997). `</s>` is a token like any other, so that p sums to 1 over the
vocabulary. Before the first token is read, p is uniform. Nothing is learned: the cache is made to
be mixed with a model.

To score a text, equal tokens are brought together by sorting. Let i_1 < i_2 < … be the positions of
one type. The sum over all occurrences before the k-th follows from the one before it:

    E_k  =  γ^(i_k - i_{k-1}) E_{k-1}  +  γ^(i_k - 1 - i_{k-1})

and the occurrences that have left the window are subtracted, where i_f is the first that is in it:

    sum at i_k  =  E_k - γ^(i_k - i_f) E_f

    B rows · T new tokens · S size of the cache · L = S + T · V vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqlm.models.base import LanguageModel

DEFAULT_DECAY = 0.008
"""The best decay for the Penn Treebank."""
CHUNK = 1 << 16
"""Tokens that are scored at once."""
EMPTY = -1
"""The token at positions of the cache that have not been filled yet."""


@dataclass(frozen=True)
class UnigramCacheConfig:
    vocab_size: int
    size: int = 500
    """S, the number of tokens in the cache."""
    decay: float = DEFAULT_DECAY
    """Nats by which the weight of a token falls with every token after it."""


class UnigramCacheState(NamedTuple):
    tokens: Tensor  # (B, S) int32, the newest last, EMPTY in front


class UnigramCache(LanguageModel):
    config_class = UnigramCacheConfig
    config: UnigramCacheConfig
    weights: Tensor  # (S,) float64, of the positions of the cache, the newest last

    def __init__(self, config: UnigramCacheConfig) -> None:
        super().__init__(config)
        age = torch.arange(config.size - 1, -1, -1)
        self.register_buffer("weights", self._decayed(age))

    def start(self, rows: int) -> UnigramCacheState:
        tokens = torch.full((rows, self.config.size), EMPTY, dtype=torch.int32)
        return UnigramCacheState(tokens.to(self.device))

    def advance(self, state: UnigramCacheState, tokens: Tensor) -> UnigramCacheState:
        text = torch.cat([state.tokens, tokens.int()], 1)  # (B, L)
        return UnigramCacheState(text[:, -self.config.size :])

    def log_probs(self, state: UnigramCacheState) -> Tensor:
        weights = self.weights * (state.tokens != EMPTY)  # (B, S)
        sums = weights.new_zeros(len(weights), self.config.vocab_size)
        sums.scatter_add_(1, state.tokens.clamp(min=0).long(), weights)
        return self._log_ratio(sums, weights.sum(1, keepdim=True))

    def score(self, state: UnigramCacheState, tokens: Tensor) -> tuple[Tensor, UnigramCacheState]:
        size = self.config.size
        totals = pad(self.weights.flip(0).cumsum(0), (1, 0))  # (S + 1,) of the last 0, 1, … tokens
        scores = [totals.new_zeros(len(tokens), 0)]
        # A chunk is at least as long as the cache, which is read again in front of each.
        for chunk in tokens.split(max(CHUNK // max(1, len(tokens)), size), dim=1):
            text = torch.cat([state.tokens, chunk.int()], 1)  # (B, L)
            filled = (text != EMPTY).cumsum(1)[:, size - 1 : -1].clamp(max=size)  # (B, t)
            sums = self._sums_of_equal_tokens(text)[:, size:]  # (B, t)
            scores.append(self._log_ratio(sums, totals[filled]))
            state = UnigramCacheState(text[:, -size:])
        return torch.cat(scores, 1), state

    def _decayed(self, age: Tensor) -> Tensor:
        """γ^age, in float64."""
        return torch.exp(-self.config.decay * age.double())

    def _log_ratio(self, sums: Tensor, totals: Tensor) -> Tensor:
        """log p from the numerator and the denominator; uniform where both are 0."""
        return torch.where(totals > 0, sums / totals, 1 / self.config.vocab_size).log()

    def _sums_of_equal_tokens(self, text: Tensor) -> Tensor:
        """(B, L), for each token: the weights of the tokens equal to it among the S before it,
        summed."""
        length = text.shape[1]
        rows = torch.arange(len(text), device=text.device)[:, None]
        positions = torch.arange(length, device=text.device)
        # Keys that sort by row, type and position, (B·L,)
        keys = (rows * (self.config.vocab_size + 1) + text - EMPTY) * length + positions
        keys, order = keys.flatten().sort()
        position, before_first = keys % length, keys.new_tensor([-1])
        gap = position.diff(prepend=before_first).clamp(min=1)  # i_k - i_{k-1}
        has_previous = (keys - position).diff(prepend=before_first) == 0  # same row and type

        E = linear_recurrence(
            self._decayed(gap) * has_previous, self._decayed(gap - 1) * has_previous
        )
        first = torch.searchsorted(keys, keys - position.clamp(max=self.config.size))  # of i_f
        sums = torch.empty_like(E)
        sums[order] = E - self._decayed(position - position[first]) * E[first]
        return sums.view(text.shape)


def linear_recurrence(factor: Tensor, term: Tensor) -> Tensor:
    """(N,): E_k = factor_k E_{k-1} + term_k, for all k at once (Hillis & Steele, 1986).

    Every round doubles the number of terms in each sum, until no factor but 0 is left.
    """
    reach = 1
    while factor.any():
        term = term.addcmul(factor, pad(term[:-reach], (reach, 0)))
        factor = factor * pad(factor[:-reach], (reach, 0))
        reach *= 2
    return term
