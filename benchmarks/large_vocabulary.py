"""One epoch of a million words with a vocabulary of 250 000, in bounded memory.

    python -m benchmarks.large_vocabulary BOOKS [--softmax adaptive sampled full] [--words 1000000]

BOOKS is plain text with one sentence per line. Its most frequent types are the vocabulary, its
first words the corpus, and the next 50 000 the validation text. The same LSTM is trained by `seqlm
train` with each output layer in turn. Prints the peak of resident memory, the time and the
perplexity.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path

MODEL = ["--arch", "lstm", "--width", "256", "--layers", "1", "--epochs", "1", "--lr", "0.003"]


def prepare(books: Path, folder: Path, types: int, words: int) -> None:
    """Writes vocab, train and valid into `folder`."""
    counts: Counter[bytes] = Counter()
    held_out, parts = words + 50_000, {"train": bytearray(), "valid": bytearray()}
    read = 0
    with books.open("rb") as lines:
        for line in lines:
            tokens = line.split()
            counts.update(tokens)
            if read < held_out:
                parts["train" if read < words else "valid"] += line
            read += len(tokens)
    for name, text in parts.items():
        (folder / name).write_bytes(text)
    most = islice(counts.most_common(), types - 2)  # besides <unk> and </s>
    (folder / "vocab").write_bytes(b"".join(type_ + b"\n" for type_, _ in most))


def peak_of(command: list[str]) -> tuple[float, float, str]:
    """GB of resident memory at the peak, seconds, and the standard error of the command."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    log = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(log)
    return usage.ru_maxrss / 1e6, time.perf_counter() - started, log


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("books", type=Path)
    parser.add_argument("--softmax", nargs="+", default=["adaptive", "sampled"])
    parser.add_argument("--types", type=int, default=250_000)
    parser.add_argument("--words", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(options.books, folder, options.types, options.words)
        for softmax in options.softmax:
            train = ["train", *MODEL, "--softmax", softmax, "--vocab", str(folder / "vocab")]
            train += ["--valid", str(folder / "valid"), str(folder / "train")]
            command = [sys.executable, "-m", "seqlm", *train, "-o", str(folder / softmax)]
            memory, seconds, log = peak_of(command)
            [result] = [line for line in log.splitlines() if line.startswith("epoch")]
            print(f"{softmax}: peak {memory:.2f} GB, {seconds:.0f} s; {result}", flush=True)


if __name__ == "__main__":
    main()
