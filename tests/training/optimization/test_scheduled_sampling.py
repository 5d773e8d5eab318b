"""Scheduled sampling against a loop that draws and reads one token after the other."""

from __future__ import annotations

import math

import pytest
import torch

from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.optimization.objective import Objective
from seqlm.training.optimization.scheduled_sampling import K, mix_in_samples, teacher_forcing_rate
from tests.training.optimization.test_objective import batch
from tests.training.toy import make, network


@pytest.mark.parametrize("kind", ["linear", "exponential", "inverse-sigmoid"])
@pytest.mark.parametrize("last", [0.02, 0.5, 0.95])
def test_the_share_of_true_tokens_falls_to_its_last_value(kind, last) -> None:
    shares = [teacher_forcing_rate(kind, x / 100, last) for x in range(101)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(1.0 if kind != "inverse-sigmoid" else K / (K + 1))
    assert shares[-1] == pytest.approx(last)


def test_the_schedules_are_those_of_the_paper() -> None:
    assert teacher_forcing_rate("linear", 0.25, 0.2) == pytest.approx(1 - 0.8 / 4)
    k = 0.3 ** (1 / 80)  # e_i = k^i, of which the 80th step is the last
    assert teacher_forcing_rate("exponential", 20 / 80, 0.3) == pytest.approx(k**20)
    steps = 100 * math.log(100 * 0.5 / 0.5)  # e_i = k / (k + exp(i / k)) is a half at this i
    rate = teacher_forcing_rate("inverse-sigmoid", 200 / steps, 0.5)
    assert rate == pytest.approx(100 / (100 + math.exp(2)))
    assert teacher_forcing_rate("none", 0.7, 0.2) == 1.0


@pytest.mark.parametrize("arch", ["lstm", "gru", "transformer"])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_an_input_is_true_or_what_the_model_says(arch, share) -> None:
    torch.manual_seed(1)
    model = network(arch, dropout_hidden=0.5).train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)
    tokens = batch().inputs[:, :7]
    torch.manual_seed(5)
    inputs = mix_in_samples(model, tokens, lambda: model.initial_cache(4), share)

    torch.manual_seed(5)
    is_sampled, uniform = torch.rand(4, 7) >= share, torch.rand(4, 7, dtype=torch.float64)
    assert model.training
    model.eval()
    for row in range(4):
        expected = [int(tokens[row, 0])]
        for t in range(1, 7):
            state = model.advance(model.start(1), torch.tensor([expected[1:]], dtype=torch.long))
            if expected[0] != 1:  # start() has read </s>, and this row begins with another token
                features, *_ = model(torch.tensor([expected]), model.initial_cache(1))
                state = state._replace(last_features=features[:, -1])
            p = model.log_probs(state)[0].double().exp()
            sampled = int((p.cumsum(0) / p.sum() <= uniform[row, t]).sum())
            expected.append(sampled if is_sampled[row, t] else int(tokens[row, t]))
        assert inputs[row].tolist() == expected


def test_targets_stay_true_and_nothing_else_changes() -> None:
    torch.manual_seed(1)
    model, segment = network(), batch()
    torch.manual_seed(2)
    loss, *_ = Objective(model)(segment, None, 0.3)
    torch.manual_seed(2)
    inputs = mix_in_samples(model, segment.inputs, lambda: model.initial_cache(4), 0.3)
    assert not torch.equal(inputs, segment.inputs)
    expected, *_ = Objective(model)(segment._replace(inputs=inputs), None)
    assert loss.item() == expected.item()


def test_the_share_goes_down_over_the_steps_of_training(monkeypatch) -> None:
    trainer = make(
        TrainingSettings(
            epochs=1, batch_size=4, seq_length=7, scheduled_sampling="linear",
            teacher_forcing_end=0.5,
        )
    )  # fmt: skip
    rates = []
    forward = trainer.objective.forward
    monkeypatch.setattr(
        trainer.objective,
        "forward",
        lambda batch, cache, rate: rates.append(rate) or forward(batch, cache, rate),
    )
    while trainer.progress.step < trainer.total_steps:
        trainer.step()
    steps = trainer.total_steps
    assert rates == pytest.approx([1 - 0.5 * step / steps for step in range(steps)])
