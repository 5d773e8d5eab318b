"""Every architecture on one text, with about the same parameters and the same time.

    python -m benchmarks.architectures PTB [--minutes 10] [--archs lstm gru ...] [--jobs 2]

PTB is a folder with train.txt, valid.txt and test.txt. Each network has 3 to 5 million parameters
and the adaptive softmax, and is trained on one thread by `seqlm train`: a short trial measures how
many steps fit into the minutes, and then the network is trained from the start for that many, in
one cycle of the learning rate. The n-gram model is counted, which takes seconds. Prints a table of
parameters, tokens per second and perplexities, with context carried across lines (the Transformer's
in windows that move by half its context length).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

SHARED = "--softmax adaptive --batch-size 20 --weight-decay 0.01 --warmup 0.1"
LSTM = f"--arch lstm --embedding 256 --width 350 --dropout 0.2 {SHARED}"
FLAGS = {
    "ffnn": f"--arch ffnn --order 5 --embedding 256 --width 1024 --lr 0.002 --dropout 0.2 {SHARED}",
    "rnn": f"--arch rnn --embedding 256 --width 700 --lr 0.001 --dropout 0.2 {SHARED}",
    "lstm": LSTM,
    "lstm-peephole": f"{LSTM} --peephole",
    "lstm-coupled": f"{LSTM} --coupled-gates --width 450",
    "gru": f"--arch gru --embedding 256 --width 400 --lr 0.003 --dropout 0.2 {SHARED}",
    "transformer": f"--arch transformer --width 256 --layers 2 --seq-length 70 --lr 0.002"
    f" --dropout 0.2 --positions rotary {SHARED}",
    "s4d": f"--arch s4d --width 256 --layers 4 --dropout 0.2 {SHARED}",
    "mamba": f"--arch mamba --width 256 --layers 3 --dropout 0.2 {SHARED}",
    "mamba2": f"--arch mamba2 --width 256 --layers 3 --dropout 0.2 {SHARED}",
}
TRIAL = 60  # steps


class Row(NamedTuple):
    name: str
    parameters: str
    speed: str
    epochs: str
    valid: float
    test: float

    def cells(self) -> list[str]:
        return [*self[:4], f"{self.valid:.2f}", f"{self.test:.2f}"]


def seqlm(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "seqlm", *arguments, "--num-threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done


def perplexity(run: Path, text: Path) -> float:
    return float(seqlm("eval", "-m", str(run), str(text), "-q").stdout)


def counted(ptb: Path, folder: Path) -> Row:
    run = folder / "ngram"
    log = seqlm("count", "--order", "5", str(ptb / "train.txt"), "-o", str(run)).stderr
    [ngrams] = re.findall(r"saved: ([\d,]+) n-grams", log)
    valid, test = (perplexity(run, ptb / f"{part}.txt") for part in ("valid", "test"))
    return Row("ngram (Kneser-Ney 5)", ngrams, "", "", valid, test)


def trained(name: str, ptb: Path, folder: Path, minutes: float) -> Row:
    flags = [*FLAGS[name].split(), "--valid", str(ptb / "valid.txt"), str(ptb / "train.txt")]
    trial, run = folder / f"{name}-trial", folder / name
    log = seqlm("train", *flags, "--steps", str(TRIAL), "-o", str(trial)).stderr
    [parameters] = [line.split()[1] for line in log.splitlines() if "parameters" in line]
    row = last_row(trial)
    steps = round(TRIAL * minutes * 60 / row["seconds"])
    validation = ["--valid-every", str(max(1, steps // 8)), "--patience", "1000"]
    seqlm("train", *flags, "--steps", str(steps), *validation, "-o", str(run))
    row = last_row(run)
    valid, test = (perplexity(run, ptb / f"{part}.txt") for part in ("valid", "test"))
    speed = f"{row['tokens'] / row['seconds']:,.0f}"
    return Row(name, parameters, speed, f"{row['epoch']}", valid, test)


def last_row(run: Path) -> dict:
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ptb", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--archs", nargs="+", choices=["ngram", *FLAGS], default=["ngram", *FLAGS])
    parser.add_argument("--jobs", type=int, default=1, help="networks trained at the same time")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        ThreadPoolExecutor(options.jobs) as pool,
    ):
        folder = Path(name)

        def row(arch: str) -> Row:
            if arch == "ngram":
                return counted(options.ptb, folder)
            return trained(arch, options.ptb, folder, options.minutes)

        print("| architecture | parameters | tokens/s | epochs | valid | test |")
        print("|---|---|---|---|---|---|", flush=True)
        for result in pool.map(row, options.archs):
            print(f"| {' | '.join(result.cells())} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
