"""Several translators that choose each token together (Sutskever, Vinyals & Le 2014).

    p(y | x, y_<t)  =  1/M Σ_m p_m(y | x, y_<t)

An ensemble is a mixture with equal weights: each member reads the source and keeps a state of its
own, and a search follows the mean of their distributions. Members that were trained in the same way
from different seeds make different mistakes. They may be of any architectures, but need the same
vocabularies.

The alignment is the mean of the alignments of the members that have one.

    M members · B rows · S source positions · V vocabulary
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from seqlm.models.base import Translator
from seqlm.models.wrappers.mixture import MemberStates, mix_log_probs


class Ensemble(Translator):
    log_weights: Tensor  # (M,) float64, -log M

    def __init__(self, models: Sequence[Translator]) -> None:
        """`models`, at least one, with the same vocabularies."""
        super().__init__(None)
        self.models = nn.ModuleList(models)
        weights = torch.full((len(models),), -math.log(len(models)), dtype=torch.float64)
        self.register_buffer("log_weights", weights)
        lengths = [model.context_length for model in models if model.context_length is not None]
        self.context_length = min(lengths, default=None)

    def start(self, source: Tensor, lengths: Tensor) -> MemberStates:
        return tuple(member.start(source, lengths) for member in self._members())

    def log_probs(self, state: MemberStates) -> Tensor:
        members = zip(self._members(), state)
        log_probs = [member.log_probs(member_state) for member, member_state in members]
        return mix_log_probs(log_probs, self.log_weights)

    def advance(self, state: MemberStates, tokens: Tensor) -> MemberStates:
        members = zip(self._members(), state)
        return tuple(member.advance(member_state, tokens) for member, member_state in members)

    def score(self, state: MemberStates, tokens: Tensor) -> tuple[Tensor, MemberStates]:
        members = zip(self._members(), state)
        results = [member.score(member_state, tokens) for member, member_state in members]
        scores, new_states = zip(*results)
        return mix_log_probs(scores, self.log_weights), new_states

    def alignment(self, state: MemberStates) -> Tensor | None:
        members = zip(self._members(), state)
        alignments = [member.alignment(member_state) for member, member_state in members]
        present = [alignment for alignment in alignments if alignment is not None]
        return torch.stack(present).mean(0) if present else None

    def _members(self) -> Sequence[Translator]:
        return cast(Sequence[Translator], self.models)
