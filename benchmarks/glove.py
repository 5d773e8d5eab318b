"""GloVe beside the program of its authors: counts, cost curve, similarity, and speed.

    python -m benchmarks.glove TEXT --reference FOLDER [--words 2000000] [--epochs 25]
        [--rounds 5] [--threads 1] [--quality FOLDER]

The reference is https://github.com/stanfordnlp/GloVe, built by its own Makefile; FOLDER is its
`build`. Both train on the first `--words` of TEXT with equal settings: words that occur 5 times,
window 15, width 100, x_max 100, alpha 0.75, rate 0.05.

    counts    the pairs of both are compared, and how fast they were counted: processor seconds of
              seqlm's counting, and of the whole process of `cooccur`, which also reads the text
    cost      f e^2 / 2, the mean over the pairs of an epoch while they are trained
    quality   `seqlm eval` of the vectors after all epochs, on the tests in FOLDER
    speed     pairs per second, of the loop alone: the time of a run of the reference, less that of
              a run of one epoch; the loop of seqlm. They take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.word_vector_quality import evaluate, test_files
from benchmarks.word_vectors import processor, run
from seqlm.counting.cooccurrences.cooccurrences import UNITS
from seqlm.counting.cooccurrences.count_cooccurrences import count_cooccurrences
from seqlm.text.corpus import Corpus, read_corpus
from seqlm.text.vocabulary import RESERVED, count_ids
from seqlm.version import __version__

WINDOW, MIN_COUNT, WIDTH = 15, 5, 100
TIMED_EPOCHS = 4
PAIR = np.dtype([("row", "<i4"), ("column", "<i4"), ("x", "<f8")])
"""A co-occurrence in the reference's file; its words are numbered from 1."""


class Times(NamedTuple):
    seconds: float
    cpu: float


class Reference:
    """The programs in `build`, with their files in `folder`."""

    def __init__(self, build: Path, folder: Path, threads: int) -> None:
        self.build, self.folder, self.threads = build, folder, threads

    def run(self, program: str, source: Path | str, output: str, **options: object) -> Times:
        flags = "".join(f" -{name.replace('_', '-')} {value}" for name, value in options.items())
        line = f"cd {self.folder} && {self.build / program}{flags} < {source} > {output} 2> log"
        return Times(*run(["sh", "-c", line], self.threads))

    def count(self, text: Path, corpus: Corpus) -> Times:
        """Counts the pairs of `text`, and shuffles them. The times of `cooccur`.

        The vocabulary is seqlm's; that of the reference has another order of equal counts.
        """
        counts = count_ids(corpus.ids, len(corpus.tokenizer)).tolist()
        lines = [b"%s %d\n" % pair for pair in zip(corpus.tokenizer.types, counts)]
        (self.folder / "vocab.txt").write_bytes(b"".join(lines[len(RESERVED) :]))
        times = self.run("cooccur", text, "pairs", memory=2, window_size=WINDOW)
        self.run("shuffle", "pairs", "shuffled", memory=2, seed=1)
        return times

    def train(self, epochs: int) -> Times:
        """Writes vectors.txt; the log has the costs."""
        return self.run(
            "glove", "/dev/null", "output", input_file="shuffled", vocab_file="vocab.txt",
            save_file="vectors", iter=epochs, vector_size=WIDTH, threads=self.threads, binary=0,
            x_max=100, alpha=0.75, eta=0.05, seed=1,
        )  # fmt: skip

    def costs(self) -> list[float]:
        return [
            float(cost) for cost in re.findall(r"cost: (\S+)", (self.folder / "log").read_text())
        ]


def train(text: Path, folder: Path, epochs: int, threads: int) -> Times:
    """Trains seqlm's vectors into `folder`/run. The times of its loop."""
    times = folder / "times.json"
    flags = f"train --task vectors --arch glove --width {WIDTH} --window {WINDOW} --overwrite"
    flags += f" --min-count {MIN_COUNT} --epochs {epochs} --num-threads {threads} --lr 0.05"
    command = [sys.executable, "-m", "benchmarks.timed_training", str(times), *flags.split()]
    run([*command, "-o", str(folder / "run"), str(text)], threads)
    return Times(**json.loads(times.read_text()))


