"""Training for `minutes`: it ends on time, as `steps` would, whatever the machine does meanwhile.

The clock is not a real one: an update moves it by some seconds, and a validation by others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.resuming import restore_training
from seqlm.training.signals import Interruption
from seqlm.training.timed_trainer import Pace, updates_that_fit
from seqlm.training.trainer import Trainer
from seqlm.training.watchers import SilentWatcher
from tests.training.toy import finish, make

SILENT = SilentWatcher()
USUAL: dict[str, Any] = {
    "batch_size": 4, "seq_length": 7, "lr": 0.1, "context": "carried", "patience": None,
}  # fmt: skip


class Clock:
    """Seconds that pass when something says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def timed(
    clock: Clock,
    update: Callable[[], float] | float,
    validation: float = 0.0,
    validated: bool = True,
    **given: Any,
) -> Trainer:
    """A trainer whose updates and validations take so many seconds of `clock`."""

    def validate() -> float:
        clock.now += validation
        return 2.0

    trainer = make(TrainingSettings(**USUAL | given), validate if validated else None)
    trainer.clock = clock
    step = trainer.update

    def slow_update(*arguments: Any) -> None:
        step(*arguments)
        clock.now += update() if callable(update) else update

    trainer.update = slow_update
    return trainer


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.network.named_parameters()}


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


# ------------------------------------------------------------------------------------ what fits in


@pytest.mark.parametrize("left", [-3.0, 0.0, 1.9, 2.0, 9.9, 33.0, 100.0, 1234.5])
@pytest.mark.parametrize(("update", "validation", "every"), [(2.0, 0.0, 5), (0.7, 11.0, 4)])
def test_as_many_updates_as_fit_and_one_more_does_not(left, update, validation, every) -> None:
    def duration(n: int) -> float:
        return n * update + -(-n // every) * validation

    n = updates_that_fit(left, duration)
    plainly = max([n for n in range(1, 2000) if duration(n) <= left], default=1)
    assert n == plainly


def test_a_pace_forgets() -> None:
    pace = Pace()
    pace.note(10, 20.0, memory=1e9)
    assert pace.update_seconds == pytest.approx(2.0)
    pace.note(10, 50.0, memory=1e9)
    assert pace.update_seconds == pytest.approx(3.5)
    for _ in range(40):
        pace.note(1, 5.0, memory=10.0)
    assert pace.update_seconds == pytest.approx(5.0)


@pytest.mark.parametrize("given", [{}, {"valid_every": 5}, {"grad_accumulation": 3}], ids=str)
def test_validations_are_counted_ahead(given) -> None:
    """As many as there are in fact, from every step on."""
    trainer = make(TrainingSettings(**USUAL | {"steps": 60} | given), lambda: 2.0)
    expected, due = [], []

    class Watcher:
        def on_message(self, message):
            """Says nothing."""

        def on_step(self, trainer, loss):
            expected.append(trainer.validations_within(60 - trainer.progress.step))
            due.append(trainer.progress.awaits_validation)

        def on_validation(self, *arguments):
            """Records nothing."""

    trainer.fit(Watcher(), lambda *_: None)
    assert len(due) == 60
    assert expected[:-1] == [sum(due[step:]) for step in range(1, 60)]


# ------------------------------------------------------------------------------------ ends on time


@pytest.mark.parametrize("minutes", [0.5, 10.0])
@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("given", [{}, {"valid_every": 4}, {"grad_accumulation": 5}], ids=str)
def test_training_ends_on_time(minutes, validated, given) -> None:
    clock = Clock()
    trainer = timed(clock, minutes / 4, minutes, validated, minutes=minutes, **given)
    rows = finish(trainer).rows
    assert clock.now - 1000 == pytest.approx(60 * minutes, rel=0.04)
    assert trainer.progress.done
    assert trainer.progress.step == trainer.total_steps == rows[-1]["step"]
    assert trainer.progress.plan_changes == 0
    assert rows[-1]["lr"] == pytest.approx(0.1 * 1e-3, rel=0.01)  # the schedule has ended, too


def test_the_time_before_training_counts() -> None:
    clock = Clock()
    trainer = timed(clock, 0.25, minutes=1)
    trainer.seconds_before = 20.0
    trainer.fit(SILENT, lambda *_: None)
    assert clock.now - 1000 == pytest.approx(40, rel=0.04)


def test_saving_counts() -> None:
    clock = Clock()
    trainer = timed(clock, 2.0, 1.0, minutes=10, valid_every=40)

    def save(trainer: Trainer, is_best: bool) -> None:
        clock.now += 5.0

    trainer.fit(SILENT, save)
    assert clock.now - 1000 == pytest.approx(600, rel=0.03)


@pytest.mark.parametrize(("before", "after"), [(1.0, 3.0), (3.0, 1.0), (1.0, 30.0)])
def test_a_machine_that_changes_its_speed_changes_the_plan(before, after) -> None:
    clock = Clock()
    trainer = timed(clock, lambda: before if clock.now < 1200 else after, 2.0, minutes=10)
    rates, messages = [], []

    class Watcher:
        def on_message(self, message):
            messages.append(message)

        def on_step(self, trainer, loss):
            rates.append(trainer.current_lr())

        def on_validation(self, *arguments):
            """Records nothing."""

    trainer.fit(Watcher(), lambda *_: None)
    assert clock.now - 1000 == pytest.approx(600, rel=0.06)
    assert trainer.progress.plan_changes >= len(messages) - 1 > 0
    word = "slower" if after > before else "faster"
    assert f"updates have become {word}" in messages[1]
    # The rate goes on from where it was, and falls to its end.
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.1, rel=0.01)
    assert all(a >= b for a, b in zip(rates[peak:], rates[peak + 1 :]))
    if after < 30:
        assert rates[-1] < 0.001


