"""The probabilities that every candidate constant gives a text, in one reading of it.

    a column of log p_T(token)    for each temperature T
    a column of p_c(token)        for each window S and theta θ of a neural cache

All of them are made from the features of one pass of the network, whether it is updated or not: its
updates depend on none of these constants. Whatever mixes the columns needs no second pass.

    N tokens · G_T temperatures · G_c caches
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seqlm.evaluation.adaptation.adaptation_settings import Adaptation
from seqlm.evaluation.adaptation.choose_scorer import static_model
from seqlm.evaluation.scoring import Scorer
from seqlm.runs.loading.load_model import LoadedModel

if TYPE_CHECKING:
    from torch import Tensor

    from seqlm.evaluation.adaptation.dynamic_evaluation import FeatureReader, RMSGradients
    from seqlm.models.wrappers.neural_cache import NeuralCacheConfig

TEMPERATURES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0)
THETAS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
MIDDLE_THETA = 0.2
"""The theta that new candidates around an edge have the edge in place of."""


class Candidates(NamedTuple):
    """The constants that are tried."""

    temperatures: Sequence[float]  # (G_T,)
    caches: Sequence[NeuralCacheConfig]  # (G_c,)


def beyond_the_edge(candidates: Candidates, temperature: int, cache: int) -> Candidates | None:
    """Other candidates, around the chosen temperature and cache (by their indices), where one of
    these is the first or the last of those that were tried; else None."""
    from seqlm.models.wrappers.neural_cache import NeuralCacheConfig

    temperatures, caches = candidates
    if len(temperatures) > 1 and temperature in (0, len(temperatures) - 1):
        temperatures = [round_constant(temperatures[temperature] * T) for T in TEMPERATURES]
    thetas = sorted({config.theta for config in caches})
    if len(thetas) > 1 and (edge := caches[cache].theta) in (thetas[0], thetas[-1]):
        windows = list(dict.fromkeys(config.window for config in caches))
        around = [round_constant(edge * θ / MIDDLE_THETA) for θ in THETAS]
        caches = [NeuralCacheConfig(size, 0.5, θ) for size in windows for θ in around]
    moved = Candidates(temperatures, caches)
    return None if moved == candidates else moved


def round_constant(value: float) -> float:
    """Four digits, which a person can type again."""
    return float(f"{value:.4g}")


class Columns(NamedTuple):
    """The probabilities that one model gives the tokens of a text."""

    log_probs: np.ndarray  # (N, G_T) log p_T, or (N, 1) of a model without a temperature
    cache_probs: np.ndarray  # (N, G_c) p_c, or (N, 0); NaN where nothing has been read

    def at(self, tokens: np.ndarray) -> Columns:
        """The columns of some tokens, by their indices or a mask (N,)."""
        return Columns(self.log_probs[tokens], self.cache_probs[tokens])


def make_candidates(constants: Adaptation, tokens: int) -> Candidates:
    """The candidates for what is on; a constant that is given has one. The windows are the given
    one, and its half and quarter where these are shorter than the text, which has `tokens`."""
    temperature, window = constants.softmax_temperature, constants.neural_cache
    temperatures = TEMPERATURES if temperature is None else (temperature,)
    if window is None:
        return Candidates(temperatures, ())
    from seqlm.models.wrappers.neural_cache import NeuralCacheConfig

    theta = constants.neural_cache_theta
    thetas = THETAS if theta is None else (theta,)
    windows = [window, *(size for size in (window // 2, window // 4) if 0 < size < tokens)]
    caches = [NeuralCacheConfig(size, 0.5, θ) for size in windows for θ in thetas]
    return Candidates(temperatures, caches)


def score_candidates(
    loaded: LoadedModel,
    ids: np.ndarray,
    constants: Adaptation,
    candidates: Candidates,
    rms_gradients: RMSGradients | None,
    batch_size: int,
) -> Columns:
    """The columns of a model on `ids` (N,), as it numbers the types. A network is updated as the
    `constants` say, which have defaults."""
    network, context = loaded.network, loaded.config.context
    if network is None:
        log_probs = Scorer(static_model(loaded, constants), context, batch_size)(ids).log_probs
        return Columns(log_probs[:, None], np.empty((len(ids), 0)))
    from seqlm.evaluation.adaptation.dynamic_evaluation import FeatureReader, update_rule
    from seqlm.models.wrappers.temperature import with_temperature

    if context == "sentence":  # lines have no one order to be read in
        networks = [with_temperature(network, T) for T in candidates.temperatures]
        columns = [Scorer(network, context, batch_size)(ids).log_probs for network in networks]
        log_probs = np.stack(columns, 1)
        return Columns(log_probs, np.empty((len(ids), 0)))
    reader = FeatureReader(network, update_rule(constants, rms_gradients))
    return read_columns(reader, ids, candidates)


def read_columns(reader: FeatureReader, ids: np.ndarray, candidates: Candidates) -> Columns:
    """`ids` (N,) -> the columns of a network, as it is or as it is updated."""
    import torch

    from seqlm.models.output.output_layer import positions_at_once
    from seqlm.models.wrappers.neural_cache import NeuralCache

    caches = [NeuralCache(reader.network, config) for config in candidates.caches]
    memories = [cache.empty_memory(1) for cache in caches]
    log_probs, cache_probs = [], []
    with torch.no_grad():
        for features, tokens in reader(ids):  # (1, T, D), (1, T)
            layer = reader.network.output_layer
            size = positions_at_once(layer.weight)
            for f, y in zip(*(x[0].split(size) for x in (features, tokens))):
                log_probs.append(at_temperatures(layer.log_probs(f), y, candidates.temperatures))
            recalled = [
                cache.cache_probs(m, features, tokens) for cache, m in zip(caches, memories)
            ]
            memories = [memory for _, memory in recalled]
            columns = np.empty((tokens.shape[1], 0))
            if recalled:
                columns = torch.cat([p for p, _ in recalled]).T.cpu().double().numpy()
            cache_probs.append(columns)
    return Columns(np.concatenate(log_probs), np.concatenate(cache_probs))


def at_temperatures(log_probs: Tensor, tokens: Tensor, temperatures: Sequence[float]) -> np.ndarray:
    """(T, V), (T,) -> (T, G_T) log p_T of the tokens."""
    token_log_probs = log_probs.gather(1, tokens[:, None])[:, 0]
    columns = [token_log_probs / T - (log_probs / T).logsumexp(1) for T in temperatures]
    return np.stack([column.cpu().double().numpy() for column in columns], 1)
