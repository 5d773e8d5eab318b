"""The figures of a run for TensorBoard, which reads them from a folder of it while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlm.errors import UsageError

if TYPE_CHECKING:
    from seqlm.training.loop import Trainer


def check_tensorboard() -> None:
    """Errors: UsageError where it is not installed."""
    if find_spec("tensorboard") is None:
        raise UsageError("--tensorboard needs a library: pip install 'seqlm[log]'")


class Scalars:
    """A watcher that writes the loss and the rate of steps, and every figure of a validation.

    They are written under the name they have in metrics.jsonl, against the step; loss and rate of
    single steps under `step/`.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """What `folder` holds of steps after `step` is hidden: a resumed run gives it again."""
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step + 1)

    def stepped(self, trainer: Trainer, loss: float) -> None:
        step = trainer.progress.step
        self.writer.add_scalar("step/loss", loss, step)
        self.writer.add_scalar("step/lr", trainer.current_rate(), step)

    def validated(self, trainer: Trainer, row: Mapping[str, Any], best: bool) -> None:
        for name, value in row.items():
            if name != "step":
                self.writer.add_scalar(name, value, row["step"])
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
