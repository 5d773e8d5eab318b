"""The speed and the accuracy of a tagger, beside those of CRFsuite (Okazaki 2007).

    python -m benchmarks.tagging_speed RUN TRAIN TEST [--rounds 5] [--batch-size 64]

RUN is a tagger of parts of speech, TRAIN and TEST are texts in CoNLL-U. Prints the accuracy of each
on TEST, and the median of its words per second, text in and text out: seconds of the one thread
that works, so that other programs count little. The rounds of the two take turns. CRFsuite, by
`python-crfsuite` where that is installed, learns TRAIN with an averaged perceptron, from the
features that its tutorial has for parts of speech.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median

import torch

from seqlm.decoding.labeling.label_records import label_records
from seqlm.decoding.labeling.labeling_settings import LabelingSettings
from seqlm.runs.loading.load_labeler import load_labeler
from seqlm.runs.loading.locate import locate
from seqlm.text.labeled.record import FormatOptions
from seqlm.text.labeled.record_files import read_records, write_record

try:
    import pycrfsuite
except ImportError:
    pycrfsuite = None

TAG = 3  # the column of UPOS
Sentence = list[list[str]]
"""The cells of each word."""
Tagger = Callable[[str], str]
"""What makes the text of a file with other tags."""


def seqlm_tagger(run: str, batch_size: int) -> Tagger:
    loaded, settings = load_labeler(locate(run)), LabelingSettings(batch_size=batch_size)

    def tag(file: str) -> str:
        records = read_records([file], "tagging", FormatOptions("conllu"), labels_needed=False)
        labeled = label_records(loaded, records, settings)
        return "".join([write_record(each.record, each.labels) for each in labeled])

    return tag


def crfsuite_tagger(train: str, folder: str) -> Tagger:
    model = f"{folder}/crfsuite"
    trainer = pycrfsuite.Trainer(algorithm="ap", verbose=False)
    for sentence in sentences_of(Path(train).read_text()):
        trainer.append(features_of(sentence), [row[TAG] for row in sentence])
    trainer.set("max_iterations", 10)
    trainer.train(model)
    tagger = pycrfsuite.Tagger()
    tagger.open(model)

    def tag(file: str) -> str:
        texts = []
        for sentence in sentences_of(Path(file).read_text()):
            tags = tagger.tag(features_of(sentence))
            rows = [[*row[:TAG], tag, *row[TAG + 1 :]] for row, tag in zip(sentence, tags)]
            texts.append("".join(["\t".join(row) + "\n" for row in rows]) + "\n")
        return "".join(texts)

    return tag


def sentences_of(text: str) -> Iterator[Sentence]:
    for block in text.split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n") if line[:1] not in ("#", "")]
        if words := [row for row in rows if row[0].isdecimal()]:
            yield words


def features_of(sentence: Sentence) -> list[list[str]]:
    """Of each word itself, its affixes and its casing, and its neighbors."""
    words = [row[1] for row in sentence]
    padded = ["<", "<", *words, ">", ">"]
    return [
        [
            "bias",
            "w=" + word,
            "lower=" + word.lower(),
            *["prefix=" + word[:n] for n in (1, 2, 3)],
            *["suffix=" + word[-n:] for n in (1, 2, 3, 4)],
            f"title={word.istitle()} upper={word.isupper()} digit={word.isdigit()}",
            f"hyphen={'-' in word}",
            *[f"{n}={padded[at + n]}" for n in (-2, -1, 1, 2)],
            f"-1,0={padded[at - 1]}|{word}",
            f"0,1={word}|{padded[at + 1]}",
        ]
        for at, word in enumerate(words, 2)
    ]


def tags_in(text: str) -> list[str]:
    return [row[TAG] for sentence in sentences_of(text) for row in sentence]


def accuracy(found: Iterable[str], gold: list[str]) -> float:
    return 100 * sum(a == b for a, b in zip(found, gold, strict=True)) / len(gold)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    taggers = {"seqlm": seqlm_tagger(options.run, options.batch_size)}
    with tempfile.TemporaryDirectory() as folder:
        if pycrfsuite is None:
            print("CRFsuite: python-crfsuite is not installed")
        else:
            taggers["CRFsuite"] = crfsuite_tagger(options.train, folder)
        gold = tags_in(Path(options.test).read_text())
        for name, tag in taggers.items():  # a first run, not counted
            print(f"{name}: accuracy {accuracy(tags_in(tag(options.test)), gold):.2f} %")
        speeds: dict[str, list[float]] = {name: [] for name in taggers}
        for _ in range(options.rounds):
            for name, tag in taggers.items():
                started = time.process_time()
                tag(options.test)
                speeds[name].append(len(gold) / (time.process_time() - started))
    for name, of_rounds in speeds.items():
        print(f"{name}: {median(of_rounds):,.0f} words/s", end=" ")
        print(f"({min(of_rounds):,.0f} to {max(of_rounds):,.0f})")


if __name__ == "__main__":
    main()
