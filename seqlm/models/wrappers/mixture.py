"""A linear mixture of language models (Jelinek & Mercer, 1980).

    p(w | x)  =  Σ_m λ_m p_m(w | x)          λ_m ≥ 0,  Σ_m λ_m = 1

Models of any families can be mixed, an n-gram model with a network or a cache: each keeps a state
of its own, and their distributions are averaged. The result is a model like any other, and can be
sampled and searched.

The models need the same types and may number them differently: `ids` says what each of them calls
the types of the first.

    M models · B rows · T new tokens · V vocabulary
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from seqlm.models.base import LanguageModel, State

States = tuple[State, ...]  # one of each model


class Mixture(LanguageModel):
    log_weights: Tensor  # (M,) float64, log λ
    ids: Tensor  # (M, V)

    def __init__(
        self, models: Sequence[LanguageModel], weights: Sequence[float], ids: Tensor
    ) -> None:
        """`weights` are the λ; `ids` (M, V) int64 what each model calls type v of the first."""
        super().__init__(None)
        self.resets_at_eos = all(model.resets_at_eos for model in models)
        self.models = nn.ModuleList(models)
        self.register_buffer("log_weights", torch.tensor(weights, dtype=torch.float64).log())
        self.register_buffer("ids", ids)

    def start(self, rows: int) -> States:
        return tuple(model.start(rows) for model, _ in self._each())

    def log_probs(self, state: States) -> Tensor:
        parts = zip(self._each(), state)
        said = [model.log_probs(own)[:, ids] for (model, ids), own in parts]
        return mixed(said, self.log_weights)

    def advance(self, state: States, tokens: Tensor) -> States:
        parts = zip(self._each(), state)
        return tuple(model.advance(own, ids[tokens]) for (model, ids), own in parts)

    def score(self, state: States, tokens: Tensor) -> tuple[Tensor, States]:
        parts = zip(self._each(), state)
        scored = [model.score(own, ids[tokens]) for (model, ids), own in parts]
        scores, after = zip(*scored)
        return mixed(scores, self.log_weights), after

    def _each(self) -> Iterator[tuple[LanguageModel, Tensor]]:
        """The models, each with its ids (V,)."""
        return zip(cast(Sequence[LanguageModel], self.models), self.ids)


def mixed(log_probs: Sequence[Tensor], log_weights: Tensor) -> Tensor:
    """M tensors of log p_m, of one shape, and log λ (M,) -> log p in float64."""
    parts = torch.stack([each.double() for each in log_probs], -1)  # (.., M)
    return (parts + log_weights).logsumexp(-1)
