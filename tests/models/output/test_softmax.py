"""The chunked softmax against PyTorch's own, which holds all logits at once."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from seqlm.models.layers import linear
from seqlm.models.output import output_layer, softmax
from seqlm.models.output.softmax import Softmax


@pytest.fixture(params=["onednn", "torch"])
def products(request, monkeypatch):
    if request.param == "onednn" and linear.ONEDNN_OPERATOR is None:
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(linear, "USES_ONEDNN", request.param == "onednn")


def make(
    n: int = 23, width: int = 6, types: int = 41
) -> tuple[Softmax, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    layer = Softmax(types, width)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer, torch.randn(n, width, requires_grad=True), torch.randint(types, (n,))


@pytest.mark.parametrize("rows", [1, 5, 23, 1000])
def test_loss_and_its_gradients_do_not_depend_on_the_chunks(products, monkeypatch, rows):
    layer, features, targets = make()
    monkeypatch.setattr(output_layer, "CHUNK", rows * len(layer.bias))
    # The factor comes after the loss, which has computed its gradients without it.
    loss = 2.5 * layer.loss(features, targets)
    inputs = (features, layer.weight, layer.bias)
    found = torch.autograd.grad(loss, inputs)

    whole = nn.functional.cross_entropy(
        nn.functional.linear(features, layer.weight, layer.bias), targets
    )
    expected = torch.autograd.grad(2.5 * whole, inputs)
    torch.testing.assert_close(loss, 2.5 * whole)
    for name, a, b in zip(("features", "weight", "bias"), found, expected, strict=True):
        torch.testing.assert_close(a, b, msg=lambda text, name=name: f"{name}: {text}")


def test_loss_survives_logits_that_overflow_exp(products):
    layer, features, targets = make()
    loss = layer.loss(features * 1e4, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(layer.weight.grad).all()


def test_gradcheck_in_float64():
    layer, features, targets = make(5, 3, 7)
    layer.double()
    compute = partial(softmax.cross_entropy, targets=targets)

    def loss(f, w, b):
        return output_layer.LossWithGradients.apply(compute, f, w, b)

    inputs = (features.detach().double().requires_grad_(), layer.weight, layer.bias)
    assert torch.autograd.gradcheck(loss, inputs)


def test_a_second_backward_pass_gives_the_same_gradients():
    layer, features, targets = make()
    inputs = (features, layer.weight, layer.bias)
    loss = 2.5 * layer.loss(features, targets)
    first, second = (torch.autograd.grad(loss, inputs, retain_graph=True) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)


def test_no_positions_have_no_loss_and_no_gradient():
    layer, features, targets = make()
    loss = layer.loss(features[:0], targets[:0])
    loss.backward()
    assert loss == 0
    assert not layer.weight.grad.any()
    assert not layer.bias.grad.any()


@pytest.mark.parametrize("by_onednn", [True, False])
@pytest.mark.parametrize("rows", [7, 1000])
def test_products_of_bfloat16_are_near_those_of_float32(rows, by_onednn, monkeypatch):
    if by_onednn and not linear.onednn_rounds_factors():
        pytest.skip("this processor has no tiles")
    monkeypatch.setattr(linear, "onednn_rounds_factors", lambda: by_onednn)
    layer, features, targets = make(90, 64, 300)
    monkeypatch.setattr(output_layer, "CHUNK", rows * len(layer.bias))
    inputs = (features, layer.weight, layer.bias)
    results = []
    for rounded in (False, True):
        with linear.bfloat16_products(rounded):
            loss = layer.loss(features, targets)
            results.append([loss.detach(), *torch.autograd.grad(loss, inputs)])
    for exact, near in zip(*results, strict=True):
        assert near.dtype == torch.float32
        assert 0 < (near - exact).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize("shape", [(23,), (1, 23), (23, 1), (0,), (2, 0)])
def test_score_is_the_log_probability_of_each_target(monkeypatch, shape):
    layer, features, targets = make()
    monkeypatch.setattr(output_layer, "CHUNK", 4 * len(layer.bias))
    count = torch.Size(shape).numel()
    features, targets = features[:count].view(*shape, 6), targets[:count].view(shape)
    expected = layer.log_probs(features).gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(layer.score(features, targets), expected)


def test_log_probs_sum_to_one():
    layer, features, _ = make()
    torch.testing.assert_close(layer.log_probs(features).exp().sum(-1), torch.ones(23))


@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_label_smoothing_is_pytorchs(smoothing):
    layer, features, targets = make()
    inputs = (features, layer.weight, layer.bias)
    loss = layer.loss(features, targets) + smoothing * layer.smoothing_loss(features, targets)
    z = nn.functional.linear(features, layer.weight, layer.bias)
    expected = nn.functional.cross_entropy(z, targets, label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)
    found, expected_gradients = (
        torch.autograd.grad(loss, inputs),
        torch.autograd.grad(expected, inputs),
    )
    for a, b in zip(found, expected_gradients, strict=True):
        torch.testing.assert_close(a, b)
