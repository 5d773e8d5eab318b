"""Say a sequence backwards: what a fixed vector cannot hold, and attention need not.

    python -m benchmarks.reverse [--minutes 5] [--models additive ...] [--threads 2]

    k e s p   ->   p s e k

Sequences of 3 to `--longest` letters, every letter and every length equally likely, 20 000 to learn
from and 1 000 to be asked, no sequence twice. The same GRU is trained for as many minutes each with
additive attention, with general attention, and with none, where all that the decoder knows of the
source is one vector. Printed: the share of test sequences that come back whole, by length.
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
SHORTEST, SPAN = 3, 5  # letters; lengths of a column


def sequences(longest: int) -> Iterator[str]:
    """Letters at random, no sequence twice."""
    rng, known = random.Random(1), set()
    while True:
        length = rng.randint(SHORTEST, longest)
        while (letters := "".join(rng.choices(string.ascii_lowercase, k=length))) in known:
            pass
        known.add(letters)
        yield letters


def write(folder: Path, longest: int) -> dict[str, tuple[Path, Path]]:
    """The files of each split: the sequences, and the same backwards."""
    drawn, files = sequences(longest), {}
    for split, count in SPLITS.items():
        lines = [*islice(drawn, count)]
        files[split] = folder / f"{split}.there", folder / f"{split}.back"
        for file, step in zip(files[split], (1, -1), strict=True):
            file.write_text("".join(" ".join(line[::step]) + "\n" for line in lines))
    return files


def by_length(run: Path, there: Path, back: Path, longest: int, threads: int) -> list[str]:
    """Percent right, of each span of lengths and of all."""
    said = seqlm("translate", "-m", run, there, "--beam", 1, "-q", threads=threads).split("\n")
    right: list[list[bool]] = [[] for _ in spans(longest)]
    for wanted, found in zip(lines_of(back), said[:-1], strict=True):
        right[(len(wanted.split()) - 1) // SPAN].append(found == wanted)
    return [f"{100 * sum(some) / len(some):.1f}" for some in [*right, [*chain(*right)]]]


def spans(longest: int) -> list[str]:
    """The columns."""
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
        parser.error(f"--longest {options.longest}: more than {SHORTEST}, or there are too few")
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
