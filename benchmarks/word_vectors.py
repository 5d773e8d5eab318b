"""The speed of training word vectors, and how good they are, beside gensim and fastText.

    python -m benchmarks.word_vectors TEXT --peers PYTHON --model skipgram|cbow|fasttext
        [--tool gensim|fastText] [--threads 1] [--rounds 5] [--epochs 1]
        [--quality FOLDER] [--seeds 3] [--unseen]

TEXT has a sentence a line, in lower case (21.0 M words of novels for the published figures). PYTHON
is an interpreter that has gensim or fastText, which trains vectors in the same way: width 100,
window 5, 5 negatives, words that occur 5 times, sample 1e-3, or 1e-4 with character n-grams, and
the tool's own learning rate. Each training is a process, and seqlm's and those of the other tool
take turns, each round with another seed.

Words per second are those of the text over the seconds of the training loop: without the start of
the process, reading, counting words, and writing files. Seconds of the whole processes stand beside
them. gensim reads the text in three ways (`word_vector_peers.py`), and seqlm is compared with the
fastest of them, by the ratio of the medians and by the ratios of the rounds. Other programs disturb
the ratios of processor seconds least.

FOLDER has questions-words.txt, wordsim353.tsv and simlex999.txt. `--quality` evaluates the vectors
of the first rounds, `--seeds` of them, as `seqlm eval` does (`word_vector_quality.py`). `--unseen`
then trains on the text without every second of the different words of the two tests of similarity,
and evaluates the pairs that have such a word, whose vector is composed of character n-grams.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from benchmarks import word_vector_peers
from benchmarks.word_vector_quality import (
    Figures,
    evaluate,
    print_comparison,
    test_files,
    write_unseen,
)
from seqlm.version import __version__

PACKAGES = {"gensim": "gensim==4.4.0", "fastText": "fasttext-wheel==0.9.2"}
READINGS = ("list", "lines", "file")


@dataclass(frozen=True)
class Settings:
    """What one training is."""

    tool: str
    text: str
    output: str
    """The run folder, or the file of the vectors."""
    predict: str
    has_ngrams: bool
    hierarchical_softmax: bool
    threads: int
    epochs: int
    seed: int = 1
    reading: str = "list"
    sample: float = 1e-3
    width: int = 100
    window: int = 5
    negatives: int = 5
    min_count: int = 5


class Training(NamedTuple):
    """Seconds and processor seconds of the loop of a training, and of its whole process."""

    seconds: float
    cpu: float
    whole: float
    whole_cpu: float


# ---------------------------------------------------------------------------------------- processes


class Trainers:
    """Trains by any tool, in a process of its own."""

    def __init__(self, peers: str, folder: Path, flags: Sequence[str]) -> None:
        self.peers, self.times, self.flags = peers, folder / "times.json", flags

    def train(self, settings: Settings) -> Training:
        if settings.tool == "seqlm":
            command = [sys.executable, "-m", "benchmarks.timed_training", str(self.times)]
            command += [*seqlm_arguments(settings), *self.flags]
        else:
            command = [self.peers, word_vector_peers.__file__, str(self.times)]
            command += [json.dumps(asdict(settings))]
        whole, whole_cpu = run(command, settings.threads)
        return Training(**json.loads(self.times.read_text()), whole=whole, whole_cpu=whole_cpu)


def seqlm_arguments(settings: Settings) -> list[str]:
    arch = ["fasttext", "--predict"] if settings.has_ngrams else []
    negatives = ["--negatives", settings.negatives]
    values = [
        "train", "--task", "vectors", "--arch", *arch, settings.predict, "--width", settings.width,
        "--window", settings.window, "--min-count", settings.min_count,
        "--subsample", settings.sample, "--epochs", settings.epochs, "--seed", settings.seed,
        *(["--hierarchical-softmax"] if settings.hierarchical_softmax else negatives),
        "--num-threads", settings.threads, "--overwrite", "-o", settings.output, settings.text,
    ]  # fmt: skip
    return [str(value) for value in values]


def run(command: list[str], threads: int) -> tuple[float, float]:
    """Seconds and processor seconds of a process. The benchmark ends if it fails."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(command)}\n{log.read().decode(errors='replace')}")
    return seconds, used.ru_utime + used.ru_stime


def version_of(tool: str, python: str) -> str:
    """The version of `tool` there. The benchmark ends where there is none."""
    package = PACKAGES[tool].split("==")[0]
    code = (
        f"import {tool.lower()}, importlib.metadata, platform\n"
        f"print(importlib.metadata.version('{package}'), 'Python', platform.python_version())"
    )
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError as error:
        sys.exit(f"{python}: no interpreter there ({error.strerror})")
    if done.returncode:
        sys.exit(f"{python} has no {package}; install it: {python} -m pip install {PACKAGES[tool]}")
    return done.stdout.strip()


# ------------------------------------------------------------------------------------------- rounds


class Rounds(NamedTuple):
    """What the rounds have given, by the names of what was trained."""

    trained: dict[str, list[Training]]
    figures: dict[str, list[Figures]]
    """How good the vectors are, of each that was evaluated."""


def take_turns(
    trainers: Trainers,
    asked: dict[str, Settings],
    rounds: int,
    evaluated: Sequence[str],
    seeds: int,
    tests: Sequence[Path],
) -> Rounds:
    """Trains all that is `asked` in each round, in the other order every second time, and evaluates
    those `evaluated` of the first rounds."""
    words = count_words(Path(asked["seqlm"].text)) * asked["seqlm"].epochs
    found = Rounds({name: [] for name in asked}, {name: [] for name in evaluated})
    for seed in range(1, rounds + 1):
        for name in [*asked] if seed % 2 else [*reversed(asked)]:
            settings = replace(asked[name], seed=seed)
            training = trainers.train(settings)
            print(line_of(name, seed, training, words), flush=True)
            found.trained[name].append(training)
            if name in evaluated and seed <= seeds:
                found.figures[name].append(evaluate(settings.output, tests))
    return found


