"""A continuous cache over a network (Grave, Joulin & Usunier 2017).

    h_i       the feature from which the network predicts token x_i
    p_c(w)  =  Σ_i [x_i = w] exp(θ h_t · h_i)  /  Σ_i exp(θ h_t · h_i)     over i = t-S .. t-1
    p(w)    =  (1 - λ) p_network(w)  +  λ p_c(w)

What followed when the network was in a like state follows again. θ is the *flatness*: at 0 all of
the last S tokens weigh alike, which is a unigram cache; λ is the weight. Nothing is learnt: the
state of the model is that of the network and, beside it, the last S features and tokens. Before
anything has been read the network speaks alone.

    B rows · T new tokens · S window · L = S + T · D feature width · V vocabulary
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.models.base import SEGMENT, LanguageModel, LanguageNetwork, NetworkState

CHUNK = 1 << 20  # products of features held at once
NOTHING = -1  # where no token has been read yet


@dataclass(frozen=True)
class NeuralCacheConfig:
    window: int = 500
    """The tokens that are remembered."""
    weight: float = 0.1
    flatness: float = 0.3


class Memory(NamedTuple):
    features: Tensor  # (B, S, D), the newest last
    tokens: Tensor  # (B, S), NOTHING in front


class NeuralCacheState(NamedTuple):
    network: NetworkState
    memory: Memory


class NeuralCache(LanguageModel):
    config_class = NeuralCacheConfig
    config: NeuralCacheConfig

    def __init__(self, network: LanguageNetwork, config: NeuralCacheConfig) -> None:
        super().__init__(config)
        self.network, self.context_length = network, network.context_length

    # -- the verbs

    def start(self, rows: int) -> NeuralCacheState:
        return NeuralCacheState(self.network.start(rows), self.empty(rows))

    def log_probs(self, state: NeuralCacheState) -> Tensor:
        network = self.network.log_probs(state.network)  # (B, V)
        weight = self._alike(state.network.last_features[:, None], state.memory)[:, 0]  # (B, S)
        alike = torch.zeros_like(network)
        alike.scatter_add_(1, state.memory.tokens.clamp(min=0), weight)
        return self._mix(network, alike / weight.sum(1, keepdim=True))

    def advance(self, state: NeuralCacheState, tokens: Tensor) -> NeuralCacheState:
        for piece in tokens.split(SEGMENT, 1) if tokens.shape[1] else ():
            before, network = self.network.read(state.network, piece)
            text = behind(state.memory, before, piece)
            state = NeuralCacheState(network, self._newest(text))
        return state

    def score(self, state: NeuralCacheState, tokens: Tensor) -> tuple[Tensor, NeuralCacheState]:
        scores = [state.network.last_features.new_zeros(len(tokens), 0)]
        for piece in tokens.split(SEGMENT, 1) if tokens.shape[1] else ():
            before, network = self.network.read(state.network, piece)
            some, memory = self.follow(state.memory, before, piece)
            scores.append(some)
            state = NeuralCacheState(network, memory)
        return torch.cat(scores, 1), state

    # -- the cache, apart from where the features come from

    def empty(self, rows: int) -> Memory:
        weight, window = self.network.output_layer.weight, self.config.window
        nothing = torch.full((rows, window), NOTHING, device=weight.device)
        return Memory(weight.new_zeros(rows, window, weight.shape[1]), nothing)

    def follow(self, memory: Memory, features: Tensor, tokens: Tensor) -> tuple[Tensor, Memory]:
        """(B, T) log p of `tokens` (B, T), predicted by `features` (B, T, D), and what is
        remembered after them."""
        recalled, memory = self.recall(memory, features, tokens)
        return self._mix(self.network.output_layer.score(features, tokens), recalled), memory

    def recall(self, memory: Memory, features: Tensor, tokens: Tensor) -> tuple[Tensor, Memory]:
        """The same with (B, T) p_c alone, NaN where nothing has been read."""
        recalled = [features.new_zeros(len(tokens), 0)]
        steps = self._at_once(len(tokens))
        for some, piece in zip(features.split(steps, 1), tokens.split(steps, 1)):
            text = behind(memory, some, piece)  # L = S + T
            weight = self._alike(some, text)  # (B, T, L)
            alike = (weight * (text.tokens[:, None] == piece[..., None])).sum(2)
            recalled.append(alike / weight.sum(2))
            memory = self._newest(text)
        return torch.cat(recalled, 1), memory

    def _at_once(self, rows: int) -> int:
        """The T of which (B, T, L) is bounded."""
        window = self.config.window
        return max(1, min(CHUNK // (2 * window * max(1, rows)), max(window, 64)))

    def _newest(self, text: Memory) -> Memory:
        return Memory(*(part[:, -self.config.window :] for part in text))

    def _alike(self, features: Tensor, text: Memory) -> Tensor:
        """(B, T, L): exp(θ h_t · h_i), up to a factor of each t, where i is in the window of t.

        `features` (B, T, D) predict what comes after the first S of `text`.
        """
        products = self.config.flatness * features @ text.features.mT  # (B, T, L)
        window = self.config.window
        t = torch.arange(window, window + products.shape[1], device=products.device)[:, None]
        i = torch.arange(products.shape[2], device=products.device)
        seen = (i < t) & (i >= t - window) & (text.tokens != NOTHING)[:, None]
        products = products.masked_fill(~seen, torch.finfo(products.dtype).min)
        return (products - products.amax(2, keepdim=True)).exp() * seen

    def _mix(self, network: Tensor, recalled: Tensor) -> Tensor:
        """log p from log p_network and p_c."""
        weight = self.config.weight
        mixed = torch.logaddexp(network + math.log1p(-weight), (weight * recalled).log())
        return torch.where(recalled.isnan(), network, mixed)


def behind(memory: Memory, features: Tensor, tokens: Tensor) -> Memory:
    """What is remembered, and behind it (B, T) tokens and the features that predicted them."""
    pairs = zip(memory, (features, tokens))
    return Memory(*(torch.cat(pair, 1) for pair in pairs))
