"""Who watches a run besides the terminal: its own `metrics.jsonl`, and several at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqlm.runs.run_folder import RunFolder
from seqlm.training.loop import Trainer, Watcher


class Watchers:
    """Several, told in order."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self.watchers = watchers

    def stepped(self, trainer: Trainer, loss: float) -> None:
        for watcher in self.watchers:
            watcher.stepped(trainer, loss)

    def validated(self, trainer: Trainer, row: Mapping[str, Any], best: bool) -> None:
        for watcher in self.watchers:
            watcher.validated(trainer, row, best)


class Recorder:
    """Writes metrics.jsonl."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def stepped(self, trainer: Trainer, loss: float) -> None:
        pass

    def validated(self, trainer: Trainer, row: Mapping[str, Any], best: bool) -> None:
        self.run.append_metrics(dict(row))
