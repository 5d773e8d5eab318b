"""A language with a known grammar: how many translations are right, and what attention aligns.

    python -m benchmarks.courtyard [--minutes 3] [--models general additive ...]

`corpora/courtyard` has one French sentence for every English one, and the links between their
words. Prints, for its test text: BLEU; the share of sentences that equal the reference; and the
share of French words whose most attended English word, when the reference is forced, is one of
those they are linked to. A Transformer's attention is the mean over heads, and need not be an
alignment.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.commands import cells, lines_of, seqlm, trained
from seqlm.evaluation.translation_quality import bleu

CORPORA = Path(__file__).parent.parent / "corpora"
SHARED = "--tokenizer word --separate-vocab --width 128 --batch-tokens 1024 --dropout 0.1"
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
    """'0-0 1-2' -> {(0, 0), (1, 2)}: pairs of a source word and a target word."""
    return {(int(i), int(j)) for i, j in (link.split("-") for link in text.split())}


def accuracy(predicted: list[Links], gold: list[Links]) -> float:
    """Share of the target words that are linked to one of the words they should be linked to."""
    right = sum(len(links & gold_links) for links, gold_links in zip(predicted, gold, strict=True))
    return right / sum(len({j for _, j in gold_links}) for gold_links in gold)


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
    texts = [x for flag, file in sides.items() for x in (flag, CORPORA / f"courtyard.{file}")]
    references, gold = lines_of(french), [pharaoh(line) for line in lines_of(links)]
    print(cells("attention", "BLEU", "exact, %", "aligned, %", "epochs"))
    print(cells(*["---"] * 5), flush=True)
    with tempfile.TemporaryDirectory() as name:
        for model in options.models:
            run, threads = Path(name) / model, options.threads
            epochs = trained(run, MODELS[model], texts, options.minutes, threads)
            output = seqlm("translate", "-m", run, english, "-q", threads=threads)
            translations = output.split("\n")[:-1]
            pairs = zip(translations, references, strict=True)
            exact = sum(line == reference for line, reference in pairs) / len(references)
            aligned = "-"
            if model != "none":
                forced = ["--score-target", french, "--align", "-q"]
                scored = seqlm("translate", "-m", run, english, *forced, threads=threads)
                predicted = [pharaoh(line.split("\t")[2]) for line in scored.split("\n")[:-1]]
                aligned = f"{100 * accuracy(predicted, gold):.1f}"
            shares = f"{bleu(translations, references).score:.1f}", f"{100 * exact:.1f}"
            print(cells(model, *shares, aligned, f"{epochs:.0f}"), flush=True)


if __name__ == "__main__":
    main()
