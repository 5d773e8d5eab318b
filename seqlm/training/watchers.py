"""Watchers of a training run: callbacks for its messages, its losses and its validations."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from seqlm.errors import SeqlmError
from seqlm.runs.run_folder import RunFolder
from seqlm.training.tasks.task import TrainingTask
from seqlm.training.trainer import Trainer, Watcher


class SilentWatcher:
    """A watcher that does nothing."""

    def on_message(self, message: str) -> None:
        pass

    def on_step(self, trainer: Trainer, loss: float) -> None:
        pass

    def on_validation(self, trainer: Trainer, figures: Mapping[str, Any], is_best: bool) -> None:
        pass


class WatcherList:
    """Passes every call on to several watchers, in order."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self.watchers = watchers

    def on_message(self, message: str) -> None:
        for watcher in self.watchers:
            watcher.on_message(message)

    def on_step(self, trainer: Trainer, loss: float) -> None:
        for watcher in self.watchers:
            watcher.on_step(trainer, loss)

    def on_validation(self, trainer: Trainer, figures: Mapping[str, Any], is_best: bool) -> None:
        for watcher in self.watchers:
            watcher.on_validation(trainer, figures, is_best)


class RemarkWatcher(SilentWatcher):
    """Passes on what the task remarks on its network after each validation."""

    def __init__(self, task: TrainingTask, watcher: Watcher) -> None:
        self.task, self.watcher = task, watcher

    def on_validation(self, trainer: Trainer, figures: Mapping[str, Any], is_best: bool) -> None:
        if remark := self.task.remark(trainer.network, trainer.settings):
            self.watcher.on_message(remark)


class MetricsRecorder(SilentWatcher):
    """Appends the figures of each validation to `metrics.jsonl`.

    Where the disk refuses them, they are kept and written with the next ones.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.pending: list[dict[str, Any]] = []

    def on_validation(self, trainer: Trainer, figures: Mapping[str, Any], is_best: bool) -> None:
        self.pending.append(dict(figures))
        try:
            self.flush()
        except SeqlmError as error:
            warnings.warn(f"{error}; its figures are written with the next ones", stacklevel=2)

    def flush(self) -> None:
        """Writes what is left to write. Errors: SeqlmError where the disk refuses."""
        if self.pending:
            self.run.append_metrics(self.pending)
            self.pending = []
