"""Why attention: BLEU by the length of the source, with and without it, in the same training time.

    python -m benchmarks.translation_lengths MULTI30K [--minutes 15] [--plot lengths.png]

MULTI30K is a folder with train.de, train.en, val.* and test_2016_flickr.*. The same GRU is trained
without attention, with additive and with general attention, and so is a Transformer, from German
into English with one BPE vocabulary. Prints a table of BLEU (sacrebleu, cased) of the test
sentences of each length, in words of the source. `--plot` draws it (pip install 'seqlm[plots]').
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path

from benchmarks.commands import cells, lines_of, seqlm, trained
from seqlm.evaluation.translation_quality import bleu

GRU = "--arch gru --width 384 --embedding 256 --batch-tokens 1024"
MODELS = {
    "no attention": f"{GRU} --attention none",
    "additive": f"{GRU} --attention additive",
    "general": f"{GRU} --attention general",
    "Transformer": "--arch transformer --width 256 --layers 3 --ffn-width 512",
}
BOUNDS = [1, 9, 11, 13, 16, 20]  # words of the source at which a column begins
TEST = "test_2016_flickr"


def columns(lengths: list[int]) -> list[list[int]]:
    """The lines of each column, by the number of words of their source."""
    ends = [*BOUNDS[1:], 1 << 30]
    return [
        [line for line, length in enumerate(lengths) if first <= length < end]
        for first, end in zip(BOUNDS, ends, strict=True)
    ]


def draw(place: str, heads: list[str], rows: dict[str, list[float]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for model, scores in rows.items():
        axes.plot(heads, scores[: len(heads)], marker="o", label=model)
    axes.set(xlabel="words of the source", ylabel="BLEU", ylim=(0, None))
    axes.legend()
    figure.savefig(place, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("multi30k", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--plot", metavar="FILE")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    place = options.multi30k
    texts = [
        "--source", place / "train.de", "--target", place / "train.en",
        "--valid-source", place / "val.de", "--valid-target", place / "val.en",
    ]  # fmt: skip
    references = lines_of(place / f"{TEST}.en")
    groups = columns([len(line.split()) for line in lines_of(place / f"{TEST}.de")])
    heads = [f"{first}-{end - 1}" for first, end in pairwise(BOUNDS)]
    heads.append(f"{BOUNDS[-1]}+")
    print(cells("BLEU", *heads, "all", "epochs"))
    print(cells(*["---"] * (len(heads) + 3)))
    print(cells("sentences", *map(len, groups), len(references), ""), flush=True)
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for model in options.models:
            run = Path(name) / model.replace(" ", "-")
            epochs = trained(run, MODELS[model], texts, options.minutes, options.threads)
            output = seqlm(
                "translate", "-m", run, place / f"{TEST}.de", "-q", threads=options.threads
            )
            translations = output.split("\n")[:-1]
            rows[model] = [
                bleu(
                    [translations[line] for line in group], [references[line] for line in group]
                ).score
                for group in [*groups, [*range(len(references))]]
            ]
            scores = [f"{score:.1f}" for score in rows[model]]
            print(cells(model, *scores, f"{epochs:.0f}"), flush=True)
    if options.plot:
        draw(options.plot, heads, rows)


if __name__ == "__main__":
    main()
