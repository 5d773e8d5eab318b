"""Multi30k: both recipes, and BLEU in the two conventions that papers report.

    python -m benchmarks.multi30k MULTI30K [--from de --to en] [--minutes 40] [--recipes ...]

MULTI30K is a folder with train.de, train.en, val.*, test_2016_flickr.*, and the same lowercased and
tokenized by Moses as *.lc.norm.tok.*. Each recipe is trained twice:

    cased   on the text as it is; BLEU by sacrebleu's convention, cased and detokenized
    lc tok  on the lowercased tokens; BLEU of these tokens as they are (tok:none)

and the test is translated through a pipe,

    seqlm translate -m RUN < test.de | sacrebleu test.en

with a beam of 5. Prints BLEU and chrF with their signatures, perplexity, and the time of training.
Without `--minutes`, a recipe is trained for as long as it says.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.commands import last_row, seqlm, trained

RECIPES = ["multi30k-gru", "multi30k-transformer"]
TEST = "test_2016_flickr"
CONVENTIONS = {"cased": ("", "13a"), "lc tok": ("lc.norm.tok.", "none")}
"""The part of a file's name before the language, and sacrebleu's tokenization of its text."""


def sacrebleu(translations: str, reference: Path, tokenize: str) -> list[dict]:
    """BLEU and chrF, each with its signature."""
    flags = ["-m", "bleu", "chrf", "--tokenize", tokenize, "--force", "--format", "json"]
    command = [sys.executable, "-m", "sacrebleu", str(reference), *flags, "--width", "2"]
    done = subprocess.run(command, input=translations, capture_output=True, text=True, check=True)
    scores: list[dict] = json.loads(done.stdout)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("multi30k", type=Path)
    parser.add_argument("--from", dest="source", default="de", choices=["de", "en", "fr"])
    parser.add_argument("--to", dest="target", default="en", choices=["de", "en", "fr"])
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--conventions", nargs="+", choices=CONVENTIONS, default=[*CONVENTIONS])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for recipe in options.recipes:
            for convention in options.conventions:
                run = Path(name) / f"{Path(recipe).stem}-{convention.replace(' ', '-')}"
                report(recipe, convention, run, options)


def report(recipe: str, convention: str, run: Path, options: argparse.Namespace) -> None:
    infix, tokenize = CONVENTIONS[convention]
    threads = options.threads

    def sides(split: str) -> tuple[Path, Path]:
        ends = options.source, options.target
        source, target = (options.multi30k / f"{split}.{infix}{end}" for end in ends)
        return source, target

    (source, target), valid, (test, reference) = map(sides, ("train", "val", TEST))
    texts = ["--source", source, "--target", target]
    texts += ["--valid-source", valid[0], "--valid-target", valid[1]]
    if options.minutes:
        trained(run, f"--config {recipe}", texts, options.minutes, threads)
    else:
        seqlm("train", "--config", recipe, *texts, "-o", run, "-q", threads=threads)
    text = test.read_text(encoding="utf-8")
    translations = seqlm("translate", "-m", run, "-q", stdin=text, threads=threads)
    pair = ["--source", test, "--target", reference, "--metric", "ppl", "-q"]
    ppl = float(seqlm("eval", "-m", run, *pair, threads=threads))
    row = last_row(run)
    time = f"{row['seconds'] / 60:.0f} min, {row['epoch']} epochs"
    print(f"{recipe}, {options.source} -> {options.target}, {convention}: ppl {ppl:.2f}, {time}")
    for score in sacrebleu(translations, reference, tokenize):
        print(f"    {score['name']} {score['score']}  {score['signature']}", flush=True)


if __name__ == "__main__":
    main()