def costs(folder: Path) -> list[float]:
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["train_loss"] for line in lines]


def compare_counts(text: Path, reference: Reference) -> int:
    """Prints how the counts differ, and how long they took. Returns how many pairs there are."""
    corpus = read_corpus([str(text)], min_count=MIN_COUNT)
    theirs = reference.count(text, corpus)
    started = time.process_time()
    counts = count_cooccurrences(corpus.ids, len(corpus.tokenizer), WINDOW)
    ours = time.process_time() - started
    pairs = np.fromfile(reference.folder / "pairs", PAIR)
    rows = np.arange(len(corpus.tokenizer)).repeat(counts.first.diff().numpy())
    first = len(RESERVED) - 1  # the number of the first word of the reference
    places = (rows - first, pairs["row"]), (counts.columns.numpy() - first, pairs["column"])
    if not all(np.array_equal(*both) for both in places):
        sys.exit("the two count other pairs")
    x = counts.sums.numpy() / UNITS
    print(f"counts: {len(x):,} pairs of both, largest difference {abs(x - pairs['x']).max():.1e};")
    print(f"  CPU seconds: seqlm {ours:.2f}, cooccur {theirs.cpu:.2f}", flush=True)
    return len(x)


def compare_costs(ours: Sequence[float], theirs: Sequence[float]) -> None:
    print("epoch\tseqlm\treference")
    for epoch, costs in enumerate(zip(ours, theirs, strict=True), 1):
        print(epoch, *[f"{cost:.6f}" for cost in costs], sep="\t")


def compare_quality(folder: Path, reference: Reference, tests: Sequence[Path]) -> None:
    words = (reference.folder / "vectors.txt").read_text().splitlines()
    vectors = folder / "reference.txt"  # without its vector of unknown words
    vectors.write_text("".join(line + "\n" for line in words if not line.startswith("<unk> ")))
    print("test\tquestions\tseqlm\treference")
    both = [evaluate(str(model), tests) for model in (folder / "run", vectors)]
    for name, figure in both[0].items():
        print(name, figure.answered, *[f"{each[name].value:.2f}" for each in both], sep="\t")
    sys.stdout.flush()


def compare_speed(text: Path, folder: Path, reference: Reference, pairs: int, rounds: int) -> None:
    ratios = []
    for number in range(1, rounds + 1):
        long, short = reference.train(TIMED_EPOCHS), reference.train(1)
        theirs = Times(*(a - b for a, b in zip(long, short)))
        ours = train(text, folder, TIMED_EPOCHS - 1, reference.threads)
        speeds = [pairs * (TIMED_EPOCHS - 1) / t for t in (ours.seconds, ours.cpu, *theirs)]
        ratios.append([speeds[0] / speeds[2], speeds[1] / speeds[3]])
        millions = [f"{speed / 1e6:.2f} M" for speed in speeds]
        print(
            f"round {number}: seqlm {millions[0]} pairs/s, {millions[1]} per CPU second;"
            f" reference {millions[2]}, {millions[3]}; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    for name, values in zip(("pairs/s", "pairs per CPU second"), zip(*ratios)):
        print(
            f"{name}: seqlm {median(values):.2f} x reference"
            f" (rounds {min(values):.2f} to {max(values):.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--reference", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--words", type=int, default=2_000_000)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quality", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{processor()}; load {os.getloadavg()[0]:.1f}")
    print(f"seqlm {__version__}, torch {torch.__version__}; {options.threads} threads")
    print(" ".join(sys.argv[1:]), flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "text"
        with options.text.open("rb") as lines, text.open("wb") as output:
            words = 0
            for line in lines:
                output.write(line)
                words += len(line.split())
                if words >= options.words:
                    break
        reference = Reference(options.reference.resolve(), folder, options.threads)
        pairs = compare_counts(text, reference)
        reference.train(options.epochs)
        train(text, folder, options.epochs, options.threads)
        compare_costs(costs(folder), reference.costs())
        if options.quality:
            tests = test_files(options.quality)
            compare_quality(folder, reference, tests)
        compare_speed(text, folder, reference, pairs, options.rounds)


if __name__ == "__main__":
    main()