def test_a_small_change_of_the_plan_is_not_announced() -> None:
    clock, messages = Clock(), []
    trainer = timed(clock, lambda: 2.0 if clock.now < 1400 else 2.5, 2.0, minutes=10)

    class Watcher(SilentWatcher):
        def on_message(self, message):
            messages.append(message)

    trainer.fit(Watcher(), lambda *_: None)
    assert clock.now - 1000 == pytest.approx(600, rel=0.04)
    assert trainer.progress.plan_changes > 0
    assert len(messages) == 1
    assert messages[0].startswith("the plan: ")


@pytest.mark.parametrize("seconds_before", [0.0, 90.0])
def test_one_update_is_made_where_there_is_time_for_none(seconds_before) -> None:
    trainer = timed(Clock(), 50.0, minutes=0.1)
    trainer.seconds_before = seconds_before
    finish(trainer)
    assert trainer.progress.done
    assert trainer.progress.step == 1


def test_early_stopping_ends_it_sooner() -> None:
    clock = Clock()
    trainer = timed(clock, 2.0, minutes=10, patience=3)  # the loss is 2.0 forever
    rows = finish(trainer).rows
    assert len(rows) == 4
    assert trainer.progress.done
    assert trainer.progress.step < trainer.total_steps
    assert clock.now - 1000 < 250


# ----------------------------------------------------------------------------------- as steps would


OPTIONS: dict[str, dict[str, Any]] = {
    "one-cycle": {},
    "ema": {"average": "ema", "average_decay": 0.9},
    "last": {"average": "last", "valid_every": 9},
    "sgd": {"optimizer": "sgd", "schedule": "cosine"},
    "scheduled sampling": {"scheduled_sampling": "linear"},
    "variable length": {"variable_length": True, "seq_length": 20},
    "sentences": {"context": "sentence", "grad_accumulation": 2},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_steps_repeat_it_bit_for_bit(name) -> None:
    trainer = timed(Clock(), 0.25, 0.5, minutes=0.3, **OPTIONS[name])
    rows = finish(trainer).rows
    again = timed(Clock(), 3.0, 9.0, steps=trainer.total_steps, **OPTIONS[name])
    rows_again = finish(again).rows
    assert trainer.total_steps > 30
    assert_equal(weights(trainer), weights(again))
    for row in (*rows, *rows_again):
        del row["seconds"]
    assert rows == rows_again


@pytest.mark.parametrize("name", ["one-cycle", "ema", "variable length"])
def test_a_resumed_training_goes_on_with_the_time_that_was_left(name) -> None:
    clock = Clock()
    unbroken = timed(clock, 0.25, 1.0, minutes=1, **OPTIONS[name])
    finish(unbroken)

    clock, checkpoints = Clock(), []
    broken = timed(clock, 0.25, 1.0, minutes=1, **OPTIONS[name])
    finish(broken, checkpoints, stop_at=90)
    spent = clock.now - 1000
    clock.now += 7_000
    torch.manual_seed(99)
    resumed = timed(clock, 0.25, 1.0, minutes=1, **OPTIONS[name])
    restore_training(resumed, *checkpoints[-1])
    begun = clock.now
    finish(resumed)
    assert clock.now - begun == pytest.approx(60 - spent, abs=1.2)
    assert resumed.progress.plan_changes == 0
    assert_equal(weights(resumed), weights(unbroken))


def test_a_new_phase_is_planned_for_the_time_that_is_left() -> None:
    clock, checkpoints = Clock(), []
    finish(timed(clock, 0.25, 1.0, minutes=1), checkpoints)
    assert clock.now - 1000 == pytest.approx(60, rel=0.04)
    longer = timed(clock, 0.25, 1.0, minutes=3)
    restore_training(longer, *checkpoints[-1])
    longer.begin_phase(0.05)
    assert not longer.is_planned
    finish(longer)
    assert clock.now - 1000 == pytest.approx(180, rel=0.04)
    assert longer.total_steps > longer.progress.phase_start_step > 0


@pytest.mark.parametrize("where", ["update", "validation"])
def test_a_signal_during_the_trial_leaves_nothing_of_it(where) -> None:
    trainer, checkpoints = timed(Clock(), 0.25, 1.0, minutes=1), []
    before, interrupted = weights(trainer), []

    def interrupts(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if len(interrupted) == (3 if where == "update" else 0):
                trainer.interruption.arrive(2)
                raise AssertionError("it goes on in spite of the signal")
            interrupted.append(1)
            return function(*arguments)

        return call

    if where == "update":
        trainer.objective.forward = interrupts(trainer.objective.forward)
    else:
        trainer.validate = interrupts(trainer.validate)
    random_numbers = torch.get_rng_state()
    finish(trainer, checkpoints, interruption=Interruption())
    assert trainer.position == "step 0"
    assert not trainer.progress.done
    assert_equal(weights(trainer), before)
    assert torch.equal(torch.get_rng_state(), random_numbers)
    assert len(checkpoints) == 1
