"""The command `seqlm`, with a clock around its training loop.

    python -m benchmarks.timed_training TIMES train FLAGS...

does what `seqlm train FLAGS...` does, and writes to TIMES, as JSON, the seconds and the processor
seconds from before the first step to after the last one, without those of writing checkpoints.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqlm.cli import process  # before torch, as the command does

from seqlm.training.trainer import Trainer  # isort: skip


class Clock:
    """Seconds and processor seconds that have passed while it ran."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0

    def start(self) -> None:
        self.seconds -= time.perf_counter()
        self.cpu -= time.process_time()

    def stop(self) -> None:
        self.seconds += time.perf_counter()
        self.cpu += time.process_time()


def main() -> None:
    times = Path(sys.argv.pop(1))
    fit, clock = Trainer.fit, Clock()

    def timed_fit(
        trainer: Trainer, watcher: Any, save: Callable[[Trainer, bool], None], *others: Any
    ) -> None:
        def save_untimed(trainer: Trainer, is_best: bool) -> None:
            clock.stop()
            save(trainer, is_best)
            clock.start()

        clock.start()
        fit(trainer, watcher, save_untimed, *others)
        clock.stop()
        times.write_text(json.dumps({"seconds": clock.seconds, "cpu": clock.cpu}))

    Trainer.fit = timed_fit  # type: ignore[method-assign]
    process.main()


if __name__ == "__main__":
    main()
