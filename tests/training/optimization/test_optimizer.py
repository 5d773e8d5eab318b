"""Optimizers against the printed update rules, step by step in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from seqlm.errors import ModelError
from seqlm.models.stored_model import ParameterGroup
from seqlm.training.optimization.optimizer import (
    make_optimizer,
    optimizer_moments,
    restore_moments,
    set_learning_rate,
)


class ThreeParameters(nn.Module):
    """What an optimizer needs of a network: three parameters, each trained in its own way."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.matrix, self.bias, self.slow = (
            nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in ((2, 3), (4,), (5,))
        )

    def parameter_groups(self) -> list[ParameterGroup]:
        return [
            ParameterGroup([self.matrix]),
            ParameterGroup([self.bias], lr_scale=0.5, weight_decay=False),
            ParameterGroup([self.slow], max_lr=0.01),
            ParameterGroup([]),
        ]


GROUPS = {"matrix": (1.0, math.inf, 1.0), "bias": (0.5, math.inf, 0.0), "slow": (1.0, 0.01, 1.0)}
"""Scale and maximum of the learning rate, and share of the weight decay."""


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize(("beta1", "beta2"), [(None, None), (0.7, 0.8)])
def test_an_optimizer_follows_its_formula(name, beta1, beta2) -> None:
    network, decay = ThreeParameters(), 0.1
    optimizer = make_optimizer(name, network, beta1, beta2)
    b1 = beta1 if beta1 is not None else (0.0 if name == "rmsprop" else 0.9)
    b2 = beta2 if beta2 is not None else (0.999 if name == "rmsprop" else 0.99)
    expected = {n: p.detach().tolist() for n, p in network.named_parameters()}
    expected = {n: torch.tensor(v, dtype=torch.float64) for n, v in expected.items()}
    m = {n: torch.zeros_like(v) for n, v in expected.items()}
    v = {n: torch.zeros_like(v) for n, v in expected.items()}
    for step, lr in enumerate([0.3, 0.2, 0.05, 0.1], 1):
        for index, (key, parameter) in enumerate(network.named_parameters()):
            lr_scale, max_lr, decay_share = GROUPS[key]
            r, w = min(lr * lr_scale, max_lr), expected[key]
            g = torch.sin(w * 3 + index)
            parameter.grad = g.clone()
            if name == "adamw":
                w = w - r * decay * decay_share * w
            else:
                g = g + decay * decay_share * w
            if name == "sgd":
                expected[key] = w - r * g
                continue
            m[key] = b1 * m[key] + (1 - b1) * g
            v[key] = b2 * v[key] + (1 - b2) * g * g
            corrected = m[key] / (1 - b1**step), v[key] / (1 - b2**step)
            expected[key] = w - r * corrected[0] / (corrected[1].sqrt() + 1e-8)
        set_learning_rate(optimizer, lr, decay)
        optimizer.step()
        for key, parameter in network.named_parameters():
            torch.testing.assert_close(parameter.detach(), expected[key], rtol=1e-9, atol=1e-12)


def test_moments_are_saved_by_name() -> None:
    network, other = ThreeParameters(), ThreeParameters()
    optimizer, again = make_optimizer("adamw", network), make_optimizer("adamw", other)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moments = optimizer_moments(optimizer, network)
    assert {name.split(".")[0] for name in moments} == {"matrix", "bias", "slow"}
    restore_moments(again, other, moments)
    assert optimizer_moments(again, other).keys() == moments.keys()
    for name, value in optimizer_moments(again, other).items():
        assert torch.equal(value, moments[name]), name
    with pytest.raises(ModelError, match="a parameter 0"):
        restore_moments(again, other, {"0.exp_avg": torch.zeros(3)})


def test_a_parameter_in_no_group_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(
        ThreeParameters, "parameter_groups", lambda self: [ParameterGroup([self.matrix])]
    )
    with pytest.raises(AssertionError):
        make_optimizer("sgd", ThreeParameters())
