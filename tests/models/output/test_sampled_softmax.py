"""The sampled softmax: its proposals, its correction, and that it learns what the full one does."""

from __future__ import annotations

import math

import pytest
import torch

from seqlm.models.output.sampled_softmax import SampledSoftmax
from seqlm.models.output.softmax import Softmax

TYPES, WIDTH = 50, 4


def make(samples: int = 20) -> tuple[SampledSoftmax, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    layer = SampledSoftmax(TYPES, WIDTH, samples)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    return layer, torch.randn(13, WIDTH), torch.randint(TYPES, (13,))


def test_draws_follow_the_distribution_that_is_corrected_for():
    layer, *_ = make(400_000)
    words = layer.draw(torch.device("cpu"))
    counts = torch.bincount(words, minlength=TYPES).double()
    expected = layer.log_expected_count(torch.arange(TYPES)).double().exp()
    assert expected.sum().item() == pytest.approx(400_000, rel=1e-5)
    assert ((counts - expected) / expected.sqrt()).abs().max() < 5  # standard deviations


def test_the_loss_is_the_formula():
    layer, f, y = make()
    words = torch.tensor([0, 7, 7, 49, *y[:2].tolist()])
    total = 0.0
    for feature, right in zip(f, y.tolist(), strict=True):
        z = (layer.weight @ feature + layer.bias).tolist()
        of_all = math.exp(z[right])
        for w in words.tolist():
            q = math.log((w + 2) / (w + 1)) / math.log(TYPES + 1)
            of_all += math.exp(z[w]) / (20 * q) if w != right else 0
        total += math.log(of_all) - z[right]
    assert layer.sampled_loss(f, y, words).item() == pytest.approx(total / 13, rel=1e-5)


def test_the_gradient_tends_to_that_of_the_full_softmax():
    layer, f, y = make(30_000)
    grads = []
    for _ in range(10):
        grads.append(torch.autograd.grad(layer.train().loss(f, y), layer.weight)[0])
    full = torch.autograd.grad(layer.eval().loss(f, y), layer.weight)[0]
    mean = torch.stack(grads).mean(0)
    assert (mean - full).norm() < 0.05 * full.norm()


def test_asked_for_probabilities_it_is_the_full_softmax():
    layer, f, y = make()
    full = Softmax(TYPES, WIDTH)
    full.load_state_dict(layer.state_dict())
    assert torch.equal(layer.log_probs(f), full.log_probs(f))
    assert torch.equal(layer.score(f, y), full.score(f, y))
    assert torch.equal(layer.eval().loss(f, y), full.loss(f, y))
    assert not torch.equal(layer.train().loss(f, y), full.loss(f, y))


def test_a_sample_of_nothing_but_the_target_teaches_nothing():
    layer, f, _ = make()
    y = torch.full((13,), 7)
    assert layer.sampled_loss(f, y, torch.tensor([7, 7])).item() == 0
