"""Runs without weights, for what is read before them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder


@pytest.fixture
def finished(workplace: Path) -> Callable[..., RunFolder]:
    """Makes a run in ./checkpoints that finished at a time, or is not finished."""

    def make(name: str, time: str | None, task: str = "lm") -> RunFolder:
        run = RunFolder.create(workplace / "checkpoints" / name)
        config = RunConfig(
            task=task, arch="lstm", context="carried", model={"vocab_size": 3}, finished=time
        )
        run.write_config(config)
        run.unlock()
        return run

    return make
