"""How good word vectors are beside those of another tool, over a few seeds; for `word_vectors.py`.

    mean      of a figure over the seeds            spread    its highest value less its lowest
    level     whether  mean of ours >= mean of theirs - spread of theirs

All vectors are evaluated by `seqlm eval` under the same rules. The figures are in percent: the
Spearman correlation of the similarity of pairs with what people say, and the share of analogies
that are right, of each section.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from seqlm.evaluation.vectors.evaluate_vectors import evaluate_vectors, is_syntactic, total
from seqlm.evaluation.vectors.vector_test_sets import read_test_set
from seqlm.evaluation.vectors.vector_test_settings import VectorTestSettings
from seqlm.runs.loading.load_vectors import load_vectors
from seqlm.runs.loading.locate import locate

ANALOGIES = "questions-words.txt"
SIMILARITIES = ("wordsim353.tsv", "simlex999.txt")


class Figure(NamedTuple):
    value: float
    """In percent."""
    answered: int
    """The number of questions that it is of."""


Figures = Mapping[str, Figure]


class Comparison(NamedTuple):
    """A figure of ours beside theirs."""

    ours: float
    our_spread: float
    theirs: float
    their_spread: float

    @property
    def is_level(self) -> bool:
        return self.ours >= self.theirs - self.their_spread


def test_files(folder: Path) -> list[Path]:
    """The tests in `folder`. The benchmark ends where one is missing."""
    files = [folder / name for name in (*SIMILARITIES, ANALOGIES)]
    for file in files:
        if not file.is_file():
            sys.exit(f"{file} is missing")
    return files


def evaluate(model: str, files: Sequence[Path]) -> Figures:
    """The figures of a run or of a file of vectors."""
    table, figures = load_vectors(locate(model)), {}
    for file in files:
        found = evaluate_vectors(table, str(file), VectorTestSettings())
        if not found.sections:
            figures[file.stem] = Figure(100 * found.figures["spearman"], found.answered)
            continue
        syntactic = [each for each in found.sections if is_syntactic(each.section)]
        semantic = [each for each in found.sections if each not in syntactic]
        groups = {"semantic": semantic, "syntactic": syntactic, "all analogies": found.sections}
        scores = [(each.section, each) for each in found.sections]
        scores += [(name, total(group)) for name, group in groups.items()]
        figures |= {
            name: Figure(100 * score.accuracy, score.answered)
            for name, score in scores
            if score.answered
        }
    return figures


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Comparison:
    """Of a figure of some seeds each."""
    return Comparison(mean(ours), spread(ours), mean(theirs), spread(theirs))


def spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def print_comparison(ours: Sequence[Figures], theirs: Sequence[Figures], tool: str) -> None:
    """A line for each figure that both have."""
    print(f"\nfigure\tquestions\tseqlm\tspread\t{tool}\tspread\tlevel")
    levels = []
    for name, (_, answered) in ours[0].items():
        if name not in theirs[0]:
            continue
        both = [[figures[name].value for figures in side] for side in (ours, theirs)]
        of_them = theirs[0][name].answered
        questions = f"{answered}" if answered == of_them else f"{answered}, {tool} {of_them}"
        row = compare(*both)
        levels.append(row.is_level)
        cells = [f"{value:.2f}" for value in row]
        print(name, questions, *cells, "yes" if row.is_level else "no", sep="\t")
    print(f"level in {sum(levels)} of {len(levels)}, {len(ours)} seeds", flush=True)


# ------------------------------------------------------------------------------------ unseen words


def write_unseen(text: Path, files: Sequence[Path], folder: Path) -> tuple[Path, list[Path]]:
    """Writes `text` without every second of the different words of the pairs in `files`, and of the
    pairs those that have such a word."""
    pairs = {file: read_test_set(str(file)).pairs for file in files if file.name in SIMILARITIES}
    words = {word.lower() for of_file in pairs.values() for pair in of_file for word in pair[:2]}
    unseen = set(sorted(words)[::2])
    shorter = folder / "text-without-words"
    removed = {word.encode() for word in unseen}
    with text.open("rb") as lines, shorter.open("wb") as output:
        for line in lines:
            output.write(b" ".join(word for word in line.split() if word not in removed) + b"\n")
    tests = []
    for file, of_file in pairs.items():
        tests.append(folder / f"{file.stem} with an unseen word")
        chosen = [pair for pair in of_file if unseen & {word.lower() for word in pair[:2]}]
        tests[-1].write_text("".join("\t".join(map(str, pair)) + "\n" for pair in chosen))
    return shorter, tests
