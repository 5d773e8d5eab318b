"""Averages against means taken by hand over every step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqlm.training.config.training_settings import Settings
from seqlm.training.optimization.averaging import make_average
from tests.training.toy import finish, make


def walk(average, network: nn.Module, steps: int) -> list[torch.Tensor]:
    """Moves the weights and tells the average; -> the weights after every step."""
    walked = []
    for _ in range(steps):
        with torch.no_grad():
            network.weight.add_(torch.randn(2, 3, dtype=torch.float64))
        average.after_step()
        walked.append(network.weight.detach().clone())
    return walked


def linear() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(3, 2, bias=False, dtype=torch.float64)


def shown(average, network: nn.Module) -> torch.Tensor:
    with average.in_place_of_weights():
        return network.weight.detach().clone()


def test_an_exponential_average_starts_as_a_plain_mean():
    network = linear()
    average = make_average("ema", network, 0.75, 0, 0)
    walked = walk(average, network, 9)
    torch.testing.assert_close(shown(average, network), expected := ema(walked, 0.75))
    plain = make_average("ema", network, 0.75, 0, 0)
    walked = walk(plain, network, 4)  # 1 / (1 - 0.75)
    torch.testing.assert_close(shown(plain, network), torch.stack(walked).mean(0))
    assert not torch.equal(expected, walked[-1])


def ema(walked: list[torch.Tensor], decay: float) -> torch.Tensor:
    first = int(1 / (1 - decay))
    a = sum(walked[:first]) / first
    for w in walked[first:]:
        a = decay * a + (1 - decay) * w
    return a


def test_the_plain_average_is_the_mean_of_all_steps():
    network = linear()
    average = make_average("asgd", network, 0.5, 0, 0)
    walked = walk(average, network, 9)
    torch.testing.assert_close(shown(average, network), torch.stack(walked).mean(0))


@pytest.mark.parametrize("wait", [1, 2, 5])
def test_averaging_begins_when_the_loss_is_above_the_best_but_the_last(wait):
    losses = [9.0, 8.0, 7.0, 7.5, 6.0, 6.5, 6.4, 6.3, 6.2, 6.1, 5.9, 6.0]
    network = linear()
    average = make_average("nt-asgd", network, 0.0, wait, 0)
    begins = next(  # Algorithm 1 of the paper: v > min over l in {0, .., k - n - 1} of logs[l]
        (k for k, v in enumerate(losses) if k > wait and v > min(losses[: k - wait])), None
    )
    walked: list[torch.Tensor] = []
    for k in range(len(losses)):
        own = walk(average, network, 3)
        walked += own if begins is not None and k > begins else []
        average.after_validation(losses[: k + 1])
        expected = torch.stack(walked).mean(0) if walked else own[-1]
        torch.testing.assert_close(shown(average, network), expected)
    assert begins is None or walked


def test_the_last_validations_are_averaged():
    network = linear()
    average, seen = make_average("last", network, 0.0, 0, 3), []
    for steps in (2, 1, 4, 3, 2):
        torch.testing.assert_close(
            shown(average, network),
            torch.stack(seen[-3:]).mean(0) if seen else network.weight.detach(),
        )
        seen.append(walk(average, network, steps)[-1])
        average.before_validation()
    torch.testing.assert_close(shown(average, network), torch.stack(seen[-3:]).mean(0))


@pytest.mark.parametrize("kind", ["none", "ema", "asgd", "last"])
def test_the_weights_come_back_to_the_bit_in_the_same_tensors(kind):
    network = linear()
    average = make_average(kind, network, 0.5, 1, 2)
    walk(average, network, 3)
    average.before_validation()
    walk(average, network, 3)
    before, pointer = network.weight.detach().clone(), network.weight.data_ptr()
    with average.in_place_of_weights():
        assert torch.equal(network.weight, before) == (kind == "none")
    assert torch.equal(network.weight, before)
    assert network.weight.data_ptr() == pointer


@pytest.mark.parametrize("kind", ["ema", "asgd", "last"])
def test_training_is_blind_to_the_average_that_is_validated(kind):
    usual = {"epochs": 2, "batch_size": 4, "length": 7, "patience": None}
    plain = make(Settings(**usual), dropout=0.0)
    averaged = make(Settings(**usual, average=kind), dropout=0.0)
    seen: list[torch.Tensor] = []

    def validate() -> dict[str, float]:
        seen.append(averaged.network.output_layer.weight.detach().clone())
        return {"loss": 1.0}

    averaged.validate = validate
    finish(plain)
    finish(averaged, saves := [])
    for one, other in zip(plain.network.parameters(), averaged.network.parameters()):
        assert torch.equal(one, other)
    assert torch.equal(saves[-1][0]["output_layer.weight"], seen[-1])  # what is saved was validated
    assert torch.equal(
        saves[-1][1].tensors["weights.output_layer.weight"],
        averaged.network.output_layer.weight.detach(),
    )
    assert not torch.equal(seen[-1], averaged.network.output_layer.weight)
