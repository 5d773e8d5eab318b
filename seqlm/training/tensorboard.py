"""The figures of a run for TensorBoard, which reads them from the run folder during training."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlm.errors import UsageError
from seqlm.training.watchers import SilentWatcher

if TYPE_CHECKING:
    from seqlm.training.trainer import Trainer


def check_tensorboard() -> None:
    """Errors: UsageError if the library is not installed."""
    if find_spec("tensorboard") is None:
        raise UsageError("`tensorboard` needs a library: pip install 'seqlm[log]'")


class TensorBoardWatcher(SilentWatcher):
    """Writes the loss and learning rate of steps, and every figure of a validation.

    The figures have the names they have in metrics.jsonl, and those of single steps are
    `step/loss` and `step/lr`. The horizontal axis is the step.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """`folder` receives the events. Events there of steps after `step` are hidden, as a resumed
        run writes them again. Errors: UsageError where `folder` is a symbolic link."""
        from torch.utils.tensorboard import SummaryWriter

        if folder.is_symlink():
            raise UsageError(f"{folder} is a symbolic link, through which nothing is written")
        self.writer = SummaryWriter(str(folder), purge_step=step + 1)

    def on_step(self, trainer: Trainer, loss: float) -> None:
        step = trainer.progress.step
        self.writer.add_scalar("step/loss", loss, step)
        self.writer.add_scalar("step/lr", trainer.current_lr(), step)

    def on_validation(self, trainer: Trainer, figures: Mapping[str, Any], is_best: bool) -> None:
        for name, value in figures.items():
            if name != "step":
                self.writer.add_scalar(name, value, figures["step"])
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
