"""Averages against means taken by hand over every step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.optimization.averaging import make_average
from tests.training.toy import finish, make


def walk(average, network: nn.Module, steps: int) -> list[torch.Tensor]:
    """Moves the weights and updates the average `steps` times; returns the weights of each step."""
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


def averaged_weight(average, network: nn.Module) -> torch.Tensor:
    with average.in_place_of_weights():
        return network.weight.detach().clone()


def test_an_exponential_average_starts_as_a_plain_mean() -> None:
    network = linear()
    average = make_average("ema", network, 0.75, 0, 0)
    walked = walk(average, network, 9)
    torch.testing.assert_close(averaged_weight(average, network), expected := ema(walked, 0.75))
    plain = make_average("ema", network, 0.75, 0, 0)
    walked = walk(plain, network, 4)  # 1 / (1 - 0.75)
    torch.testing.assert_close(averaged_weight(plain, network), torch.stack(walked).mean(0))
    assert not torch.equal(expected, walked[-1])


def ema(walked: list[torch.Tensor], decay: float) -> torch.Tensor:
    first = int(1 / (1 - decay))
    a = sum(walked[:first]) / first
    for w in walked[first:]:
        a = decay * a + (1 - decay) * w
    return a


def test_the_plain_average_is_the_mean_of_all_steps() -> None:
    network = linear()
    average = make_average("asgd", network, 0.5, 0, 0)
    walked = walk(average, network, 9)
    torch.testing.assert_close(averaged_weight(average, network), torch.stack(walked).mean(0))


@pytest.mark.parametrize(("patience", "start"), [(1, 6), (2, 7), (5, None)])
def test_averaging_starts_when_the_loss_is_above_the_best_but_the_last(patience, start) -> None:
    losses = [9.0, 8.0, 7.0, 7.5, 6.0, 6.5, 6.4, 6.3, 6.2, 6.1, 5.9, 6.0]
    network = linear()
    average = make_average("nt-asgd", network, 0.0, patience, 0)
    # Algorithm 1 of the paper, with n = patience: v > min over l in {0, .., k - n - 1} of logs[l].
    assert start == next(
        (k for k, v in enumerate(losses) if k > patience and v > min(losses[: k - patience])), None
    )
    walked: list[torch.Tensor] = []
    for k in range(len(losses)):
        steps = walk(average, network, 3)
        walked += steps if start is not None and k > start else []
        average.after_validation(losses[: k + 1])
        expected = torch.stack(walked).mean(0) if walked else steps[-1]
        torch.testing.assert_close(averaged_weight(average, network), expected)
    assert (start is None) == (walked == [])


def test_the_last_validations_are_averaged() -> None:
    network = linear()
    average, snapshots = make_average("last", network, 0.0, 0, 3), []
    for steps in (2, 1, 4, 3, 2):
        torch.testing.assert_close(
            averaged_weight(average, network),
            torch.stack(snapshots[-3:]).mean(0) if snapshots else network.weight.detach(),
        )
        snapshots.append(walk(average, network, steps)[-1])
        average.before_validation()
    torch.testing.assert_close(
        averaged_weight(average, network), torch.stack(snapshots[-3:]).mean(0)
    )


@pytest.mark.parametrize("kind", ["none", "ema", "asgd", "last"])
def test_the_weights_come_back_to_the_bit_in_the_same_tensors(kind) -> None:
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
def test_training_is_blind_to_the_average_that_is_validated(kind) -> None:
    usual = {"epochs": 2, "batch_size": 4, "seq_length": 7, "patience": None}
    plain = make(TrainingSettings(**usual), dropout=0.0)
    averaged = make(TrainingSettings(**usual, average=kind), dropout=0.0)
    validated: list[torch.Tensor] = []

    def validate() -> dict[str, float]:
        validated.append(averaged.network.output_layer.weight.detach().clone())
        return {"loss": 1.0}

    averaged.validate = validate
    finish(plain)
    finish(averaged, checkpoints := [])
    for one, other in zip(plain.network.parameters(), averaged.network.parameters()):
        assert torch.equal(one, other)
    assert torch.equal(checkpoints[-1][0]["output_layer.weight"], validated[-1])
    assert torch.equal(
        checkpoints[-1][1].tensors["weights.output_layer.weight"],
        averaged.network.output_layer.weight.detach(),
    )
    assert not torch.equal(validated[-1], averaged.network.output_layer.weight)
