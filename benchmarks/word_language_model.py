"""How much sooner seqlm reaches what PyTorch's own word-language-model example reaches in an epoch.

    python -m benchmarks.word_language_model BOOKS EXAMPLE [--folder FOLDER] [--steps 1560]

BOOKS is plain text with one sentence per line. Its first 1.9 M tokens are the training text, and
the next 0.2 M the validation text; all but the 33 000 most frequent types of the former are
`<unk>`: the size of WikiText-2. EXAMPLE is the folder `word_language_model` of
https://github.com/pytorch/examples.

Both train on one thread, and both times are those of whole processes, from the start of Python to
the saved model, with their reading of text and their validations:

    example   main.py --tied --epochs 1, its other settings as they are: an LSTM 2 x 200, 20 rows of
              35 tokens, full softmax, SGD at 20, clipped at 0.25, dropout 0.2
    seqlm     FLAGS: a smaller LSTM, 1 x 128, tied, twice the rows, the adaptive softmax, AdamW at
              a rate that falls to 0 in so many `--steps` (an epoch has 1358), no dropout, products
              of bfloat16 where the processor is faster in them

Prints the perplexity of the validation text by each, and the ratio of the times. Both perplexities
are static, exact, and count every token, `<unk>` and the end of line included. The example's is
of ten pieces of the text, each read from a state of zeros, and leaves out the first token of each.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TYPES, TRAINING, VALIDATION = 33_000, 1_900_000, 200_000
TEST_LINES = 30  # the example reads a test text, which is of no interest here

FLAGS = (
    "--arch lstm --width 128 --layers 1 --softmax adaptive --batch-size 40"
    " --seq-length 35 --optimizer adamw --lr 0.01 --schedule linear --clip 1"
    " --dropout-input 0 --dropout-output 0"
)


class Process(NamedTuple):
    """What a finished process used and printed."""

    cpu: float
    seconds: float
    output: str


def write_texts(books: Path, folder: Path) -> None:
    """Writes train.txt, valid.txt and test.txt into `folder`."""
    texts: dict[str, list[list[bytes]]] = {"train": [], "valid": []}
    for number, words in numbered_lines(books):
        if number >= TRAINING + VALIDATION:
            break
        texts["train" if number < TRAINING else "valid"].append(words)
    counts = Counter(word for words in texts["train"] for word in words)
    known = {word for word, _ in counts.most_common(TYPES)}
    texts["test"] = texts["valid"][:TEST_LINES]
    for name, lines in texts.items():
        cut = (b" ".join(w if w in known else b"<unk>" for w in words) for words in lines)
        (folder / f"{name}.txt").write_bytes(b"".join(line + b"\n" for line in cut))


def numbered_lines(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """The words of each line, with the number of tokens before it; a line's end is one."""
    number = 0
    with path.open("rb") as lines:
        for line in lines:
            words = line.split()
            yield number, words
            number += len(words) + 1


def run(*command: object, folder: Path | None = None) -> Process:
    """Runs `command` on one thread to its end; the benchmark ends if it fails."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [*map(str, command)], cwd=folder, stdout=output, stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        output.seek(0)
        text = output.read()
    if status:
        sys.exit(text)
    return Process(used.ru_utime + used.ru_stime, seconds, text)


def run_example(example: Path, folder: Path) -> tuple[Process, float]:
    """The example's epoch, and the perplexity that it prints."""
    flags = ["--data", folder.absolute(), "--tied", "--epochs", 1]
    saved = (folder / "model.pt").absolute()
    done = run(sys.executable, "main.py", *flags, "--save", saved, folder=example)
    [perplexity] = re.findall(r"valid ppl +([\d.]+)", done.output)
    return done, float(perplexity)


def run_seqlm(folder: Path, steps: int) -> tuple[Process, float]:
    """Our training, and the perplexity that `seqlm eval` prints."""
    seqlm, saved = [sys.executable, "-m", "seqlm"], folder / "run"
    flags = [*FLAGS.split(), "--steps", steps, "--valid-every", steps, "--num-threads", 1]
    texts = [folder / "train.txt", "--valid", folder / "valid.txt"]
    done = run(*seqlm, "train", *texts, *flags, "-q", "-o", saved, "--overwrite")
    text = folder / "valid.txt"
    figures = run(*seqlm, "eval", "-m", saved, text, "--json", "-q", "--num-threads", 1)
    return done, float(json.loads(figures.output)["ppl"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("books", type=Path)
    parser.add_argument("example", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("word-language-model"))
    parser.add_argument("--steps", type=int, default=1560)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    write_texts(options.books, options.folder)
    ours, our_perplexity = run_seqlm(options.folder, options.steps)
    print(f"seqlm    {ours.cpu:.1f} CPU s, {ours.seconds:.1f} s, ppl {our_perplexity:.2f}")
    theirs, their_perplexity = run_example(options.example, options.folder)
    print(f"example  {theirs.cpu:.1f} CPU s, {theirs.seconds:.1f} s, ppl {their_perplexity:.2f}")
    print(
        f"ratio    {theirs.cpu / ours.cpu:.1f} x by processor time,"
        f" {theirs.seconds / ours.seconds:.1f} x by the clock"
    )
    if our_perplexity > their_perplexity:
        print("seqlm has not reached the example's perplexity: give it more --steps")


if __name__ == "__main__":
    main()
