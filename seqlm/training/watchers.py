"""Watchers of a training run: callbacks for its messages, its losses and its validations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from seqlm.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from seqlm.training.trainer import Trainer


class Watcher(Protocol):
    """Callbacks of a training run. A subclass of `SilentWatcher` defines only those it needs."""

    def on_message(self, message: str) -> None:
        """Called with a line for people, such as the size of the corpus or of the model."""

    def on_step(self, trainer: Trainer, loss: float) -> None:
        """Called after an update with the loss of its tokens, in nats per token.

        On a GPU that is not every update: reading a loss waits for the device.
        """

    def on_validation(self, trainer: Trainer, figures: Mapping[str, Any], is_best: bool) -> None:
        """Called after each validation, before its checkpoint is written.

        `figures` is what `metrics.jsonl` records: `step`, `epoch`, `train_loss`, `lr`, `tokens`,
        `seconds`, and `valid_loss` where there is validation text. `is_best` says whether these
        weights are the best so far.
        """


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


class MetricsRecorder(SilentWatcher):
    """Appends the figures of each validation to `metrics.jsonl`."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def on_validation(self, trainer: Trainer, figures: Mapping[str, Any], is_best: bool) -> None:
        self.run.append_metrics(dict(figures))
