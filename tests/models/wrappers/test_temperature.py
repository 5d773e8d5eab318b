"""p^(1/T), normalized, whatever the output layer is made of."""

from __future__ import annotations

import pytest
import torch

from seqlm.models import model_class
from seqlm.models.base import LanguageNetwork
from seqlm.models.wrappers.temperature import with_temperature

HEADS = [
    {"softmax": "full"},
    {"softmax": "adaptive", "softmax_cutoffs": (3, 6)},
    {"softmax": "sampled", "softmax_samples": 4},
]


@pytest.mark.parametrize("settings", HEADS, ids=str)
@pytest.mark.parametrize("temperature", [0.3, 0.9, 2.5])
@torch.no_grad()
def test_it_is_the_distribution_to_a_power(settings, temperature, monkeypatch):
    monkeypatch.setattr("seqlm.models.output.output_layer.CHUNK", 50)
    torch.manual_seed(1)
    network = model_class("lm", "lstm").from_settings({"vocab_size": 9, "width": 4, **settings})
    assert isinstance(network, LanguageNetwork)
    for parameter in network.parameters():
        parameter.uniform_(-2, 2)
    network.eval()
    tokens = torch.randint(9, (3, 20))
    other = with_temperature(network, temperature)
    p = network.log_probs(network.advance(network.start(3), tokens)).double().exp()
    power = p ** (1 / temperature)
    expected = (power / power.sum(1, keepdim=True)).log().float()
    state = other.advance(other.start(3), tokens)
    torch.testing.assert_close(other.log_probs(state), expected, atol=1e-5, rtol=1e-5)
    slow, state = [], other.start(3)
    for token in tokens.split(1, 1):
        slow.append(other.log_probs(state).gather(1, token))
        state = other.advance(state, token)
    scores, _ = other.score(other.start(3), tokens)
    torch.testing.assert_close(scores, torch.cat(slow, 1), atol=1e-5, rtol=1e-5)


def test_the_network_is_not_copied_and_not_changed():
    network = model_class("lm", "gru").from_settings({"vocab_size": 9, "width": 4}).eval()
    assert isinstance(network, LanguageNetwork)
    layer, other = network.output_layer, with_temperature(network, 2.0)
    assert network.output_layer is layer
    assert with_temperature(network, 1.0) is network
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert ours is theirs
