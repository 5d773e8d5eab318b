"""A trainer that ends on time: it makes as many updates as fit into the `minutes`.

    L      seconds that are left        s   seconds of an update
    n      updates still to come        v   seconds of a validation and of the checkpoint after it
    c(n)   validations during n updates and after the last

The plan is the largest n with

    n s + c(n) v <= L.

s and v are measured in a trial: some updates and a validation, which are then undone, random
numbers included. The training that follows is therefore the one of `steps` = n, bit for bit, as
long as the plan holds. It holds while training is expected to end about on time (TOLERANCE). Where
the machine has become slower or faster, n is planned anew for the time that is left, and with it
the schedule of the learning rate: with x_0 the part of the training that is done at that moment,
the part that is done k updates later is

    x = x_0 + (1 - x_0) k / n.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from seqlm.runs.checkpoint import TrainingState
from seqlm.training.resuming import restore_training, training_state
from seqlm.training.trainer import Trainer, Watcher

TOLERANCE, TOLERANCE_OF_LEFT = 0.02, 0.1
"""The share of the minutes, and that of the time that is left, by the larger of which training may
be expected to end too early or too late. While much is left, the pace may still change."""
MEMORY = 0.25
"""The share of the minutes over which s is averaged."""
TRIAL_SHARE, TRIAL_SECONDS, TRIAL_UPDATES = 0.02, 15.0, 3
"""s is known after so many updates that took this share of the time that is left, or these seconds,
whichever is less."""
LONGEST_TRIAL = 0.1
"""A trial takes no longer share of the time than this, however few its updates are."""
MOST_UPDATES = 1 << 40
WORTH_A_MESSAGE = 0.1
"""A plan is announced where it differs by more than this share from the last that was announced."""


@dataclass
class Pace:
    """Updates, and the seconds that they took. The older ones are forgotten, both at one rate."""

    updates: float = 0.0
    seconds: float = 0.0

    def note(self, updates: int, seconds: float, memory: float) -> None:
        """Adds `updates` that took `seconds`. What is `memory` seconds old counts 1 / e."""
        kept = math.exp(-seconds / memory)
        self.updates = kept * self.updates + updates
        self.seconds = kept * self.seconds + seconds

    @property
    def update_seconds(self) -> float:
        """s"""
        return self.seconds / self.updates


class TimedTrainer(Trainer):
    """Trains for `minutes`. The plan is in `progress`, as resuming needs it; the pace is measured
    anew in every process."""

    seconds_before = 0.0
    """What the command had used of its time before training began."""

    @property
    def seconds(self) -> float:
        """The `minutes`, in seconds."""
        assert self.settings.minutes is not None
        return 60 * self.settings.minutes

    @property
    def left(self) -> float:
        """L"""
        return self.started + self.seconds - self.seconds_before - self.clock()

    @property
    def total_steps(self) -> int:
        """The step at which training ends, 0 before the first plan."""
        return self.progress.planned_steps

    @property
    def is_planned(self) -> bool:
        return self.progress.planned_steps > 0

    @property
    def has_time(self) -> bool:
        return self.progress.seconds < self.seconds

    @property
    def phase_fraction(self) -> float:
        """x"""
        progress = self.progress
        if not self.is_planned:
            return 0.0
        start, done = progress.plan_start_step, progress.plan_start_fraction
        return done + (1 - done) * (progress.step - start) / max(1, self.total_steps - start)

    # -- what `fit` calls

    def begin(self, watcher: Watcher) -> None:
        """Plans the training after a trial of it, unless it is planned.

        Errors: GivenUp, which leaves all as it was before the trial.
        """
        self.pace = Pace()
        self.last_time: float | None = None
        """When the last update or validation ended; None before the first update, which is not
        timed, as it prepares what the others use."""
        if not self.is_planned:
            self.plan_first(watcher)
        self.announced_steps = self.total_steps
        """The step at which training ends by the plan that was last announced."""

    def plan_first(self, watcher: Watcher) -> None:
        """Plans the training after a trial of it. Errors: as `begin`."""
        if self.left <= 0:
            self.plan(1)
            watcher.on_message("the minutes were over before training began: one update is made")
            return
        with self.undone():
            trial = self.time_updates()
            begun = self.clock()
            if self.validate is not None:
                self.measure()
            seconds = self.clock() - begun
        self.after_validation(seconds)
        updates, minutes = updates_that_fit(self.left, self.duration), max(0.0, self.left / 60)
        self.plan(updates)
        watcher.on_message(
            f"the plan: {updates:,} updates in the {minutes:.3g} minutes that are left, by a trial"
            f" of {trial:,}, which is undone"
        )

    def after_updates(self, updates: int, watcher: Watcher) -> None:
        """Plans anew if training would not end on time."""
        self.note(updates)
        still, left = self.total_steps - self.progress.step, self.left
        tolerance = max(TOLERANCE * self.seconds, TOLERANCE_OF_LEFT * left)
        is_on_time = abs(self.duration(still) - left) <= tolerance
        if still <= 0 or is_on_time or not self.is_measured(left):
            return
        fitting = updates_that_fit(left, self.duration)
        if abs(fitting - still) * self.pace.update_seconds <= tolerance:
            return  # the rest is too short for one more validation
        self.plan(fitting)
        self.progress.plan_changes += 1
        announced = self.announced_steps
        if abs(self.total_steps - announced) <= WORTH_A_MESSAGE * announced:
            return
        self.announced_steps = self.total_steps
        change = "slower" if self.total_steps < announced else "faster"
        minutes = max(0.0, left / 60)
        watcher.on_message(
            f"updates have become {change}; the plan: {self.total_steps:,} in all instead of"
            f" {announced:,}, as {minutes:.3g} minutes are left"
        )

    def after_validation(self, seconds: float) -> None:
        self.progress.validation_seconds = seconds
        self.last_time = self.clock()

    # -- measuring and planning

    def time_updates(self) -> int:
        """Makes and times updates until s is known; returns their number."""
        begun, left, updates = self.clock(), self.left, 0
        while True:
            self.step().figures["loss"].item()  # which waits for a GPU
            self.note(1)
            updates += 1
            if self.is_measured(left) or self.clock() - begun > LONGEST_TRIAL * left:
                break
        if not self.pace.updates:
            self.pace = Pace(1, self.clock() - begun)
        return updates

    def note(self, updates: int) -> None:
        """Adds `updates`, and the time since those before them, to the pace."""
        now = self.clock()
        if self.last_time is not None:
            self.pace.note(updates, now - self.last_time, MEMORY * self.seconds)
        self.last_time = now

    def is_measured(self, left: float) -> bool:
        """Whether s is known well enough for a plan of the seconds that are `left`."""
        enough = min(TRIAL_SHARE * left, TRIAL_SECONDS)
        return self.pace.seconds >= enough and round(self.pace.updates) >= TRIAL_UPDATES

    def duration(self, updates: int) -> float:
        """n s + c(n) v, and v once more where a validation is due now."""
        if not self.pace.updates:
            return math.nan
        validations = self.validations_within(updates) + self.progress.awaits_validation
        seconds = validations * self.progress.validation_seconds
        return updates * self.pace.update_seconds + seconds

    def plan(self, updates: int) -> None:
        """Lays the rest of the schedule over so many further updates."""
        progress = self.progress
        progress.plan_start_fraction = self.phase_fraction
        progress.plan_start_step = progress.step
        progress.planned_steps = progress.step + updates

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What the trainer does within this context is undone at its end."""
        weights = {name: value.clone() for name, value in self.network.state_dict().items()}
        state = training_state(self)
        tensors = {name: value.clone() for name, value in state.tensors.items()}
        try:
            yield
        finally:
            self.carried_cache = self.epoch_batches = None
            restore_training(self, weights, TrainingState(tensors, state.values))

    def begin_phase(self, peak_lr: float) -> None:
        """As a trainer does, with a new plan."""
        super().begin_phase(peak_lr)
        self.progress.planned_steps = self.progress.plan_changes = 0


def updates_that_fit(left: float, duration: Callable[[int], float]) -> int:
    """The largest number of updates whose `duration` is at most `left`, and at least 1."""
    most = 1
    while most < MOST_UPDATES and duration(most) <= left:
        most *= 2
    numbers = range(1, most + 1)
    return max(1, bisect_left(numbers, True, key=lambda n: duration(n) > left))
