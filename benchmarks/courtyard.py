"""A language with a known grammar: how many sentences are right, and where attention looks.

    python -m benchmarks.courtyard [--minutes 3] [--models general additive ...]

`corpora/courtyard` has one French sentence for every English one, and the links between their
words. Printed, on its test: BLEU; the share of sentences that are the reference, word by word; and
the share of French words whose most attended English word, while the reference is written, is one
that they are linked to. A Transformer's attention is that of all heads, and need not be alignment.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.commands import cells, lines_of, seqlm, trained
from seqlm.evaluation.translation_quality import bleu

CORPORA = Path(__file__).parent.parent / "corpora"
SHARED = "--tokenizer word --separate --width 128 --batch-tokens 1024 --dropout 0.1"
GRU = f"--arch gru --lr 0.004 {SHARED}"
MODELS = {
    "none": f"{GRU} --attention none",
    "additive": f"{GRU} --attention additive",
    "dot": f"{GRU} --attention dot",
    "general": f"{GRU} --attention general",
    "scaled-dot": f"{GRU} --attention scaled-dot",
    "transformer": f"--arch transformer --layers 2 --lr 0.002 {SHARED}",
}

Links = set[tuple[int, int]]


def pharaoh(text: str) -> Links:
    """'0-0 1-2' -> {(0, 0), (1, 2)}: a word of the source, a word of the target."""
    return {(int(i), int(j)) for i, j in (link.split("-") for link in text.split())}


def accuracy(found: list[Links], gold: list[Links]) -> float:
    """Share of the target's words that are linked to a word they should be linked to."""
    right = sum(len(some & true) for some, true in zip(found, gold, strict=True))
    return right / sum(len({j for _, j in true}) for true in gold)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    english, french, links = (CORPORA / f"courtyard.test.{end}" for end in ("en", "fr", "align"))
    sides = {"--source": "train.en", "--target": "train.fr"}
    sides |= {"--valid-source": "valid.en", "--valid-target": "valid.fr"}
    texts = [each for flag, file in sides.items() for each in (flag, CORPORA / f"courtyard.{file}")]
    references, gold = lines_of(french), [pharaoh(line) for line in lines_of(links)]
    print(cells("attention", "BLEU", "exact, %", "aligned, %", "epochs"))
    print(cells(*["---"] * 5), flush=True)
    with tempfile.TemporaryDirectory() as name:
        for model in options.models:
            run, threads = Path(name) / model, options.threads
            epochs = trained(run, MODELS[model], texts, options.minutes, threads)
            found = seqlm("translate", "-m", run, english, "-q", threads=threads).split("\n")[:-1]
            exact = sum(ours == right for ours, right in zip(found, references, strict=True))
            aligned = "-"
            if model != "none":
                forced = ["--score-target", french, "--align", "-q"]
                scored = seqlm("translate", "-m", run, english, *forced, threads=threads)
                told = [pharaoh(line.split("\t")[2]) for line in scored.split("\n")[:-1]]
                aligned = f"{100 * accuracy(told, gold):.1f}"
            shares = f"{bleu(found, references).score:.1f}", f"{100 * exact / len(found):.1f}"
            print(cells(model, *shares, aligned, f"{epochs:.0f}"), flush=True)


if __name__ == "__main__":
    main()
