"""Say a sequence backwards: what a fixed vector cannot hold, and attention need not.

    python -m benchmarks.reverse [--minutes 5] [--longest 25] [--threads 2]

    k e s p   ->   p s e k

Sequences of 1 to `--longest` letters, every letter and every length equally likely, 20 000 to learn
from and 1 000 to be asked, none of them among those learnt. The same GRU is trained twice, for as
many minutes each: with attention, and without, where all that the decoder knows of the source is
one vector. Printed: the share of test sequences that come back whole, by length.
"""

from __future__ import annotations

import argparse
import random
import string
import tempfile
from pathlib import Path

from benchmarks.commands import cells, lines_of, seqlm, trained

SHARED = "--arch gru --tokenizer word --width 128 --dropout 0 --label-smoothing 0 --lr 0.004"
MODELS = {
    "attention": f"{SHARED} --attention general",
    "fixed vector": f"{SHARED} --attention none",
}
SPLITS = {"train": 20_000, "valid": 500, "test": 1_000}
SPAN = 5  # lengths of a column


def write(folder: Path, longest: int) -> dict[str, tuple[Path, Path]]:
    """The files of each split: the sequences, and the same backwards."""
    rng, known, files = random.Random(1), set(), {}
    for split, count in SPLITS.items():
        drawn: list[list[str]] = []
        while len(drawn) < count:
            letters = rng.choices(string.ascii_lowercase, k=rng.randint(1, longest))
            if "".join(letters) not in known or (len(letters) < 3 and split == "train"):
                known.add("".join(letters))
                drawn.append(letters)
        files[split] = folder / f"{split}.there", folder / f"{split}.back"
        for file, step in zip(files[split], (1, -1), strict=True):
            file.write_text("".join(" ".join(letters[::step]) + "\n" for letters in drawn))
    return files


def by_length(run: Path, there: Path, back: Path, longest: int, threads: int) -> list[str]:
    """Percent right, of each span of lengths and of all."""
    said = seqlm("translate", "-m", run, there, "--beam", 1, "-q", threads=threads).split("\n")
    right: dict[int, list[bool]] = {}
    for wanted, found in zip(lines_of(back), said, strict=False):
        length = len(wanted.split())
        right.setdefault((length - 1) // SPAN, []).append(found == wanted)
    groups = [right.get(span, []) for span in range((longest - 1) // SPAN + 1)]
    every = [one for group in groups for one in group]
    return [f"{100 * sum(group) / max(1, len(group)):.1f}" for group in [*groups, every]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--longest", type=int, default=25)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    spans = range(1, options.longest + 1, SPAN)
    heads = [f"{first}-{min(first + SPAN - 1, options.longest)}" for first in spans]
    print(cells("exact, %", *heads, "all", "epochs"))
    print(cells(*["---"] * (len(heads) + 3)), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write(folder, options.longest)
        texts = [
            "--source", files["train"][0], "--target", files["train"][1],
            "--valid-source", files["valid"][0], "--valid-target", files["valid"][1],
        ]  # fmt: skip
        for model, flags in MODELS.items():
            run = folder / model.replace(" ", "-")
            epochs = trained(run, flags, texts, options.minutes, options.threads)
            shares = by_length(run, *files["test"], options.longest, options.threads)
            print(cells(model, *shares, f"{epochs:.0f}"), flush=True)


if __name__ == "__main__":
    main()
