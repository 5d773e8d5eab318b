"""README.md of a run, whole, for each way in which a run is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seqlm.runs.readme import FILES, readme
from seqlm.runs.run_config import RunConfig

COUNTED = RunConfig(
    seqlm="1.2",
    task="lm",
    arch="ngram",
    context="sentence",
    model={"order": 2, "smoothing": "witten-bell", "rows": [1000, 23456]},
    data={
        "texts": {"corpus": {"files": ["/a.txt", "/b.txt"], "sha256": "beef"}},
        "tokens": 1234,
        "lines": 56,
    },
    command="seqlm count a.txt b.txt --order 2",
)
TRAINED = RunConfig(
    seqlm="1.2",
    task="translation",
    arch="gru",
    context="sentence",
    model={},
    settings={"seed": 7},
    data={
        "texts": {
            "source": {"files": ["/de"], "sha256": "1"},
            "valid_source": {"files": ["/de2"], "sha256": "2"},
        },
        "tokens": 1234,
        "lines": 56,
        "valid_metric": "greedy|nrefs:1",
    },
    command="seqlm train --source de --target en",
    torch="2.10",
    device="cpu",
    result={
        "step": 30, "epoch": 2, "seconds": 9.6, "train_loss": 1.25, "valid_loss": 2.0,
        "valid_bleu": 31.234,
    },
)  # fmt: skip


def test_of_a_counted_run():
    assert readme(COUNTED, Path("my runs/bigram")) == (
        "# 2-gram model (witten-bell), counted by seqlm 1.2\n\n"
        "    seqlm count a.txt b.txt --order 2\n\n"
        "- 1,000 n-grams of order 1\n- 23,456 n-grams of order 2\n\n"
        "Counted from 1,234 tokens in 56 lines:\n\n"
        "- corpus /a.txt, /b.txt, SHA-256 beef\n\n"
        "    seqlm eval -m 'my runs/bigram' TEXT\n"
        "    seqlm sample -m 'my runs/bigram'\n\n"
        f"{FILES}\n"
    )


def test_of_a_trained_run():
    assert readme(TRAINED, Path("gru")) == (
        "# gru translator, trained by seqlm 1.2\n\n"
        "    seqlm train --source de --target en\n\n"
        "Step 30, epoch 2, after 10 seconds on cpu with torch 2.10, seed 7:\n\n"
        "- training loss 1.2500 nats per token\n"
        "- validation loss 2.0000, perplexity 7.39\n"
        "- validation bleu 31.23\n"
        "- its signature greedy|nrefs:1\n\n"
        "Trained on 1,234 tokens in 56 lines:\n\n"
        "- source /de, SHA-256 1\n"
        "- valid source /de2, SHA-256 2\n\n"
        "    seqlm translate -m gru TEXT\n"
        "    seqlm eval -m gru --source TEXT --target TEXT\n\n"
        f"{FILES}\n"
    )


def test_of_word_vectors():
    config = replace(
        TRAINED, task="vectors", arch="skipgram", command="seqlm train a --task vectors",
        data={"texts": {"corpus": {"files": ["/a"], "sha256": "1"}}, "tokens": 12, "words": 1200},
        result={"step": 30, "epoch": 2, "seconds": 9.6, "train_loss": 2.25, "valid_loss": 2.5},
    )  # fmt: skip
    assert readme(config, Path("vectors")) == (
        "# skipgram word vectors, trained by seqlm 1.2\n\n"
        "    seqlm train a --task vectors\n\n"
        "Step 30, epoch 2, after 10 seconds on cpu with torch 2.10, seed 7:\n\n"
        "- training loss 2.2500 per pair\n"
        "- validation loss 2.5000\n\n"
        "Trained on 1,200 words:\n\n"
        "- corpus /a, SHA-256 1\n\n"
        "    seqlm vectors nearest -m vectors WORD\n"
        "    seqlm eval -m vectors PAIRS\n\n"
        f"{FILES}\n"
    )


@pytest.mark.parametrize(
    ("task", "metric", "kind", "unit", "title"),
    [
        ("tagging", "f1", "tagger", "token", "F1"),
        ("tagging", "accuracy", "tagger", "token", "accuracy"),
        ("classification", "macro-f1", "classifier", "text", "macro-F1"),
    ],
)
def test_of_a_labeler(task, metric, kind, unit, title):
    result = {**TRAINED.result, f"valid_{metric}": 0.87654}
    del result["valid_bleu"]
    data = {"texts": TRAINED.data["texts"], "tokens": 9, "words": 1234, "lines": 56}
    text = readme(replace(TRAINED, task=task, result=result, data=data), Path("run"))
    assert text.startswith(f"# gru {kind}, trained by")
    assert f"- training loss 1.2500 nats per {unit}\n- validation loss 2.0000\n" in text
    assert f"\n- validation {title} 87.65 %\n\n" in text
    assert "Trained on 1,234 words in 56 lines:" in text
    assert "\n\n    seqlm tag -m run TEXT\n    seqlm eval -m run TEXT\n\n" in text


def test_of_an_exported_run():
    text = readme(replace(COUNTED, exported="/x.arpa", data={}, command=None), Path("x"))
    assert text.startswith("# 2-gram model (witten-bell), exported by seqlm 1.2\n\n- 1,000 n-grams")
    assert "\n\nExported from /x.arpa\n\n    seqlm eval -m x TEXT\n" in text
