"""What every candidate constant says of a text, in one reading of it.

    a column of log p_T(token)    for each temperature T
    a column of p_c(token)        for each window S and flatness θ of a neural cache

All of them are made from the features of one pass of the network, whether it learns or not: how it
learns depends on none of them. Whatever mixes the columns needs no second pass.

    N tokens · G_T temperatures · G_c caches
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from seqlm.evaluation.adaptation.constants import Adaptation
from seqlm.evaluation.adaptation.dynamic_evaluation import Reader, Roots, rule_of
from seqlm.evaluation.scoring import Scorer
from seqlm.models.base import LanguageModel, LanguageNetwork
from seqlm.models.output.output_layer import positions_at_once
from seqlm.models.wrappers.neural_cache import NeuralCache, NeuralCacheConfig
from seqlm.models.wrappers.temperature import with_temperature
from seqlm.runs.load_model import LoadedModel

TEMPERATURES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0)
FLATNESSES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)


class Candidates(NamedTuple):
    temperatures: Sequence[float]  # (G_T,)
    caches: Sequence[NeuralCacheConfig]  # (G_c,)


class Columns(NamedTuple):
    """Of one model."""

    spoken: np.ndarray  # (N, G_T), or (N, 1) of a model without a temperature
    recalled: np.ndarray  # (N, G_c), or (N, 0); NaN where nothing has been read

    def at(self, places: np.ndarray) -> Columns:
        """Of some tokens."""
        return Columns(self.spoken[places], self.recalled[places])


def candidates(constants: Adaptation, tokens: int) -> Candidates:
    """All there are for what is on; one where it is given. Windows are the one given, and less, as
    far as a text of so many `tokens` can tell them apart."""
    given, window = constants.temperature, constants.window
    temperatures = TEMPERATURES if given is None else (given,)
    if window is None:
        return Candidates(temperatures, ())
    flatnesses = FLATNESSES if constants.flatness is None else (constants.flatness,)
    windows = [window, *(size for size in (window // 2, window // 4) if 0 < size < tokens)]
    caches = [NeuralCacheConfig(size, 0.5, θ) for size in windows for θ in flatnesses]
    return Candidates(temperatures, caches)


def columns(
    one: LoadedModel, ids: np.ndarray, constants: Adaptation, every: Candidates,
    roots: Roots | None, batch_size: int,
) -> Columns:  # fmt: skip
    """What a model says of `ids` (N,), which are its own; with settled `constants` it learns so."""
    model, context = cast(LanguageModel, one.model), one.config.context
    if not isinstance(model, LanguageNetwork):
        spoken = Scorer(model, context, batch_size)(ids).log_probs
        return Columns(spoken[:, None], np.empty((len(ids), 0)))
    if context == "sentence":  # lines have no one order to be read in
        models = (with_temperature(model, T) for T in every.temperatures)
        each = (Scorer(scaled, context, batch_size)(ids) for scaled in models)
        spoken = np.stack([scores.log_probs for scores in each], 1)
        return Columns(spoken, np.empty((len(ids), 0)))
    return read(Reader(model, rule_of(constants, roots)), ids, every)


@torch.no_grad()
def read(reader: Reader, ids: np.ndarray, every: Candidates) -> Columns:
    """`ids` (N,) -> the columns of a network, as it is, or as it learns."""
    caches = [NeuralCache(reader.network, config) for config in every.caches]
    memories = [cache.empty_memory(1) for cache in caches]
    spoken, recalled = [], []
    for features, tokens in reader(ids):  # (1, T, D), (1, T)
        output_layer = reader.network.output_layer
        for f, y in zip(
            *(x[0].split(positions_at_once(output_layer.weight)) for x in (features, tokens))
        ):
            spoken.append(at_temperatures(output_layer.log_probs(f), y, every.temperatures))
        found = [cache.cache_probs(m, features, tokens) for cache, m in zip(caches, memories)]
        memories = [memory for _, memory in found]
        recalled.append(np.empty((tokens.shape[1], 0)))
        if found:
            recalled[-1] = torch.cat([p for p, _ in found]).T.cpu().double().numpy()  # (T, G_c)
    return Columns(np.concatenate(spoken), np.concatenate(recalled))


def at_temperatures(log_probs: Tensor, tokens: Tensor, temperatures: Sequence[float]) -> np.ndarray:
    """(T, V), (T,) -> (T, G_T) log p_T of the tokens."""
    of_tokens = log_probs.gather(1, tokens[:, None])[:, 0]
    each = [of_tokens / T - (log_probs / T).logsumexp(1) for T in temperatures]
    found: np.ndarray = torch.stack(each, 1).cpu().double().numpy()
    return found
