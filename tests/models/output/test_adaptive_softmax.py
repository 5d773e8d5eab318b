"""The adaptive softmax against its two formulas, with all logits at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.nn.functional import linear

from seqlm.errors import UsageError
from seqlm.models.output import output_layer
from seqlm.models.output.adaptive_softmax import AdaptiveSoftmax, cheapest_cutoffs

TYPES, WIDTH = 41, 6


def make(cutoffs: list[int] | None, n: int = 29) -> tuple[AdaptiveSoftmax, torch.Tensor]:
    torch.manual_seed(1)
    layer = AdaptiveSoftmax(TYPES, WIDTH, cutoffs)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer.double(), torch.randn(n, WIDTH, dtype=torch.float64, requires_grad=True)


def by_formula(layer: AdaptiveSoftmax, features: torch.Tensor) -> torch.Tensor:
    """(n, D) -> (n, V), cluster by cluster from the logits of everything."""
    z = linear(features, layer.weight, layer.bias)
    clusters = linear(features, layer.cluster_weight, layer.cluster_bias)
    short, begins = layer.edges[1], layer.edges[1:-1]
    total = z[:, :short].exp().sum(1) + clusters.exp().sum(1)
    p = torch.zeros_like(z)
    p[:, :short] = z[:, :short].exp() / total[:, None]
    for k, (begin, end) in enumerate(zip(begins, [*begins[1:], TYPES], strict=True)):
        within = z[:, begin:end].exp() / z[:, begin:end].exp().sum(1, keepdim=True)
        p[:, begin:end] = within * (clusters[:, k].exp() / total)[:, None]
    return p.log()


CUTOFFS = [[10], [5, 20], [1, 2, 40], None]


@pytest.mark.parametrize("cutoffs", CUTOFFS, ids=str)
def test_log_probs_and_scores_are_the_formula(cutoffs, monkeypatch):
    layer, features = make(cutoffs)
    monkeypatch.setattr(output_layer, "CHUNK", 3 * TYPES)  # a few positions at a time
    expected = by_formula(layer, features)
    torch.testing.assert_close(layer.log_probs(features), expected)
    torch.testing.assert_close(expected.exp().sum(1), torch.ones_like(expected[:, 0]))
    for y in (torch.randint(TYPES, (29,)), torch.zeros(29, dtype=torch.long)):
        right = expected.gather(1, y[:, None])[:, 0]
        torch.testing.assert_close(layer.score(features, y), right)
    assert layer.score(features[:0], y[:0]).shape == (0,)
    assert layer.score(features[:28].view(4, 7, -1), y[:28].view(4, 7)).shape == (4, 7)


@pytest.mark.parametrize("cutoffs", CUTOFFS, ids=str)
def test_the_loss_and_its_gradients_are_the_formula(cutoffs, monkeypatch):
    layer, features = make(cutoffs)
    monkeypatch.setattr(output_layer, "CHUNK", 3 * TYPES)
    y = torch.randint(TYPES, (29,))
    y[:3] = torch.tensor([0, TYPES - 1, 10])
    inputs = (features, *layer.parameters())
    loss = 2.5 * layer.loss(features, y)
    found = torch.autograd.grad(loss, inputs)
    whole = -2.5 * by_formula(layer, features).gather(1, y[:, None]).mean()
    torch.testing.assert_close(loss, whole)
    for a, b in zip(found, torch.autograd.grad(whole, inputs), strict=True):
        torch.testing.assert_close(a, b)


def test_a_batch_that_asks_for_no_cluster_trains():
    layer, features = make([10])
    layer.loss(features, torch.zeros(29, dtype=torch.long)).backward()
    assert layer.weight.grad[10:].abs().sum() == 0
    assert layer.cluster_weight.grad.abs().sum() > 0


@pytest.mark.parametrize("cutoffs", [[0], [TYPES], [20, 10], [10, 10], [-3], [3, 99]])
def test_cutoffs_that_do_not_rise_are_refused(cutoffs):
    with pytest.raises(UsageError, match="do not rise between 1 and 40"):
        AdaptiveSoftmax(TYPES, WIDTH, cutoffs)


@pytest.mark.parametrize("size", [2, 3, 11, 1000, 10_000, 250_000])
def test_the_cheapest_cutoffs_save_work(size):
    cutoffs = cheapest_cutoffs(size)
    assert cutoffs == sorted(set(cutoffs))
    assert cutoffs[0] > 0
    assert cutoffs[-1] < size
    if size >= 10_000:
        mass = torch.cumsum(1 / torch.arange(1, size + 1).double(), 0)
        mass = mass / mass[-1]
        edges = [*cutoffs, size]
        in_clusters = [(mass[b - 1] - mass[a - 1]) * (b - a) for a, b in pairwise(edges)]
        assert cutoffs[0] + sum(in_clusters) < 0.35 * size
