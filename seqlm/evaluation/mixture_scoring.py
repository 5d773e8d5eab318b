"""Several models scored as one (Jelinek & Mercer, 1980).

    l_i  =  ln Σ_m λ_m p_m(token i | what model m knows of the text before)

All score the same N tokens, each in its own context convention: one may start every line afresh
while another carries its state over lines. The models need the same types; where they number them
differently, ids are those of the first. A single model is a mixture of one.

The networks among them may be adapted while they score (`adaptive`), all in the same way; n-gram
models beside them stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self, cast

import numpy as np
import torch

from seqlm.errors import ModelError, UsageError
from seqlm.evaluation.adaptation.constants import Adaptation
from seqlm.evaluation.adaptation.dynamic_evaluation import (
    Roots,
    check,
    known,
    roots_over,
    scorer_of,
)
from seqlm.evaluation.scoring import Scores
from seqlm.models.base import LanguageModel, LanguageNetwork
from seqlm.models.wrappers.mixture import Mixture
from seqlm.models.wrappers.sliding_window import with_sliding_window
from seqlm.models.wrappers.temperature import with_temperature
from seqlm.runs.common_vocabulary import common_ids
from seqlm.runs.load_model import LoadedModel
from seqlm.text.tokenizer import Tokenizer


class Mix(NamedTuple):
    """M models and their weights."""

    models: Sequence[LoadedModel]
    weights: Sequence[float]  # (M,) λ, not negative, 1 in all
    ids: np.ndarray  # (M, V), what each model calls type v of the first
    adaptation: Adaptation = Adaptation()
    roots: Sequence[Roots | None] = ()  # (M,), of networks whose steps gradient statistics scale
    stride: int | None = None
    """Of the windows of models with a horizon; None is half of that."""

    @classmethod
    def of(cls, models: Sequence[LoadedModel], weights: Sequence[float] | None = None) -> Self:
        """Weights are equal where none are given.

        Errors: ModelError where the vocabularies differ, or one of several gives no probabilities.
        """
        for one in models if len(models) > 1 else ():
            if not one.model.normalized:
                raise ModelError(f"{one.path} gives scores, not probabilities: it cannot be mixed")
        return cls(models, weights or [1 / len(models)] * len(models), common_ids(models))

    @property
    def tokenizer(self) -> Tokenizer:
        return self.models[0].tokenizer

    def adapted(self, adaptation: Adaptation, statistics: np.ndarray | None = None) -> Mix:
        """The mix whose networks are adapted so.

        `statistics` (N,) are the ids of the text whose gradients scale the steps of learning.
        Errors: UsageError where these models cannot be adapted so.
        """
        check(adaptation, self.models)
        roots: list[Roots | None] = []
        if statistics is not None and adaptation.segment is not None:
            for one, ids in zip(self.models, self.ids):
                network = one.model if isinstance(one.model, LanguageNetwork) else None
                own = ids[statistics]
                roots.append(roots_over(network, own, adaptation.segment) if network else None)
        return self._replace(adaptation=adaptation, roots=roots)

    def in_windows(self, stride: int) -> Mix:
        """The mix whose models with a horizon are read in windows that overlap by W - `stride`.

        Errors: UsageError where there is none, where it is longer than that, or where they learn.
        """
        horizons = [
            one.model.context_length for one in self.models if one.model.context_length is not None
        ]
        if not horizons:
            raise UsageError("--stride is for models that read windows, as a Transformer does")
        if stride > min(horizons):
            raise UsageError(f"--stride {stride} is longer than the window of {min(horizons)}")
        if self.adaptation.adapts:
            raise UsageError("--stride is for static figures: what learns reads half a window")
        return self._replace(stride=stride)

    @property
    def contexts(self) -> list[str]:
        """(M,) 'carried', 'sentence', and how far a horizon and its stride are: 'window-64/32'."""
        told = []
        for one in self.models:
            context, horizon = one.config.context, one.model.context_length
            if horizon is not None:
                context += f"-{horizon}/{self.stride or max(1, horizon // 2)}"
            told.append(context)
        return told

    @property
    def each_roots(self) -> Sequence[Roots | None]:
        """(M,) of every model."""
        return self.roots or [None] * len(self.models)

    @property
    def is_adaptive(self) -> bool:
        """Whether figures depend on more of the text than the models' own contexts."""
        caches = any(one.config.arch == "cache" for one in self.models)
        return caches or self.adaptation.adapts

    def decodable(self) -> LanguageModel:
        """One model that gives the same probabilities, where every text is one line.

        Of the adaptation it has the temperature: what learns is no model.
        """
        temperature = known(self.adaptation.settled().temperature)
        models = [
            with_sliding_window(with_temperature(one.model, temperature), self.stride)
            if isinstance(one.model, LanguageNetwork)
            else cast(LanguageModel, one.model)
            for one in self.models
        ]
        if len(models) == 1:
            return models[0]
        mixture = Mixture(models, self.weights, torch.from_numpy(self.ids))
        return mixture.to(models[0].device).eval()


class MixScorer:
    """Scores ids piece by piece, in order, under every model of a mix."""

    def __init__(self, mix: Mix, batch_size: int = 64, orders: bool = False) -> None:
        """`orders` asks for the n-gram orders used too, where one model has them."""
        self.ids, self.weights = mix.ids, np.array(mix.weights)
        constants = mix.adaptation.settled()
        self.scorers = [
            scorer_of(
                cast(LanguageModel, one.model),
                one.config.context,
                constants,
                own,
                batch_size,
                orders,
                mix.stride,
            )
            for one, own in zip(mix.models, mix.each_roots)
        ]

    def restart(self) -> None:
        """The next piece begins a text of its own."""
        for scorer in self.scorers:
            scorer.restart()

    def __call__(self, ids: np.ndarray) -> Scores:
        """`ids` (N,) -> their N scores under the mixture."""
        if len(self.scorers) == 1:
            return self.scorers[0](ids)
        with np.errstate(divide="ignore"):
            weighted = self.each(ids) + np.log(self.weights)
        return Scores(np.logaddexp.reduce(weighted, axis=1), None)

    def each(self, ids: np.ndarray) -> np.ndarray:
        """`ids` (N,) -> (N, M) float64 log probabilities under every model."""
        scored = [scorer(own[ids]).log_probs for scorer, own in zip(self.scorers, self.ids)]
        return np.stack(scored, 1)
