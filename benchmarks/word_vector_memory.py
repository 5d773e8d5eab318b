"""The memory that training word vectors takes, beside the size of their two matrices.

    python -m benchmarks.word_vector_memory TEXT [--words 300000] [--width 300] [--flags "..."]

Trains for an epoch by `seqlm train` on TEXT (21.0 M words of novels for the published figures) and,
where it has fewer than 300 000 different words, on lines of made-up words after it. Prints the peak
of the resident memory beside what must be there: the two matrices of vectors, 2 x V x d x 4 bytes;
the text, as numbers of 4 bytes; and Python with torch, by a training on one line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.large_vocabulary import peak_of
from seqlm.text.vocabulary import RESERVED

IN_LINE = 20
"""Made-up words of a line."""


def write_text(text: Path, size: int, output: Path) -> int:
    """Writes `text` and made-up words, `size` different ones in all; returns how many words."""
    words = 0
    types: set[bytes] = set()
    with text.open("rb") as lines, output.open("wb") as longer:
        for line in lines:
            longer.write(line.rstrip(b"\n") + b"\n")
            words += len(line.split())
            types.update(line.split())
        missing = [b"word-%d" % number for number in range(size - len(types))]
        for start in range(0, len(missing), IN_LINE):
            longer.write(b" ".join(missing[start : start + IN_LINE]) + b"\n")
    return words + len(missing)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--words", type=int, default=300_000)
    parser.add_argument("--width", type=int, default=300)
    parser.add_argument("--flags", default="", help="more flags of `seqlm train`, in one argument")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text, line = folder / "text", folder / "line"
        tokens = write_text(options.text, options.words, text)
        line.write_text("one line of words\n")
        command = [sys.executable, "-m", "seqlm", "train", "--task", "vectors", "--epochs", "1"]
        command += ["--min-count", "1", "--vocab-size", str(options.words + len(RESERVED))]
        command += [*options.flags.split(), "--overwrite", "-o", str(folder / "run")]
        least, _, _ = peak_of([*command, "--width", "1", str(line)])
        peak, seconds, log = peak_of([*command, "--width", str(options.width), str(text)])
    matrices = 2 * options.words * options.width * 4 / 1e9
    text_size = 4 * tokens / 1e9
    print(log, end="")
    print(f"peak {peak:.2f} GB in {seconds:.0f} s: {peak / matrices:.2f} x the two matrices")
    print(f"two matrices of {options.words:,} x {options.width}: {matrices:.2f} GB")
    print(f"text of {tokens:,} words: {text_size:.2f} GB")
    print(f"a training on one line, width 1: {least:.2f} GB")
    print(f"what is left: {peak - matrices - text_size - least:.2f} GB")


if __name__ == "__main__":
    main()
