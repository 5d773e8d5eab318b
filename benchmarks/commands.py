"""What benchmarks of translators share: `seqlm` as a command, and training by the clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

TRIAL = 30  # steps


def seqlm(*arguments: object, stdin: str | None = None, threads: int = 2) -> str:
    """What the command prints; it ends the benchmark where it fails."""
    command = [sys.executable, "-m", "seqlm", *map(str, arguments), "--num-threads", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command, capture_output=True, text=True, input=stdin, env=environment, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def trained(run: Path, flags: str, texts: list[object], minutes: float, threads: int = 2) -> float:
    """Trains into `run` for about so many minutes, on `texts` as flags name them; its epochs.

    A few steps first say how many there is time for; those are trained from the start, so that the
    schedule of the rate ends with the time. A validation on the way counts as well.
    """
    trial = run.with_name(run.name + "-trial")
    command = ["train", *flags.split(), *texts, "-q"]
    seqlm(*command, "--steps", TRIAL, "-o", trial, threads=threads)
    steps = max(1, round(TRIAL * minutes * 60 / last_row(trial)["seconds"]))
    often = ["--valid-every", max(1, steps // 8), "--patience", 1000]
    seqlm(*command, "--steps", steps, *often, "-o", run, threads=threads)
    return float(last_row(run)["epoch"])


def last_row(run: Path) -> dict[str, float]:
    row: dict[str, float] = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    return row


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def cells(*texts: object) -> str:
    """A row of a table."""
    return f"| {' | '.join(map(str, texts))} |"
