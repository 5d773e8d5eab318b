"""The trainer: schedules, stopping, and a resumed run that equals the unbroken one bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seqlm.errors import ModelError, SeqlmError
from seqlm.models.base import NetworkOutput
from seqlm.text.batches import StreamBatches
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.optimization.schedules import SCHEDULES, schedule_factor
from seqlm.training.resuming import restore_training
from seqlm.training.signals import Interruption
from seqlm.training.trainer import StepReport
from tests.training.toy import CPU, finish, make

LOSSES = [2.0, 3.0, 2.5, 3.0] * 9


def validations():
    losses = iter(LOSSES)
    return lambda: next(losses)


OPTIONS = {
    "cosine": {"schedule": "cosine", "warmup": 0.1},
    "sgd, plateau": {"optimizer": "sgd", "schedule": "plateau"},
    "rmsprop, wsd": {"optimizer": "rmsprop", "schedule": "wsd", "cooldown": 0.5},
    "adam, cycled beta1": {"optimizer": "adam", "beta1": 0.8, "beta1_min": 0.7},
    "gru": {"arch": "gru"},
    "rnn, sentences": {"arch": "rnn", "context": "sentence"},
    "transformer": {"arch": "transformer", "context": "window"},
    "transformer, sentences": {"arch": "transformer", "context": "sentence"},
    "variable length": {"variable_length": True, "seq_length": 20},
    "accumulated": {"grad_accumulation": 3},
    "accumulated lines": {"grad_accumulation": 2, "context": "sentence"},
    "ema": {"average": "ema", "average_decay": 0.9},
    "asgd": {"average": "asgd", "optimizer": "sgd"},
    "nt-asgd": {"average": "nt-asgd", "average_patience": 1, "valid_every": 7},
    "last": {"average": "last", "average_last": 2, "valid_every": 7},
    "smoothed": {"label_smoothing": 0.1},
    "scheduled sampling": {"scheduled_sampling": "linear"},
    "bfloat16": {"precision": "bfloat16"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_resumed_run_is_the_unbroken_one(name) -> None:
    usual = {"epochs": 3, "batch_size": 4, "seq_length": 7, "lr": 0.1, "weight_decay": 0.01}
    settings = TrainingSettings(**usual | {"context": "carried", "patience": None} | OPTIONS[name])
    unbroken = make(settings, validations())
    finish(unbroken, ends := [])

    losses = validations()
    broken, checkpoints = make(settings, losses), []
    updates = broken.total_steps // 3
    finish(broken, checkpoints, stop_at=updates + 2)  # within the second epoch
    assert not broken.progress.done
    torch.manual_seed(99)  # what another process would have drawn
    resumed = make(settings, losses)
    torch.manual_seed(99)
    restore_training(resumed, *checkpoints[-1])
    finish(resumed, ends_again := [])

    assert resumed.progress.step == unbroken.progress.step == unbroken.total_steps
    (model, state), (model_again, state_again) = ends[-1], ends_again[-1]
    for name, tensor in (model | state.tensors).items():
        assert torch.equal(tensor, (model_again | state_again.tensors)[name]), name
    state.values["progress"]["seconds"] = state_again.values["progress"]["seconds"]
    assert state.values == state_again.values


@pytest.mark.parametrize(
    "name", ["cosine", "last", "nt-asgd", "accumulated lines", "rnn, sentences"]
)
@pytest.mark.parametrize("where", ["gradient", "validation"])
def test_what_a_signal_interrupts_is_done_again(name, where) -> None:
    """A signal arrives in the midst of a gradient, or of a validation."""
    usual = {"epochs": 3, "batch_size": 4, "seq_length": 7, "lr": 0.1}
    settings = TrainingSettings(**usual | {"context": "carried", "patience": None} | OPTIONS[name])
    finish(make(settings, validations()), ends := [])

    losses, calls = validations(), 0
    trainer = make(settings, losses)

    def interrupts(function):
        def interrupted(*arguments):
            nonlocal calls
            calls += 1
            if calls == 2:
                if where == "gradient":
                    torch.rand(7)  # dropout has been drawn
                trainer.interruption.arrive(15)
                raise AssertionError("it goes on in spite of the signal")
            return function(*arguments)

        return interrupted

    if where == "validation":
        trainer.validate = interrupts(trainer.validate)
    else:
        trainer.objective.forward = interrupts(trainer.objective.forward)
    finish(trainer, checkpoints := [], interruption=Interruption())
    assert not trainer.progress.done
    assert trainer.progress.awaits_validation == (where == "validation")
    resumed = make(settings, losses)
    torch.manual_seed(99)
    restore_training(resumed, *checkpoints[-1])
    finish(resumed, ends_again := [])
    (model, state), (model_again, state_again) = ends[-1], ends_again[-1]
    for tensor_name, tensor in (model | state.tensors).items():
        assert torch.equal(tensor, (model_again | state_again.tensors)[tensor_name]), tensor_name
    state.values["progress"]["seconds"] = state_again.values["progress"]["seconds"]
    assert state.values == state_again.values


def test_a_state_of_an_older_version_is_refused() -> None:
    finish(trainer := make(TrainingSettings(epochs=1, batch_size=4)), checkpoints := [])
    model, state = checkpoints[-1]
    del state.values["early_stopping"]
    with pytest.raises(ModelError, match="made by an older seqlm"):
        restore_training(trainer, model, state)


# ------------------------------------------------------------------------------- several at a time


def test_accumulated_segments_give_the_gradient_of_all_their_tokens() -> None:
    trainer = make(
        TrainingSettings(epochs=1, batch_size=4, seq_length=2, grad_accumulation=3), dropout=0.0
    )
    segments = [trainer.batches[index] for index in range(3)]
    cache, loss = None, 0.0
    for segment in segments:
        segment_loss, cache, _ = trainer.objective(segment, cache)
        loss = loss + segment_loss * segment.num_targets / sum(
            segment.num_targets for segment in segments
        )
    gradients = torch.autograd.grad(loss, list(trainer.network.parameters()))
    reported = trainer.step().figures["loss"]
    assert reported.item() == pytest.approx(loss.item(), rel=1e-6)
    clip = min(1.0, 0.25 / math.sqrt(sum(float(g.square().sum()) for g in gradients)))
    for parameter, gradient in zip(trainer.network.parameters(), gradients):
        torch.testing.assert_close(parameter.grad, gradient * clip)
    assert (trainer.progress.step, trainer.progress.segments_done) == (1, 3)


def test_accumulated_lines_are_weighted_by_their_tokens() -> None:
    trainer = make(
        TrainingSettings(epochs=1, batch_size=4, context="sentence", grad_accumulation=4),
        dropout=0.0,
    )
    segments = list(trainer.batches.epoch(0))[:4]
    scores = []
    for segment in segments:
        features, *_ = trainer.network(segment.inputs, trainer.network.initial_cache(4))
        scores.append(trainer.network.output_layer.score(features, segment.targets.clamp(min=0)))
        scores[-1] = scores[-1][segment.targets >= 0]
    expected = -torch.cat(scores).mean()
    assert trainer.step().figures["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_last_update_of_an_epoch_may_have_fewer_segments() -> None:
    trainer = make(TrainingSettings(epochs=2, batch_size=4, seq_length=7, grad_accumulation=5))
    segments = len(trainer.batches)  # 22
    assert (segments % 5, trainer.total_steps) == (2, 2 * 5)
    rows = finish(trainer).rows
    assert [row["step"] for row in rows] == [5, 10]
    assert [row["tokens"] for row in rows] == [600, 1200]


def test_the_rate_follows_the_length_of_a_segment() -> None:
    settings = TrainingSettings(
        epochs=1, batch_size=4, seq_length=20, variable_length=True, schedule="constant", lr=0.1
    )
    trainer = make(settings)
    for length in trainer.batches.epoch(0).cuts[1:] - trainer.batches.epoch(0).cuts[:-1]:
        trainer.step()
        assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * length / 20)


# ----------------------------------------------------------------------------------------- figures


def test_figures_that_a_network_reports_are_averaged_between_validations(monkeypatch) -> None:
    trainer = make(TrainingSettings(epochs=2, batch_size=4, seq_length=7))
    forward, usages = trainer.network.forward, []

    def reports(tokens, cache):
        features, cache, penalty, _ = forward(tokens, cache)
        usages.append(float(len(usages)))
        return NetworkOutput(features, cache, penalty, {"usage": torch.tensor(usages[-1])})

    monkeypatch.setattr(trainer.network, "forward", reports)
    rows = finish(trainer).rows
    tokens = [batch.num_targets for batch in trainer.batches.epoch(0)]  # the last has fewer
    epoch = len(trainer.batches)
    assert rows[0]["usage"] == pytest.approx(np.average(usages[:epoch], weights=tokens))
    assert rows[1]["usage"] == pytest.approx(np.average(usages[epoch:], weights=tokens))


@pytest.mark.parametrize("grad_accumulation", [1, 3])
@pytest.mark.parametrize("context", ["carried", "sentence"])
def test_the_training_loss_is_a_mean_over_tokens(context, grad_accumulation) -> None:
    settings = TrainingSettings(
        epochs=1, batch_size=16, seq_length=30, context=context, lr=0.0,
        grad_accumulation=grad_accumulation,
    )  # fmt: skip
    trainer = make(settings, dropout=0.0)
    (row,) = finish(trainer).rows
    total, tokens, cache = 0.0, 0, None
    for batch in trainer.batches.epoch(0):
        loss, cache, _ = trainer.objective(batch, cache if context == "carried" else None)
        total += loss.item() * batch.num_targets
        tokens += batch.num_targets
    assert row["train_loss"] == pytest.approx(total / tokens, abs=1e-6)


def test_training_lowers_the_loss_below_the_unigram_entropy() -> None:
    ids = np.tile(np.array([2, 3, 4, 5, 1], np.int32), 200)
    trainer = make(
        TrainingSettings(epochs=8, batch_size=4, seq_length=10, lr=0.03), dropout=0.0, width=32
    )
    trainer.batches = StreamBatches(ids, 4, 10, CPU)
    watcher = finish(trainer)
    assert watcher.rows[-1]["train_loss"] < 0.5 < math.log(5)


def test_early_stopping_counts_validations_without_a_gain_beyond_the_tolerance() -> None:
    losses = iter([3.0, 2.0, 1.995, 1.99, 1.0, 0.5])
    settings = TrainingSettings(epochs=9, patience=2, min_delta=0.01, batch_size=4)
    trainer = make(settings, lambda: next(losses))
    watcher = finish(trainer)
    assert [row["valid_loss"] for row in watcher.rows] == [3.0, 2.0, 1.995, 1.99]
    # A loss below the best by less than the tolerance is still saved as the best.
    assert [row["best"] for row in watcher.rows] == [True, True, True, True]
    assert trainer.progress.done


def test_a_plateau_slows_the_rate() -> None:
    losses = iter([3.0, 3.5, 2.0, 2.5])
    trainer = make(
        TrainingSettings(epochs=4, schedule="plateau", lr=0.4, patience=None, batch_size=4),
        lambda: next(losses),
    )
    rows = finish(trainer).rows
    assert [row["lr"] for row in rows] == pytest.approx([0.4, 0.4, 0.1, 0.1])
    assert trainer.current_lr() == pytest.approx(0.025)


# --------------------------------------------------------------------------------------- schedules


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_stay_below_the_peak_and_rise_during_warmup(name) -> None:
    rates = [schedule_factor(name, x / 100, 0.1, 0.2) for x in range(101)]
    assert max(rates) <= 1.0 + 1e-9
    assert min(rates) > 0
    assert rates[:10] == sorted(rates[:10])
    if name in ("cosine", "one-cycle", "wsd"):
        assert rates[-1] == pytest.approx(1e-3)


def test_one_cycle_peaks_at_thirty_percent() -> None:
    rates = [schedule_factor("one-cycle", x / 1000, 0.0, 0.1) for x in range(1001)]
    assert rates.index(max(rates)) == 300
    assert rates[0] == pytest.approx(1 / 25)


def test_a_loss_that_is_not_finite_names_its_step() -> None:
    trainer = make(TrainingSettings(epochs=2, batch_size=4, seq_length=7))
    real_step = trainer.step

    def poisoned_step():
        tokens, figures = real_step()
        factor = math.nan if trainer.progress.step == 5 else 1
        return StepReport(tokens, {"loss": figures["loss"] * factor})

    trainer.step = poisoned_step
    with pytest.raises(SeqlmError, match="nan at step 5;"):
        finish(trainer)


@pytest.mark.parametrize(
    ("is_sparse", "clip", "ending"),
    [
        (False, 0.5, ", or lower clip (now 0.5)"),
        (False, 0.0, ", or set clip, which is off"),
        (True, 0.0, ""),
    ],
)
def test_what_helps_against_infinite_numbers_is_a_setting_that_there_is(
    is_sparse, clip, ending, monkeypatch
) -> None:
    trainer = make(TrainingSettings(batch_size=4, clip=clip, lr=0.25))
    monkeypatch.setattr(trainer.network, "has_sparse_gradients", is_sparse)
    assert str(SeqlmError(trainer.advice())) == f"Lower lr (now 0.25){ending}"


def test_steps_end_training_in_the_middle_of_an_epoch() -> None:
    trainer = make(
        TrainingSettings(steps=5, batch_size=4, seq_length=7, valid_every=2), lambda: 1.0
    )
    rows = finish(trainer).rows
    assert [row["step"] for row in rows] == [2, 4, 5]


def test_a_new_phase_starts_from_the_rate_it_is_given() -> None:
    trainer = make(TrainingSettings(epochs=2, batch_size=4, schedule="constant", lr=0.1))
    finish(trainer)
    trainer.settings = TrainingSettings(epochs=3, batch_size=4, schedule="cosine")
    trainer.begin_phase(0.03)
    assert trainer.current_lr() == pytest.approx(0.03)
    before = trainer.progress.step
    finish(trainer)
    assert trainer.progress.step == before + len(trainer.batches)
    assert trainer.current_lr() == pytest.approx(0.03 * 1e-3)


def test_a_new_phase_in_mid_epoch_ends_with_its_last_epoch() -> None:
    trainer = make(TrainingSettings(epochs=2, batch_size=4, seq_length=7))
    finish(trainer, [], stop_at=len(trainer.batches) + 3)
    trainer.settings = TrainingSettings(epochs=4, batch_size=4, seq_length=7)
    trainer.begin_phase(0.01)
    finish(trainer)
    assert trainer.progress.step == 4 * len(trainer.batches)
    assert (trainer.progress.epoch, trainer.progress.segments_done) == (4, 0)


def test_a_continued_cycle_only_falls() -> None:
    trainer = make(TrainingSettings(epochs=1, batch_size=4, seq_length=7))
    finish(trainer)
    trainer.settings = TrainingSettings(epochs=2, batch_size=4, seq_length=7)
    trainer.begin_phase(0.01)
    rates = []
    while trainer.progress.step < trainer.total_steps:
        rates.append(trainer.current_lr())
        trainer.step()
    assert rates[0] == pytest.approx(0.01)
    assert rates == sorted(rates, reverse=True)


def test_the_warmup_of_a_cycle_is_its_rise() -> None:
    rates = [schedule_factor("one-cycle", x / 1000, 0.1, 0.1) for x in range(1001)]
    assert rates.index(max(rates)) == 100
    assert rates[:101] == sorted(rates[:101])


def test_warmup_stable_decay_is_stable_and_then_decays() -> None:
    rates = [schedule_factor("wsd", x / 1000, 0.1, 0.2) for x in range(1001)]
    assert rates[100:801] == [1.0] * 701
    assert rates[800:] == sorted(rates[800:], reverse=True)
    assert rates[850] == pytest.approx(
        1 - 0.999 * 0.5
    )  # a quarter of the cooldown, whose square root is a half


def test_beta1_goes_down_as_the_rate_goes_up_and_back() -> None:
    settings = TrainingSettings(
        epochs=1, batch_size=4, seq_length=7, optimizer="adamw", beta1=0.8, beta1_min=0.7
    )
    trainer, betas, factors = make(settings), [], []
    while trainer.progress.step < trainer.total_steps:
        factors.append(trainer.schedule_factor())
        trainer.step()
        betas.append(trainer.optimizer.param_groups[-1]["betas"])
    assert min(betas)[0] == pytest.approx(0.7, abs=5e-3)
    assert [0.8 - 0.1 * factor for factor in factors] == pytest.approx([b for b, _ in betas])
    assert {beta2 for _, beta2 in betas} == {0.99}
