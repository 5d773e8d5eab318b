"""`seqlm train --task tagging`: vectors and language models that its words start from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seqlm.runs.loading.load_labeler import load_labeler
from seqlm.runs.loading.locate import locate
from tests.command import Result, seqlm_inside
from tests.training.labeled_toy import rated_text, tagged_text

SMALL = ["--width", "8", "--character-width", "4", "--epochs", "2", "--lr", "0.02"]
TAGGING = ["--task", "tagging", "--label-column", "pos", *SMALL]


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """train.txt and valid.txt with tags, rated.tsv with labels, plain.txt with neither."""
    monkeypatch.chdir(tmp_path)
    Path("train.txt").write_text(tagged_text(40))
    Path("valid.txt").write_text(tagged_text(10, seed=2))
    Path("rated.tsv").write_text(rated_text(40))
    blocks = tagged_text(60, seed=3).strip().split("\n\n")
    lines = [" ".join(line.split()[0] for line in block.split("\n")) for block in blocks]
    Path("plain.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def language_models(texts: None) -> list[str]:
    """A forward and a backward language model."""
    for direction in ("forward", "backward"):
        trained = seqlm_inside(
            "train", "plain.txt", "--width", 6, "--epochs", 1, "--direction", direction,
            "--min-count", 1, "-o", direction,
        )  # fmt: skip
        assert trained.code == 0, trained.err
    return ["forward", "backward"]


def done(result: Result) -> Result:
    assert result.code == 0, result.err
    return result


def tag(*flags: str, run: str = "run") -> str:
    return done(seqlm_inside("tag", "-m", run, "plain.txt", *flags)).out


# -------------------------------------------------------------------------- language models


def test_a_labeler_keeps_the_language_models_that_it_reads(language_models: list[str]) -> None:
    features = ["--features-from", "forward,backward"]
    done(seqlm_inside("train", "train.txt", *TAGGING, *features, "-o", "run"))
    loaded = load_labeler(locate("run"))
    assert [model.tokenizer.direction for model in loaded.language_models] == language_models
    assert loaded.model.config.contextual_widths == (3, 6, 3, 6)
    before = tag()
    for name in language_models:
        shutil.rmtree(name)
    assert tag() == before
    assert tag("--batch-size", "1") == before


def test_what_the_language_models_say_makes_a_difference(language_models: list[str]) -> None:
    done(seqlm_inside("train", "train.txt", *TAGGING, "-o", "without", "--seed", "3"))
    digests = {load_labeler(locate("without")).weights_digest}
    for name in language_models:
        done(
            seqlm_inside(
                "train", "train.txt", *TAGGING, "--features-from", name, "-o", f"of-{name}"
            )
        )
        digests.add(load_labeler(locate(f"of-{name}")).weights_digest)
    assert len(digests) == 3


def test_a_classifier_reads_language_models_too(language_models: list[str]) -> None:
    flags = ["--task", "classification", *SMALL, "--features-from", "forward", "-o", "rater"]
    done(seqlm_inside("train", "rated.tsv", *flags))
    assert len(tag(run="rater").splitlines()) == 60


def test_resuming_needs_the_copies_alone(language_models: list[str]) -> None:
    flags = ["train", "train.txt", *TAGGING, "--features-from", "forward,backward"]
    done(seqlm_inside(*flags, "--epochs", "4", "--schedule", "constant", "-o", "whole"))
    done(seqlm_inside(*flags, "--epochs", "2", "--schedule", "constant", "-o", "run"))
    for name in language_models:
        shutil.rmtree(name)
    done(seqlm_inside("train", "--resume", "run", "--epochs", "4"))
    figures = [json.loads(Path(run, "metrics.jsonl").read_text().splitlines()[-1]) for run in
               ("whole", "run")]  # fmt: skip
    assert figures[0]["train_loss"] == figures[1]["train_loss"]


def test_a_run_is_removed_with_its_copies(language_models: list[str]) -> None:
    features = ["--features-from", "forward"]
    done(seqlm_inside("train", "train.txt", *TAGGING, *features, "-o", "run"))
    done(seqlm_inside("train", "train.txt", *TAGGING, "-o", "run", "--overwrite"))
    assert not Path("run/language-models").exists()
    done(seqlm_inside("train", "train.txt", *TAGGING, *features, "-o", "run", "--overwrite"))
    done(seqlm_inside("runs", "rm", "run"))
    assert not Path("run").exists()


def drop_first(folder: Path) -> None:
    shutil.rmtree(folder / "1")


def swap(folder: Path) -> None:
    (folder / "1").rename(folder / "0")
    (folder / "2").rename(folder / "1")
    (folder / "0").rename(folder / "2")


def cut_weights(folder: Path) -> None:
    (weights,) = (folder / "2").rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-8])


@pytest.mark.parametrize("damage", [drop_first, swap, cut_weights])
def test_damaged_copies_are_one_line(
    language_models: list[str], damage: Callable[[Path], None]
) -> None:
    features = ["--features-from", "forward,backward"]
    done(seqlm_inside("train", "train.txt", *TAGGING, *features, "-o", "run"))
    damage(Path("run/language-models"))
    failed = seqlm_inside("tag", "-m", "run", "plain.txt")
    assert failed.code == 4
    assert failed.out == ""
    assert "language-models" in failed.error


@pytest.mark.parametrize(
    ("given", "code", "part"),
    [
        ("nowhere", 4, "no model nowhere"),
        ("tagger", 4, "tagger, and this needs a language model"),
        ("trigram", 4, "no neural language model"),
    ],
)
def test_features_come_from_neural_language_models(
    texts: None, given: str, code: int, part: str
) -> None:
    done(seqlm_inside("train", "train.txt", *TAGGING, "-o", "tagger"))
    done(seqlm_inside("count", "plain.txt", "--smoothing", "witten-bell", "-o", "trigram"))
    flags = ["train", "train.txt", *TAGGING, "--features-from", given, "-o", "run"]
    failed = seqlm_inside(*flags)
    assert failed.code == code, failed.err
    assert part in failed.error
    assert not Path("run").exists()


# ---------------------------------------------------------------------------------- vectors


def test_words_start_from_vectors(texts: None) -> None:
    rows = ["frog 1 2 3", "heron 4 5 6", "egret 7 8 9", "the 0 1 0"]
    Path("vectors.txt").write_text("\n".join(rows) + "\n")
    flags = ["train", "train.txt", *TAGGING, "--vectors", "vectors.txt"]
    trained = done(seqlm_inside(*flags, "--vectors-training", "frozen", "-o", "run"))
    assert "vectors: of" in trained.err
    loaded = load_labeler(locate("run"))
    ids = loaded.tokenizer.id_of_type
    embedding = loaded.model.word_features.embedding
    assert embedding[ids[b"heron"]].tolist() == [4, 5, 6]
    assert embedding[ids[b"egret"]].tolist() == [7, 8, 9]  # which the text does not have
    done(seqlm_inside(*flags, "--vectors-words", "0", "-o", "tuned"))
    tuned = load_labeler(locate("tuned"))
    assert b"egret" not in tuned.tokenizer.id_of_type
    moved = tuned.model.word_features.embedding[tuned.tokenizer.id_of_type[b"heron"]]
    assert moved.tolist() != [4, 5, 6]


def test_vectors_of_another_width_are_refused(texts: None) -> None:
    Path("vectors.txt").write_text("frog 1 2 3\nheron 4 5 6\n")
    flags = ["train", "train.txt", *TAGGING, "--vectors", "vectors.txt", "--embedding", "5"]
    failed = seqlm_inside(*flags, "-o", "run")
    assert failed.code == 2
    assert failed.error.startswith("--embedding 5: the vectors are 3 wide")
    assert not Path("run").exists()


# ----------------------------------------------------------------------- what its text says


BAD_VALID = "the DT I-NP\nfrog1 NN I-NP\nsees VBD I-VP\n\ntoads UH B-VP\nlow RB I-XP\n"
"""A sentence that training has, and one with tags that it lacks, the first of them ill-formed."""


def test_training_warns_of_what_is_wrong_with_its_text(texts: None) -> None:
    words = "the DT I-NP\nfrog1 NN I-NP\nsees VBD I-VP\n\n"
    Path("train.txt").write_text(words + tagged_text(40))
    Path("bad.txt").write_text(BAD_VALID)
    flags = ["--task", "tagging", *SMALL, "--valid", "bad.txt", "--valid-metric", "loss"]
    trained = done(seqlm_inside("train", "train.txt", *flags, "-o", "run"))
    assert trained.warnings == [
        "validation text, tags of tag that are ill-formed in the scheme iob1: 1; the first is"
        " 'B-VP' in bad.txt, line 5",
        "validation text, labels of tag that the training text does not have, and no model"
        " predicts: 'B-VP' (1, bad.txt, line 5), 'I-XP' (1, bad.txt, line 6)",
        "validation text, sentences with the words of one of the training text: 1 of 2, 60.00% of"
        " the tokens; the first is bad.txt, line 1, as train.txt, line 1",
    ]
    assert "\nvalidation: 5 words, 40.00% <unk>\n" in trained.err
    resumed = done(seqlm_inside("train", "--resume", "run", "--epochs", "3", "--lr", "0.01"))
    assert resumed.warnings == []


def test_training_notes_what_may_be_wrong(texts: None) -> None:
    text = "the DT\nfrog NN\nsees VB\n\n" * 2 + "the DT\npond NN\n\n"
    Path("train.txt").write_text(text)
    trained = done(seqlm_inside("train", "train.txt", "--task", "tagging", *SMALL, "-o", "run"))
    assert trained.warnings == []
    notes = [line for line in trained.err.splitlines() if line.startswith("training text, ")]
    assert notes == [
        "training text, labels of tag with fewer than 5 examples: 'DT' (3, train.txt, line 1), 'NN'"
        " (3, train.txt, line 2), 'VB' (2, train.txt, line 3)",
        "training text, sentences with the words of an earlier one: 1 of 3, 37.50% of the tokens;"
        " the first is train.txt, line 5, as line 1",
    ]
