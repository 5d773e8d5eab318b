"""A continuous cache over a network (Grave, Joulin & Usunier 2017).

    h_i       the features from which the network predicts token x_i
    p_c(w)  =  Σ_i [x_i = w] exp(θ h_t · h_i)  /  Σ_i exp(θ h_t · h_i)     over i = t-S .. t-1
    p(w)    =  (1 - λ) p_network(w)  +  λ p_c(w)

Tokens that followed similar states of the network become more probable. θ says how sharply similar
states are preferred: at 0 the last S tokens have equal weights, as in a unigram cache. λ is the
weight of the cache. Nothing is learned: the state of the model holds the network's state and the
last S features and tokens. Before the first token is read, p is p_network.

    B rows · T new tokens · S window · L = S + T · D feature width · V vocabulary
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.models.base import SEGMENT, LanguageModel, LanguageNetwork, NetworkState

CHUNK = 1 << 20
"""The most products of features in memory at once."""
EMPTY = -1
"""The token at positions of the cache that have not been filled yet."""


@dataclass(frozen=True)
class NeuralCacheConfig:
    window: int = 500
    """S, the number of tokens in the cache."""
    weight: float = 0.1
    """λ."""
    theta: float = 0.3
    """θ, called the flatness in the paper."""


class CacheMemory(NamedTuple):
    features: Tensor  # (B, S, D), the newest last
    tokens: Tensor  # (B, S), EMPTY in front


class NeuralCacheState(NamedTuple):
    network_state: NetworkState
    memory: CacheMemory


class NeuralCache(LanguageModel):
    config_class = NeuralCacheConfig
    config: NeuralCacheConfig

    def __init__(self, network: LanguageNetwork, config: NeuralCacheConfig) -> None:
        super().__init__(config)
        self.network, self.context_length = network, network.context_length

    def start(self, rows: int) -> NeuralCacheState:
        return NeuralCacheState(self.network.start(rows), self.empty_memory(rows))

    def log_probs(self, state: NeuralCacheState) -> Tensor:
        network_state, memory = state
        network_log_probs = self.network.log_probs(network_state)  # (B, V)
        weights = self._similarities(network_state.last_features[:, None], memory)[:, 0]  # (B, S)
        sums = torch.zeros_like(network_log_probs)
        sums.scatter_add_(1, memory.tokens.clamp(min=0), weights)
        return self._interpolate(network_log_probs, sums / weights.sum(1, keepdim=True))

    def advance(self, state: NeuralCacheState, tokens: Tensor) -> NeuralCacheState:
        for segment in tokens.split(SEGMENT, 1) if tokens.shape[1] else ():
            features, network_state = self.network.read(state.network_state, segment)
            memory = self._last_window(append(state.memory, features, segment))
            state = NeuralCacheState(network_state, memory)
        return state

    def score(self, state: NeuralCacheState, tokens: Tensor) -> tuple[Tensor, NeuralCacheState]:
        scores = [state.network_state.last_features.new_zeros(len(tokens), 0)]
        for segment in tokens.split(SEGMENT, 1) if tokens.shape[1] else ():
            features, network_state = self.network.read(state.network_state, segment)
            segment_scores, memory = self.score_features(state.memory, features, segment)
            scores.append(segment_scores)
            state = NeuralCacheState(network_state, memory)
        return torch.cat(scores, 1), state

    # ------------------------------------------------- the cache, for features of any origin

    def empty_memory(self, rows: int) -> CacheMemory:
        weight, window = self.network.output_layer.weight, self.config.window
        tokens = torch.full((rows, window), EMPTY, device=weight.device)
        return CacheMemory(weight.new_zeros(rows, window, weight.shape[1]), tokens)

    def score_features(
        self, memory: CacheMemory, features: Tensor, tokens: Tensor
    ) -> tuple[Tensor, CacheMemory]:
        """(B, T) log p of `tokens` (B, T), which `features` (B, T, D) predict, and the memory after
        them."""
        cache_probs, memory = self.cache_probs(memory, features, tokens)
        network_log_probs = self.network.output_layer.score(features, tokens)
        return self._interpolate(network_log_probs, cache_probs), memory

    def cache_probs(
        self, memory: CacheMemory, features: Tensor, tokens: Tensor
    ) -> tuple[Tensor, CacheMemory]:
        """(B, T) p_c of `tokens` (B, T), which `features` (B, T, D) predict, and the memory after
        them. p_c is NaN where nothing has been read."""
        probs = [features.new_zeros(len(tokens), 0)]
        length = self._chunk_length(len(tokens))
        for chunk_features, chunk in zip(features.split(length, 1), tokens.split(length, 1)):
            text = append(memory, chunk_features, chunk)  # L = S + T
            weights = self._similarities(chunk_features, text)  # (B, T, L)
            sums = (weights * (text.tokens[:, None] == chunk[..., None])).sum(2)
            probs.append(sums / weights.sum(2))
            memory = self._last_window(text)
        return torch.cat(probs, 1), memory

    def _chunk_length(self, rows: int) -> int:
        """The T that bounds (B, T, L) to CHUNK."""
        window = self.config.window
        return max(1, min(CHUNK // (2 * window * max(1, rows)), max(window, 64)))

    def _last_window(self, text: CacheMemory) -> CacheMemory:
        return CacheMemory(*(part[:, -self.config.window :] for part in text))

    def _similarities(self, features: Tensor, text: CacheMemory) -> Tensor:
        """(B, T, L) exp(θ h_t · h_i), up to a factor for each t, and 0 outside the window of t.

        `features` (B, T, D) are the h_t of the tokens after the first S of `text`.
        """
        products = self.config.theta * features @ text.features.mT  # (B, T, L)
        window = self.config.window
        t = torch.arange(window, window + products.shape[1], device=products.device)[:, None]
        i = torch.arange(products.shape[2], device=products.device)
        in_window = (i < t) & (i >= t - window) & (text.tokens != EMPTY)[:, None]
        products = products.masked_fill(~in_window, torch.finfo(products.dtype).min)
        return (products - products.amax(2, keepdim=True)).exp() * in_window

    def _interpolate(self, network_log_probs: Tensor, cache_probs: Tensor) -> Tensor:
        """log p from log p_network and p_c."""
        weight = self.config.weight
        network, cache = network_log_probs + math.log1p(-weight), (weight * cache_probs).log()
        return torch.where(cache_probs.isnan(), network_log_probs, torch.logaddexp(network, cache))


def append(memory: CacheMemory, features: Tensor, tokens: Tensor) -> CacheMemory:
    """The memory with `tokens` (B, T) and the features (B, T, D) that predict them at its end."""
    pairs = zip(memory, (features, tokens))
    return CacheMemory(*(torch.cat(pair, 1) for pair in pairs))
