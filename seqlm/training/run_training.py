"""Training inside a run folder: a checkpoint after each validation, the figures, and the result."""

from __future__ import annotations

import shlex
import time
import warnings
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from seqlm.errors import SeqlmError
from seqlm.runs.checkpoint import write_checkpoint
from seqlm.runs.own_files import TENSORBOARD
from seqlm.runs.run_config import RunConfig, plain
from seqlm.runs.run_folder import RunFolder, now
from seqlm.training.early_stopping import validation_cost
from seqlm.training.resuming import training_state
from seqlm.training.signals import Interruption, TrainingInterrupted, catch_signals
from seqlm.training.tasks.task import TrainingTask
from seqlm.training.tensorboard import TensorBoardWatcher
from seqlm.training.timed_trainer import TimedTrainer
from seqlm.training.trainer import Trainer, Watcher
from seqlm.training.watchers import MetricsRecorder, RemarkWatcher, WatcherList


def run_training(
    run: RunFolder,
    config: RunConfig,
    trainer: Trainer,
    task: TrainingTask,
    watcher: Watcher,
    started: float,
) -> None:
    """Trains to the end, saves a checkpoint after each validation, and records the result.

    `started` is the time from which `minutes` count. Errors: SeqlmError (a loss that is not
    finite), TrainingInterrupted.
    """

    recorder = MetricsRecorder(run)
    watchers: list[Watcher] = [recorder, watcher, RemarkWatcher(task, watcher)]
    with ExitStack() as stack, catch_signals() as interruption:
        if trainer.settings.tensorboard:
            tensorboard = TensorBoardWatcher(run / TENSORBOARD, trainer.progress.step)
            watchers.append(stack.enter_context(closing(tensorboard)))
        if isinstance(trainer, TimedTrainer):
            trainer.seconds_before = time.perf_counter() - started
        trainer.fit(WatcherList(watchers), CheckpointWriter(run, interruption), interruption)
    if not trainer.progress.done:
        raise TrainingInterrupted(
            f"stopped at {trainer.position}, which is saved;"
            f" continue with: seqlm train --resume {shlex.quote(str(run.path))}",
            interruption.signals[0],
        )
    recorder.flush()
    metric, stopping = trainer.early_stopping.metric, trainer.early_stopping
    if metric != "loss" and stopping.never_moved:
        advice = "; valid_metric=chrf compares characters" if metric == "bleu" else ""
        warnings.warn(
            f"`valid_metric={metric}` was {-stopping.costs[0]:g} at every validation, so that"
            f" the loss has chosen the best weights{advice}",
            stacklevel=2,
        )
    rank = partial(selection_cost, metric)
    result = min(run.read_metrics(), key=rank)
    if isinstance(trainer, TimedTrainer):
        plan = {"planned_steps": trainer.total_steps, "plan_changes": trainer.progress.plan_changes}
        result |= plan
        watcher.on_message(about_plan(trainer))
    config = replace(config, finished=now(), result=result)
    run.write_config(config)
    run.write_readme(config)


def about_plan(trainer: TimedTrainer) -> str:
    """How a training of `minutes` is repeated, if it can be."""
    steps, changes = trainer.total_steps, trainer.progress.plan_changes
    if changes == 0:
        return f"`steps={steps}` repeats this training, bit for bit on a CPU"
    times = "once" if changes == 1 else f"{changes} times"
    return (
        f"the number of updates was planned anew {times}: `steps={steps}` has other learning rates"
    )


class CheckpointWriter:
    """Saves a checkpoint where the trainer asks for one.

    A checkpoint that the disk refuses is skipped with a warning, as the next one may succeed. The
    next one is then the best, where the refused one was. The last one of a training must succeed.
    """

    def __init__(self, run: RunFolder, interruption: Interruption) -> None:
        self.run, self.interruption = run, interruption
        self.lost_best = False

    def __call__(self, trainer: Trainer, is_best: bool) -> None:
        """Errors: SeqlmError where the last checkpoint cannot be written."""
        state = training_state(trainer)
        state.values["settings"] = plain(asdict(trainer.settings))
        is_best = is_best or self.lost_best
        try:
            with trainer.average.in_place_of_weights():
                write_checkpoint(self.run, trainer.progress.step, trainer.network, state, is_best)
            self.run.publish()
            self.lost_best = False
        except SeqlmError as error:
            if trainer.progress.done or self.interruption.signals:
                raise
            self.lost_best = is_best
            warnings.warn(f"{error}; training goes on, to the next checkpoint", stacklevel=2)


def selection_cost(metric: str, figures: Mapping[str, Any]) -> tuple[float, ...]:
    """What the result of a run is chosen by, the lower the better: the cost of its validation, and
    of equal ones the loss. Without validation, the last figures are chosen."""
    if "valid_loss" in figures:
        return validation_cost(figures, metric), figures["valid_loss"]
    return (-float(figures["step"]),)
