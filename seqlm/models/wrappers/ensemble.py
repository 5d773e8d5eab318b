"""Several translators that decide together, token by token (Sutskever, Vinyals & Le 2014).

    p(y | x, y_<t)  =  1/M Σ_m p_m(y | x, y_<t)

A mixture with equal weights: each keeps a state of its own, the same source is read by all, and a
beam follows the mean of what they say. Trained alike from different seeds they make different
mistakes. They may be of any families, but share their vocabularies.

The alignment is the mean of those that have one.

    M models · B rows · S source positions · V vocabulary
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from seqlm.models.base import Translator
from seqlm.models.wrappers.mixture import States, mixed


class Ensemble(Translator):
    log_weights: Tensor  # (M,) float64, -log M

    def __init__(self, models: Sequence[Translator]) -> None:
        """`models`, at least one, all with the same ids for the same types."""
        super().__init__(None)
        self.models = nn.ModuleList(models)
        weight = torch.full((len(models),), -math.log(len(models)), dtype=torch.float64)
        self.register_buffer("log_weights", weight)
        horizons = [model.context_length for model in models if model.context_length is not None]
        self.context_length = min(horizons, default=None)

    def start(self, source: Tensor, lengths: Tensor) -> States:
        return tuple(model.start(source, lengths) for model in self._each())

    def log_probs(self, state: States) -> Tensor:
        said = [model.log_probs(own) for model, own in zip(self._each(), state)]
        return mixed(said, self.log_weights)

    def advance(self, state: States, tokens: Tensor) -> States:
        return tuple(model.advance(own, tokens) for model, own in zip(self._each(), state))

    def score(self, state: States, tokens: Tensor) -> tuple[Tensor, States]:
        scored = [model.score(own, tokens) for model, own in zip(self._each(), state)]
        scores, after = zip(*scored)
        return mixed(scores, self.log_weights), after

    def alignment(self, state: States) -> Tensor | None:
        parts = [model.alignment(own) for model, own in zip(self._each(), state)]
        known = [each for each in parts if each is not None]
        return torch.stack(known).mean(0) if known else None

    def _each(self) -> Sequence[Translator]:
        return cast(Sequence[Translator], self.models)
