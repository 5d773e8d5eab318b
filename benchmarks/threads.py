"""Training with two threads compared with one, on an idle machine and on a busy one.

    python -m benchmarks.threads [--rounds 5] [--seconds 0.6] [--width 256] [--arch lstm] [--busy 1]

Two threads meet after every vector operation and every matrix product, thousands of times in a step
of an LSTM. The one that comes first *spins*, which is quickest if the other is at work, and burns
the core that the other needs if a third program has it. How long it spins before it sleeps is up to
OpenMP's library (libgomp), which reads it from the environment when it is loaded:

    default           GOMP_SPINCOUNT=300000, some milliseconds
    passive           OMP_WAIT_POLICY=PASSIVE: it sleeps at once
    spin N            GOMP_SPINCOUNT=N
    seqlm             what `import seqlm` chooses

Each of these trains the same model on the same text in a process of its own. They take turns, one
round each after the other, first with nothing beside them and then beside `--busy` processes that
compute all the time. Printed is the median over the rounds of the speed compared with one thread in
the same round, the lowest of the rounds, and the processor time a step takes compared with that of
one thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

CONFIGURATIONS: dict[str, tuple[int, dict[str, str]]] = {
    "one thread": (1, {"GOMP_SPINCOUNT": "300000"}),
    "default": (2, {"GOMP_SPINCOUNT": "300000"}),
    "passive": (2, {"OMP_WAIT_POLICY": "PASSIVE"}),
    "spin 100": (2, {"GOMP_SPINCOUNT": "100"}),
    "spin 1000": (2, {"GOMP_SPINCOUNT": "1000"}),
    "spin 10000": (2, {"GOMP_SPINCOUNT": "10000"}),
    "seqlm": (2, {}),
}
"""Threads, and the environment, of each configuration."""
CHOSEN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")
"""Variables of the caller that a configuration must not inherit."""


class Speed(NamedTuple):
    """One round of one configuration."""

    steps: float
    """Steps a second."""
    cost: float
    """Seconds of processor time a step."""


class Worker:
    """A process that trains when it is told to."""

    def __init__(self, threads: int, variables: Mapping[str, str], arguments: list[str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in CHOSEN}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.threads", "--train-with", str(threads), *arguments],
            env=inherited | dict(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def run(self, seconds: float) -> Speed:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(seconds, file=self.process.stdin, flush=True)
        return Speed(*map(float, self.process.stdout.readline().split()))


def train_when_told(options: argparse.Namespace) -> None:
    """Reads numbers of seconds from standard input, trains for so long, and prints the speed."""
    from seqlm.machine.threads import let_threads_sleep

    let_threads_sleep()  # before torch is imported

    import torch

    from seqlm.models import model_class
    from seqlm.training.config.resolve import resolve
    from seqlm.training.tasks.language_modeling import LanguageModelingTask
    from seqlm.training.training_run import complete_settings, make_trainer

    torch.set_num_threads(options.train_with)
    settings, model = resolve({"arch": options.arch, "width": options.width, "epochs": 10**6})
    task = LanguageModelingTask.read({"corpus": [options.text]}, settings, "strict")
    torch.manual_seed(1)
    network = model_class("lm", options.arch).from_settings({**task.vocabulary_sizes(), **model})
    settings = complete_settings(settings, network, task, torch.device("cpu"))
    trainer = make_trainer(network, task, settings)
    network.train()
    for line in sys.stdin:
        steps, started, cost = 0, time.perf_counter(), time.process_time()
        while (seconds := time.perf_counter() - started) < float(line):
            trainer.step()
            steps += 1
        print(steps / seconds, (time.process_time() - cost) / steps, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6, help="of a round")
    parser.add_argument("--arch", default="lstm")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--busy", type=int, default=1, help="processes that compute beside it")
    parser.add_argument("--text", default="corpora/prose.train.txt")
    parser.add_argument("--train-with", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train_with:
        train_when_told(options)
        return

    model = ["--arch", options.arch, "--width", str(options.width), "--text", options.text]
    print("beside\tconfiguration\tspeed\tlowest\tcost")
    for busy in (0, options.busy):
        loads = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            workers = {}
            for name, (threads, variables) in CONFIGURATIONS.items():  # which look at the machine
                workers[name] = Worker(threads, variables, model)
                workers[name].run(0.3)  # the first steps allocate
            rounds = [
                {name: worker.run(options.seconds) for name, worker in workers.items()}
                for _ in range(options.rounds)
            ]
        finally:
            for load in loads:
                load.kill()
                load.wait()
        for name in workers:
            speeds = [each[name].steps / each["one thread"].steps for each in rounds]
            costs = [each[name].cost / each["one thread"].cost for each in rounds]
            print(
                f"{busy} busy\t{name}\t{statistics.median(speeds):.2f}\t{min(speeds):.2f}"
                f"\t{statistics.median(costs):.2f}"
            )
        steps = statistics.median(each["one thread"].steps for each in rounds)
        print(f"{busy} busy\tone thread, steps a second\t{steps:.1f}\t\t", flush=True)
        for worker in workers.values():
            worker.process.stdin.close()  # type: ignore[union-attr]
            worker.process.wait()


if __name__ == "__main__":
    main()
