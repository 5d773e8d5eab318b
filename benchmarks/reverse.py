"""Reversing a sequence: too much for a fixed vector, and easy with attention.

    python -m benchmarks.reverse [--minutes 5] [--models additive ...] [--threads 2]

    k e s p   ->   p s e k

The data are sequences of 3 to `--longest` letters, every letter and every length equally likely,
20 000 to train on and 1 000 to test on, none of them twice. The same GRU is trained for the same
time with additive attention, with general attention, and with none, where the decoder knows the
source only by one vector. Prints the share of test sequences that are reversed without an error, by
length.
"""

from __future__ import annotations

import argparse
import random
import string
import tempfile
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from benchmarks.commands import cells, lines_of, seqlm, trained

SHARED = "--arch gru --tokenizer word --width 128 --dropout 0 --label-smoothing 0 --lr 0.004"
MODELS = {
    "additive": f"{SHARED} --attention additive",
    "general": f"{SHARED} --attention general",
    "none": f"{SHARED} --attention none",
}
SPLITS = {"train": 20_000, "valid": 500, "test": 1_000}
SHORTEST, SPAN = 3, 5  # letters; number of lengths in a column


def sequences(longest: int) -> Iterator[str]:
    """An endless stream of random sequences, none of which comes twice."""
    rng, drawn = random.Random(1), set()
    while True:
        length = rng.randint(SHORTEST, longest)
        while (letters := "".join(rng.choices(string.ascii_lowercase, k=length))) in drawn:
            pass
        drawn.add(letters)
        yield letters


def write(folder: Path, longest: int) -> dict[str, tuple[Path, Path]]:
    """The files of each split: the sequences, and the same backwards."""
    stream, files = sequences(longest), {}
    for split, count in SPLITS.items():
        lines = [*islice(stream, count)]
        files[split] = folder / f"{split}.source", folder / f"{split}.target"
        for file, step in zip(files[split], (1, -1), strict=True):
            file.write_text("".join(" ".join(line[::step]) + "\n" for line in lines))
    return files


def by_length(run: Path, source: Path, target: Path, longest: int, threads: int) -> list[str]:
    """The percentage of right translations for each span of lengths, and for all."""
    output = seqlm("translate", "-m", run, source, "--beam", 1, "-q", threads=threads)
    right: list[list[bool]] = [[] for _ in spans(longest)]
    for reference, line in zip(lines_of(target), output.split("\n")[:-1], strict=True):
        right[(len(reference.split()) - 1) // SPAN].append(line == reference)
    return [f"{100 * sum(span) / len(span):.1f}" for span in [*right, [*chain(*right)]]]


def spans(longest: int) -> list[str]:
    """The headings of the columns."""
    starts = range(1, longest + 1, SPAN)
    return [f"{max(SHORTEST, n)}-{min(n + SPAN - 1, longest)}" for n in starts]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--longest", type=int, default=25)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.longest <= SHORTEST:
        parser.error(f"--longest {options.longest}: must be more than {SHORTEST}")
    heads = spans(options.longest)
    print(cells("attention; exact, %", *heads, "all", "epochs"))
    print(cells(*["---"] * (len(heads) + 3)), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write(folder, options.longest)
        texts = [
            "--source", files["train"][0], "--target", files["train"][1],
            "--valid-source", files["valid"][0], "--valid-target", files["valid"][1],
        ]  # fmt: skip
        for model in options.models:
            run = folder / model
            epochs = trained(run, MODELS[model], texts, options.minutes, options.threads)
            shares = by_length(run, *files["test"], options.longest, options.threads)
            print(cells(model, *shares, f"{epochs:.0f}"), flush=True)


if __name__ == "__main__":
    main()