def print_speeds(trained: dict[str, list[Training]], words: int) -> None:
    """Prints the speed of each training, and how many times as fast as the fastest of the others
    seqlm's is."""
    print("\ntraining\twords/s\tlowest\thighest\tseconds\tCPU s\twhole seconds\twhole CPU s")
    for name, trainings in trained.items():
        speeds = [words / each.seconds for each in trainings]
        figures = [median(speeds), min(speeds), max(speeds)]
        seconds = [median(column) for column in zip(*trainings)]
        print(name, *[f"{x:.0f}" for x in figures], *[f"{x:.1f}" for x in seconds], sep="\t")

    peers = [name for name in trained if name != "seqlm"]
    fastest = min(peers, key=lambda name: median(each.seconds for each in trained[name]))
    print(f"\nseqlm beside {fastest}\tof medians\tmedian of rounds\tlowest\thighest")
    names = {"seconds": "words/s", "cpu": "words per CPU second", "whole": "whole process"}
    for field, name in names.items():
        theirs, ours = ([getattr(x, field) for x in trained[y]] for y in (fastest, "seqlm"))
        rounds = [their / our for their, our in zip(theirs, ours)]
        figures = [median(theirs) / median(ours), median(rounds), min(rounds), max(rounds)]
        print(name, *[f"{figure:.2f}" for figure in figures], sep="\t")
    sys.stdout.flush()


def line_of(name: str, seed: int, training: Training, words: int) -> str:
    load = os.getloadavg()[0]
    return (
        f"round {seed}, {name}: {words / training.seconds:,.0f} words/s,"
        f" {training.seconds:.1f} s in the loop ({training.cpu:.1f} s of CPU),"
        f" {training.whole:.1f} s in all ({training.whole_cpu:.1f} s of CPU), load {load:.1f}"
    )


# ------------------------------------------------------------------------------------------- main


def processor() -> str:
    """The name of the processor, where the system tells it, and how many cores there are."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} cores"


def count_words(text: Path) -> int:
    with text.open("rb") as lines:
        return sum(len(line.split()) for line in lines)


def asked_of(options: argparse.Namespace, tool: str, folder: Path) -> dict[str, Settings]:
    """What is trained, seqlm's first, by the names that are printed."""
    has_ngrams = options.model == "fasttext"
    ours = Settings(
        tool="seqlm",
        text=str(options.text),
        output=str(folder / "seqlm"),
        predict=options.predict if has_ngrams else options.model,
        has_ngrams=has_ngrams,
        hierarchical_softmax=options.hierarchical_softmax,
        threads=options.threads,
        epochs=options.epochs,
        sample=1e-4 if has_ngrams else 1e-3,
    )
    theirs = replace(ours, tool=tool, output=str(folder / "vectors.bin"))
    if tool == "fastText":
        return {"seqlm": ours, tool: theirs}
    readings = {f"gensim ({reading})": reading for reading in options.readings}
    return {"seqlm": ours} | {
        name: replace(theirs, reading=reading) for name, reading in readings.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--peers", required=True, metavar="PYTHON")
    parser.add_argument("--model", choices=("skipgram", "cbow", "fasttext"), default="skipgram")
    parser.add_argument("--tool", choices=PACKAGES, help="fastText for fasttext, else gensim")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--quality", type=Path, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=3, help="rounds that --quality evaluates")
    parser.add_argument("--unseen", action="store_true", help="of --model fasttext --quality")
    parser.add_argument(
        "--predict", choices=("skipgram", "cbow"), default="skipgram", help="of fasttext"
    )
    parser.add_argument("--hierarchical-softmax", action="store_true")
    parser.add_argument("--readings", nargs="+", choices=READINGS, default=READINGS)
    parser.add_argument("--flags", default="", help="more flags of `seqlm train`, in one argument")
    options = parser.parse_args()
    if options.unseen and not (options.quality and options.model == "fasttext"):
        parser.error("--unseen is of --model fasttext --quality FOLDER")
    tool = options.tool or ("fastText" if options.model == "fasttext" else "gensim")
    version = version_of(tool, options.peers)
    tests = test_files(options.quality) if options.quality else []
    words = options.epochs * count_words(options.text)
    print(f"{processor()}; load {os.getloadavg()[0]:.1f}")
    print(f"seqlm {__version__}, torch {torch.__version__}; {tool} {version}")
    print(f"{' '.join(sys.argv[1:])}: {words:,} words in all epochs", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainers = Trainers(options.peers, folder, options.flags.split())
        asked = asked_of(options, tool, folder)
        evaluated = [*asked][:2] if tests else []
        found = take_turns(trainers, asked, options.rounds, evaluated, options.seeds, tests)
        print_speeds(found.trained, words)
        if tests:
            print_comparison(*found.figures.values(), tool)
        if options.unseen:
            text, tests = write_unseen(options.text, tests, folder)
            both = {name: replace(asked[name], text=str(text)) for name in evaluated}
            print("\nwithout the words that the tests below call unseen:")
            found = take_turns(trainers, both, options.seeds, evaluated, options.seeds, tests)
            print_comparison(*found.figures.values(), tool)


if __name__ == "__main__":
    main()
