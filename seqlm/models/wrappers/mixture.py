"""A linear mixture of language models (Jelinek & Mercer, 1980).

    p(w | x)  =  Σ_m λ_m p_m(w | x)          λ_m ≥ 0,  Σ_m λ_m = 1

Models of any architectures can be mixed, such as an n-gram model with a network or a cache. Each
member keeps a state of its own, and their distributions are averaged. The result is a language
model, from which text can be sampled and searched.

The members need the same types but may number them differently: `ids` translates from the ids of
the first member to those of each.

    M members · B rows · T new tokens · V vocabulary
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from seqlm.models.base import LanguageModel, State

MemberStates = tuple[State, ...]  # one of each member


class Mixture(LanguageModel):
    log_weights: Tensor  # (M,) float64, log λ
    ids: Tensor  # (M, V)

    def __init__(
        self, models: Sequence[LanguageModel], weights: Sequence[float], ids: Tensor
    ) -> None:
        """`weights` are the λ; `ids` (M, V) int64 holds member m's id of type v of the first."""
        super().__init__(None)
        self.resets_at_eos = all(model.resets_at_eos for model in models)
        self.models = nn.ModuleList(models)
        self.register_buffer("log_weights", torch.tensor(weights, dtype=torch.float64).log())
        self.register_buffer("ids", ids)

    def start(self, rows: int) -> MemberStates:
        return tuple(member.start(rows) for member, _ in self._members())

    def log_probs(self, state: MemberStates) -> Tensor:
        log_probs = [
            member.log_probs(member_state)[:, ids]
            for (member, ids), member_state in zip(self._members(), state)
        ]
        return mix_log_probs(log_probs, self.log_weights)

    def advance(self, state: MemberStates, tokens: Tensor) -> MemberStates:
        return tuple(
            member.advance(member_state, ids[tokens])
            for (member, ids), member_state in zip(self._members(), state)
        )

    def score(self, state: MemberStates, tokens: Tensor) -> tuple[Tensor, MemberStates]:
        results = [
            member.score(member_state, ids[tokens])
            for (member, ids), member_state in zip(self._members(), state)
        ]
        scores, new_states = zip(*results)
        return mix_log_probs(scores, self.log_weights), new_states

    def _members(self) -> Iterator[tuple[LanguageModel, Tensor]]:
        """The models, each with its ids (V,)."""
        return zip(cast(Sequence[LanguageModel], self.models), self.ids)


def mix_log_probs(log_probs: Sequence[Tensor], log_weights: Tensor) -> Tensor:
    """M tensors of log p_m, all of one shape, and log λ (M,) -> log p in float64."""
    stacked = torch.stack([member.double() for member in log_probs], -1)  # (.., M)
    return (stacked + log_weights).logsumexp(-1)
