"""The neural cache against its equation, written out token by token in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqlm.models import model_class
from seqlm.models.base import LanguageNetwork
from seqlm.models.wrappers import neural_cache
from seqlm.models.wrappers.neural_cache import NeuralCache, NeuralCacheConfig
from seqlm.models.wrappers.unigram_cache import UnigramCache, UnigramCacheConfig

VOCAB = 7


@pytest.fixture
def network() -> LanguageNetwork:
    torch.manual_seed(1)
    settings = {"vocab_size": VOCAB, "width": 5, "layers": 1}
    model = model_class("lm", "lstm").from_settings(settings)
    assert isinstance(model, LanguageNetwork)
    for parameter in model.parameters():
        parameter.data.uniform_(-2, 2)
    return model.double().eval()


def text(rows: int, length: int) -> Tensor:
    return torch.randint(VOCAB, (rows, length), generator=torch.Generator().manual_seed(2))


def by_the_equation(
    network: LanguageNetwork, row: list[int], config: NeuralCacheConfig
) -> list[float]:
    read = torch.tensor([[1, *row[:-1]]])
    features, *_ = network(read, network.initial_cache(1))
    h = features[0]  # h[t] predicts row[t]
    scores = []
    for t, word in enumerate(row):
        p = math.exp(network.output_layer.log_probs(h[t])[word])
        window = range(max(0, t - config.window), t)
        weights = [math.exp(config.theta * float(h[t] @ h[i])) for i in window]
        if weights:
            alike = math.fsum(w for w, i in zip(weights, window) if row[i] == word)
            p = (1 - config.weight) * p + config.weight * alike / math.fsum(weights)
        scores.append(math.log(p))
    return scores


@pytest.mark.parametrize("window", [1, 4, 30, 100])
@pytest.mark.parametrize("theta", [0.0, 0.4, 3.0])
@pytest.mark.parametrize("chunk", [1, 100, 1 << 20])
@torch.no_grad()
def test_scores_are_the_equation(network, window, theta, chunk, monkeypatch):
    monkeypatch.setattr(neural_cache, "CHUNK", chunk)
    monkeypatch.setattr(neural_cache, "SEGMENT", 17)
    config, tokens = NeuralCacheConfig(window, 0.3, theta), text(2, 60)
    model = NeuralCache(network, config)
    scores, _ = model.score(model.start(2), tokens)
    expected = [by_the_equation(network, row, config) for row in tokens.tolist()]
    torch.testing.assert_close(
        scores, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9
    )


@torch.no_grad()
def test_it_is_the_network_alone_before_anything_is_read_and_without_a_weight(network):
    tokens = text(3, 20)
    alone, _ = network.score(network.start(3), tokens)
    model = NeuralCache(network, NeuralCacheConfig(9, 0.5, 1.0))
    scores, _ = model.score(model.start(3), tokens)
    torch.testing.assert_close(scores[:, 0], alone[:, 0])
    assert not torch.isclose(scores[:, 1:], alone[:, 1:]).any()
    model = NeuralCache(network, NeuralCacheConfig(9, 0.0, 1.0))
    torch.testing.assert_close(model.score(model.start(3), tokens)[0], alone)


@torch.no_grad()
def test_without_theta_it_counts_like_a_unigram_cache(network):
    tokens, counted = text(2, 50), UnigramCache(UnigramCacheConfig(VOCAB, 8, 0.0)).eval()
    model = NeuralCache(network, NeuralCacheConfig(8, 0.5, 0.0))
    features = torch.randn(2, 50, 5, dtype=torch.float64)
    cache_probs, _ = model.cache_probs(model.empty_memory(2), features, tokens)
    expected, _ = counted.score(counted.start(2), tokens)
    assert cache_probs[:, 0].isnan().all()
    torch.testing.assert_close(cache_probs[:, 1:], expected[:, 1:].exp())


@torch.no_grad()
def test_what_followed_a_like_state_is_expected_again(network):
    tokens = text(1, 11).repeat(1, 5)

    def mean(theta: float) -> float:
        model = NeuralCache(network, NeuralCacheConfig(50, 0.5, theta))
        return float(model.score(model.start(1), tokens)[0][:, 22:].mean())

    assert mean(3.0) > mean(1.0) + 0.05 > mean(0.0) + 0.1
