"""A unigram cache: what was said a moment ago is said again (Kuhn & De Mori, 1990).

                    Σ γ^(t-1-i) [x_i = w]
    p(w | x_<t)  =  ---------------------      over the last S positions i before t;  γ = e^-decay
                    Σ γ^(t-1-i)

With decay 0 all of them weigh alike, as in the paper; above 0 the nearest weigh most (Clarkson &
Robinson, 1997). `</s>` is a token like any other, so that p sums to 1 over the vocabulary. Before
anything has been read p is uniform. Nothing is learnt: a cache is there to be mixed with a model.

To score a text, equal tokens are brought together by sorting. Let i_1 < i_2 < … be the positions of
one type. The sum over all occurrences before the k-th follows from the one before it:

    E_k  =  γ^(i_k - i_{k-1}) E_{k-1}  +  γ^(i_k - 1 - i_{k-1})

and what has left the window is taken off, where f is the first occurrence that is in it:

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

DECAY = 0.008
"""What suits the Penn Treebank best."""
CHUNK = 1 << 16  # tokens scored at a time
NOTHING = -1  # where no token has been read yet


@dataclass(frozen=True)
class CacheConfig:
    vocab_size: int
    size: int = 500
    """The tokens that are remembered."""
    decay: float = DECAY
    """Nats by which a weight falls with every token read."""


class CacheState(NamedTuple):
    tokens: Tensor  # (B, S) int32, the newest last, NOTHING in front


class UnigramCache(LanguageModel):
    config_class = CacheConfig
    config: CacheConfig
    weight: Tensor  # (S,) float64, of the remembered, the newest last

    def __init__(self, config: CacheConfig) -> None:
        super().__init__(config)
        age = torch.arange(config.size - 1, -1, -1)
        self.register_buffer("weight", self._fallen(age))

    # -- the verbs

    def start(self, rows: int) -> CacheState:
        nothing = torch.full((rows, self.config.size), NOTHING, dtype=torch.int32)
        return CacheState(nothing.to(self.device))

    def advance(self, state: CacheState, tokens: Tensor) -> CacheState:
        text = torch.cat([state.tokens, tokens.int()], 1)  # (B, L)
        return CacheState(text[:, -self.config.size :])

    def log_probs(self, state: CacheState) -> Tensor:
        weight = self.weight * (state.tokens != NOTHING)  # (B, S)
        sums = weight.new_zeros(len(weight), self.config.vocab_size)
        sums.scatter_add_(1, state.tokens.clamp(min=0).long(), weight)
        return self._log_shares(sums, weight.sum(1, keepdim=True))

    def score(self, state: CacheState, tokens: Tensor) -> tuple[Tensor, CacheState]:
        size = self.config.size
        mass = pad(self.weight.flip(0).cumsum(0), (1, 0))  # (S + 1,) of the last 0, 1, … S tokens
        scores = [mass.new_zeros(len(tokens), 0)]
        # Each piece is read behind what is remembered, and is long enough to be worth that.
        for piece in tokens.split(max(CHUNK // max(1, len(tokens)), size), dim=1):
            text = torch.cat([state.tokens, piece.int()], 1)  # (B, L)
            read = (text != NOTHING).cumsum(1)[:, size - 1 : -1].clamp(max=size)  # (B, t)
            scores.append(self._log_shares(self._sums(text)[:, size:], mass[read]))
            state = CacheState(text[:, -size:])
        return torch.cat(scores, 1), state

    # -- sums of weights

    def _fallen(self, age: Tensor) -> Tensor:
        """γ^age, in float64."""
        return torch.exp(-self.config.decay * age.double())

    def _log_shares(self, sums: Tensor, mass: Tensor) -> Tensor:
        return torch.where(mass > 0, sums / mass, 1 / self.config.vocab_size).log()

    def _sums(self, text: Tensor) -> Tensor:
        """(B, L): the weights of the equal tokens among the S before each, summed."""
        length = text.shape[1]
        rows = torch.arange(len(text), device=text.device)[:, None]
        places = torch.arange(length, device=text.device)
        # In the order of row, type and place, (B·L,)
        keys = (rows * (self.config.vocab_size + 1) + text - NOTHING) * length + places
        keys, order = keys.flatten().sort()
        at, nowhere = keys % length, keys.new_tensor([-1])
        gap = at.diff(prepend=nowhere).clamp(min=1)
        follows = (keys - at).diff(prepend=nowhere) == 0  # the same type, in the same row

        whole = recurrence(self._fallen(gap) * follows, self._fallen(gap - 1) * follows)
        first = torch.searchsorted(keys, keys - at.clamp(max=self.config.size))
        sums = torch.empty_like(whole)
        sums[order] = whole - self._fallen(at - at[first]) * whole[first]
        return sums.view(text.shape)


def recurrence(factor: Tensor, term: Tensor) -> Tensor:
    """(N,): E_k = factor_k E_{k-1} + term_k, for all k at once (Hillis & Steele, 1986).

    Every round doubles the stretch that each has summed, until a factor of 0 has cut all of them.
    """
    reach = 1
    while factor.any():
        term = term.addcmul(factor, pad(term[:-reach], (reach, 0)))
        factor = factor * pad(factor[:-reach], (reach, 0))
        reach *= 2
    return term
