"""Tiny taggers and classifiers for tests, and the text that they learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import seqlm

TAGS = {
    "the": "DET", "a": "DET", "old": "ADJ", "frog": "NOUN", "pike": "NOUN", "heron": "NOUN",
    "sees": "VERB", "sleeps": "VERB", ".": "PUNCT",
}  # fmt: skip
SENTENCES = [
    "the frog sleeps .", "a pike sees the heron .", "the old heron sleeps .", "the pike sleeps",
    "a frog sees a pike .", "the old frog sees the old pike .",
]  # fmt: skip
TEXTS = [
    ("good", "a warm , funny film"), ("bad", "a dull film"), ("good", "warm and funny"),
    ("bad", "dull , and long"), ("so-so", "a film"),
]  # fmt: skip
SMALL = {
    "width": 8, "embedding": 8, "steps": 40, "lr": 0.05, "batch_size": 4, "device": "cpu",
    "dropout_word": 0.0, "dropout_input": 0.0, "dropout_output": 0.0, "clip": 0.25,
}  # fmt: skip


def conllu(sentences: list[str], upos: str | None = None) -> str:
    """The sentences in CoNLL-U, with `upos` for every word or their own tags."""
    return "".join(
        f"# text = {sentence}\n"
        + "".join(
            f"{number}\t{word}\t_\t{upos or TAGS[word]}\tX\t_\t_\t_\t_\tNote=1\n"
            for number, word in enumerate(sentence.split(), 1)
        )
        + "\n"
        for sentence in sentences
    )


def columns(sentences: list[str], tagged: bool = True) -> str:
    """The sentences in columns: a word, its last letter, and a chunk tag or `_`."""
    return "".join(
        "".join(
            f"{word} {word[-1]} {tag if tagged else '_'}\n"
            for word, tag in zip(sentence.split(), chunk_tags(sentence))
        )
        + "\n"
        for sentence in sentences
    )


def chunk_tags(sentence: str) -> list[str]:
    """A noun phrase is a span of IOB2."""
    tags, is_open = [], False
    for word in sentence.split():
        is_in = TAGS[word] in ("DET", "ADJ", "NOUN")
        tags.append(("I-NP" if is_open else "B-NP") if is_in else "O")
        is_open = is_in and TAGS[word] != "NOUN"
    return tags


def train_tagger(folder: Path, **settings: Any) -> Path:
    """The run of a tagger of parts of speech."""
    (folder / "train.conllu").write_text(conllu(SENTENCES))
    return train(folder / "train.conllu", folder / "tagger", task="tagging", **settings)


def train_chunker(folder: Path, **settings: Any) -> Path:
    """The run of a CRF that learns BIOES, and reads the column in the middle."""
    (folder / "train.columns").write_text(columns(SENTENCES))
    more = {"crf": True, "scheme": "bioes", "feature_column": "pos", **settings}
    return train(folder / "train.columns", folder / "chunker", task="tagging", **more)


def train_classifier(folder: Path, **settings: Any) -> Path:
    """The run of a classifier of three labels."""
    (folder / "train.txt").write_text("".join(f"{label}\t{text}\n" for label, text in TEXTS))
    return train(folder / "train.txt", folder / "classifier", task="classification", **settings)


def train(corpus: Path, output: Path, **settings: Any) -> Path:
    return seqlm.train(corpus, output=output, arch="lstm", **{**SMALL, **settings}).path
