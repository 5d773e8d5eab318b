"""Shared by the benchmarks of translators: `seqlm` as a command, and training for a given time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

TRIAL = 30  # steps
VALIDATIONS = 8  # of a run


def seqlm(*arguments: object, stdin: str | None = None, threads: int = 2) -> str:
    """The standard output of a command; the benchmark ends if it fails."""
    command = [sys.executable, "-m", "seqlm", *map(str, arguments), "--num-threads", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command, capture_output=True, text=True, input=stdin, env=environment, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def trained(run: Path, flags: str, texts: list[object], minutes: float, threads: int = 2) -> float:
    """Trains into `run` for about `minutes`, and returns the number of epochs.

    `texts` are flags with their files. A trial first measures the time of a step and of a
    validation. The model is then trained from the start for as many steps as there is time for, so
    that the learning-rate schedule ends with the time. As an untrained model may take longer to
    validate by BLEU, some time may be left over.
    """
    trial = run.with_name(run.name + "-trial")
    command = ["train", *flags.split(), *texts, "-q"]
    seqlm(*command, "--steps", TRIAL + 1, "--valid-every", TRIAL, "-o", trial, threads=threads)
    before, after = (row["seconds"] for row in rows(trial))
    step = before / TRIAL
    validation = max(0.0, after - before - step)
    steps = max(1, round((60 * minutes - VALIDATIONS * validation) / step))
    validations = ["--valid-every", -(-steps // VALIDATIONS), "--patience", 1000]
    seqlm(*command, "--steps", steps, *validations, "-o", run, threads=threads)
    return float(last_row(run)["epoch"])


def rows(run: Path) -> list[dict[str, float]]:
    """The figures of each validation of a run."""
    return [json.loads(line) for line in lines_of(run / "metrics.jsonl")]


def last_row(run: Path) -> dict[str, float]:
    return rows(run)[-1]


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def cells(*texts: object) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(map(str, texts))} |"
