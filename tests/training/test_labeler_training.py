"""Runs of labelers from end to end: interrupted and resumed, from a pipe, changed and damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqlm.errors import ModelError
from seqlm.runs.loading.load_labeler import load_labeler
from seqlm.runs.loading.locate import locate
from seqlm.runs.run_folder import RunFolder
from seqlm.text.labeled.labeled_batches import LabeledBatches
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.resuming import restore_training, training_state
from seqlm.training.trainer import Trainer
from seqlm.training.training_run import reload_corpus
from tests.command import Result, seqlm_inside
from tests.contract.labelers import (
    EVERYTHING,
    WORDS_ALONE,
    LabelerInstance,
    classifier,
    random_sentences,
    tagger,
)
from tests.training.labeled_toy import make_labeler, make_task, rated_text, tagged_text
from tests.training.toy import CPU, Checkpoints, finish

SMALL = ["--width", "8", "--batch-size", "4", "--lr", "0.02", "--epochs", "2"]
TAGGING = ["--task", "tagging", "--arch", "lstm", "--embedding", "6", "--character-width", "4"]
CLASSIFICATION = ["--task", "classification", "--arch", "gru", "--embedding", "6"]

# ------------------------------------------------------------------------------------ exactness

VALID = tagged_text(9, seed=2)
OPTIONS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "crf, bioes": {
        "crf": True, "scheme": "bioes", "characters": "lstm", "dropout": 0.3, "dropout_word": 0.2,
    },
    "two columns": {"label_column": "tag,pos", "affixes": 2, "grad_accumulation": 2},
    "warmed vectors": {"vectors_training": "warmed", "arch": "gru", "dropout_weight": 0.3},
    "frozen vectors": {"vectors_training": "frozen", "average": "ema", "layers": 2},
    "transformer": {
        "arch": "transformer", "heads": 2, "layers": 1, "dropout": 0.2, "average": "last",
        "feature_column": "pos",
    },
    "window": {"arch": "ffnn", "optimizer": "sgd", "lr": 0.5, "schedule": "plateau"},
    "classification": {"task": "classification", "pooling": "attention", "dropout": 0.2},
    "convolutions": {"task": "classification", "arch": "cnn", "dropout": 0.2},
    "bag of n-grams": {"task": "classification", "arch": "bag-of-ngrams", "buckets": 100},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_a_resumed_run_is_the_unbroken_one(name: str) -> None:
    given = {"epochs": 3, "patience": None, **OPTIONS[name]}
    texts = (tagged_text(), VALID)
    if given.get("task") == "classification":
        texts = (rated_text(), rated_text(9, 2))
    made = make_task(*texts, **given)

    ends: Checkpoints = []
    finish(make_labeler(*made)[1], ends)
    _, broken = make_labeler(*made)
    checkpoints: Checkpoints = []
    finish(broken, checkpoints, stop_at=broken.total_steps // 2)
    assert not broken.progress.done
    _, resumed = make_labeler(*made)
    torch.manual_seed(99)
    restore_training(resumed, *checkpoints[-1])
    ends_again: Checkpoints = []
    finish(resumed, ends_again)
    (model, state), (model_again, state_again) = ends[-1], ends_again[-1]
    for key, tensor in (model | state.tensors).items():
        assert torch.equal(tensor, (model_again | state_again.tensors)[key]), key
    state.values["progress"]["seconds"] = state_again.values["progress"]["seconds"]
    assert state.values == state_again.values


@pytest.fixture
def texts(workplace: Path) -> Path:
    """A folder with `train` and `valid`, tagged, and `rated`."""
    Path("train").write_text(tagged_text())
    Path("valid").write_text(VALID)
    Path("rated").write_text(rated_text())
    return workplace


def weights(run: str | Path) -> dict[str, bytes]:
    """The weights and moments of the last checkpoint."""
    [folder] = {path.parent for path in Path(run).glob("steps/*/training.safetensors")}
    return {name: (folder / name).read_bytes() for name in FILES}


FILES = ("model.safetensors", "training.safetensors")


def run_to(run: str, *arguments: Any, stdin: bytes = b"") -> None:
    result = seqlm_inside("train", *arguments, "-o", run, stdin=stdin)
    assert result.code == 0, result.err


@pytest.mark.parametrize(
    "flags",
    [
        ["train", "--valid", "valid", *TAGGING, "--crf", "--scheme", "bioes"],
        ["train", "--valid-fraction", "0.2", *TAGGING, "--label-column", "tag,pos"],
        ["rated", *CLASSIFICATION, "--pooling", "mean"],
    ],
    ids=["tagging", "joint", "classification"],
)
def test_a_run_is_resumed_from_its_files(flags: list[str], texts: Path) -> None:
    small = [*SMALL[:-2], "--schedule", "constant", "--patience", "9"]
    run_to("whole", *flags, *small, "--epochs", "2")
    run_to("half", *flags, *small, "--epochs", "1")
    result = seqlm_inside("train", "--resume", "half", "--epochs", "2")
    assert result.code == 0, result.err
    ours, theirs = (RunFolder(Path(run)) for run in ("half", "whole"))
    assert weights("half")["model.safetensors"] == weights("whole")["model.safetensors"]
    losses = [[row.get("valid_loss") for row in run.read_metrics()] for run in (ours, theirs)]
    assert losses[0] == losses[1]
    loaded = load_labeler(locate("half"))
    assert loaded.labels == ours.labels
    assert not loaded.model.training


@pytest.mark.parametrize("corpus", [["-"], ["-", "more"], ["more", "-"]], ids=" ".join)
def test_text_from_a_pipe_is_kept_for_resuming(corpus: list[str], texts: Path) -> None:
    """Of each file by itself: `more` ends without a blank line, and numbers its words anew."""
    more = "# a comment\n1\ttoad\t_\tNOUN\t_\t_\t_\t_\t_\t_\n2\tsank\t_\tVERB\t_\t_\t_\t_\t_\t_\n"
    piped = more.replace("toad", "pike") + "\n" + more + "\n\n"
    Path("more").write_text(more)
    flags = [*TAGGING, *SMALL[:-2], "--schedule", "constant"]
    run_to("run", *corpus, *flags, "--epochs", "1", stdin=piped.encode())
    run_to("whole", *corpus, *flags, "--epochs", "2", stdin=piped.encode())
    Path("more").unlink()
    run = RunFolder(Path("run"))
    task, again = (reload_corpus(run, run.read_config()) for _ in range(2))
    assert task.digests() == again.digests()
    assert task.digests()["corpus"] == run.read_config().data["texts"]["corpus"]["sha256"]
    result = seqlm_inside("train", "--resume", "run", "--epochs", "2")
    assert result.code == 0, result.err
    assert weights("run")["model.safetensors"] == weights("whole")["model.safetensors"]


def test_a_table_in_two_files_from_a_pipe_has_two_headers(texts: Path) -> None:
    table = "label,text\n" + "".join(f"{n % 2},a frog{n}\n" for n in range(8))
    Path("more.csv").write_text(table)
    run_to("run", "-", "more.csv", *CLASSIFICATION, *SMALL, stdin=table.encode())
    run = RunFolder(Path("run"))
    assert run.labels is not None
    assert run.labels.labels[0].labels == ("0", "1")
    task: Any = reload_corpus(run, run.read_config())
    assert [record.tokens for record in task.train] == [["a", f"frog{n}"] for n in range(8)] * 2


def test_text_that_has_changed_is_refused(texts: Path) -> None:
    run_to("run", "train", "--valid", "valid", *TAGGING, *SMALL)
    Path("valid").write_text(VALID.replace("frog", "toad"))
    result = seqlm_inside("train", "--resume", "run", "--epochs", "3")
    assert result.code == 3
    assert result.error.endswith("valid has changed since run was begun")


# ----------------------------------------------------------------------------------- determinism


def trained(instance: LabelerInstance, threads: int, seed: int = 1) -> dict[str, Tensor]:
    """The weights and moments after a few steps on large batches, in which all words recur."""
    torch.set_num_threads(threads)
    try:
        torch.manual_seed(seed)
        network = instance.build().train()
        lengths = [3 + 7 * number % 31 for number in range(64)]
        sentences = random_sentences(network, lengths)
        settings = TrainingSettings(
            task=instance.task, arch=instance.arch, context="sentence", steps=2, lr=0.01, clip=0,
            optimizer="adagrad" if network.has_sparse_gradients else "adamw", seed=seed,
        )  # fmt: skip
        trainer = Trainer(network, LabeledBatches(sentences, 64, seed, CPU), settings, None)
        torch.manual_seed(seed)
        for _ in range(2):
            trainer.step()
        return network.state_dict() | training_state(trainer).tensors
    finally:
        torch.set_num_threads(1)


LARGE: dict[str, Any] = {"width": 32, "embedding": 32, "character_width": 32}


@pytest.mark.parametrize(
    "instance",
    [
        tagger("lstm", "crf", **LARGE, crf=True, affix_types=(5, 4), dropout_input=0.2),
        tagger("lstm", "everything", **LARGE | EVERYTHING),
        tagger("gru", **LARGE, dropout_word=0.2, dropout_weight=0.2, column_types=(3,)),
        tagger("ffnn", **LARGE),
        tagger("transformer", **LARGE, heads=4),
        classifier("lstm", "attention", **LARGE, pooling="attention"),
        classifier("gru", "last", **LARGE, pooling="last"),
        classifier("cnn", embedding=32, character_width=32),
        classifier("bag-of-ngrams", width=32, **WORDS_ALONE),
        classifier("bag-of-ngrams", "tree", width=32, hierarchical_softmax=True, **WORDS_ALONE),
    ],
    ids=str,
)
def test_training_twice_gives_equal_weights(instance: LabelerInstance) -> None:
    """Bit for bit with two threads, and up to rounding with one and with two."""
    once, again = trained(instance, 2), trained(instance, 2)
    different = [name for name, tensor in once.items() if not torch.equal(tensor, again[name])]
    assert not different, f"{len(different)} of {len(once)} tensors differ"
    alone = trained(instance, 1)
    assert alone.keys() == once.keys()
    for name, tensor in alone.items():
        if name.startswith("outputs"):
            torch.testing.assert_close(once[name], tensor, atol=1e-2, rtol=0)


def test_another_seed_gives_another_labeler() -> None:
    first, second = trained(tagger("gru", **LARGE), 1), trained(tagger("gru", **LARGE), 1, seed=2)
    assert not torch.equal(first["word_features.embedding"], second["word_features.embedding"])


# ------------------------------------------------------------------------------------- the runs


def test_a_run_has_its_labels(texts: Path) -> None:
    run_to("run", "train", "--valid", "valid", *TAGGING, *SMALL, "--crf", "--scheme", "bioes")
    run = RunFolder(Path("run"))
    assert run.labels is not None
    assert run.labels.labels[0].model_scheme == "bioes"
    config = run.read_config()
    assert (config.task, config.context) == ("tagging", "sentence")
    assert config.settings["valid_metric"] == "f1"
    assert config.model["label_types"] == [len(run.labels.labels[0].labels)]
    assert {"valid_loss", "valid_f1"} <= run.read_metrics()[-1].keys()


def spoil(change: Callable[[Any], None]) -> None:
    """Changes labels.json of the run."""
    path = Path("run/labels.json")
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def more_labels(values: Any) -> None:
    values["labels"][0]["labels"].append("X")


def fewer_labels(values: Any) -> None:
    values["labels"][0]["labels"].pop()


def another_task(values: Any) -> None:
    values["task"] = "classification"


def more_characters(values: Any) -> None:
    values["characters"].append("\u20ac")


def a_column_to_read(values: Any) -> None:
    values["features"].append({"name": "pos", "values": ["NN"]})


def affixes(values: Any) -> None:
    values["affixes"] = [["a"], ["b"]]


def no_scheme(values: Any) -> None:
    values["labels"][0]["text_scheme"] = "none"


@pytest.mark.parametrize(
    "change",
    [
        more_labels, fewer_labels, another_task, more_characters, a_column_to_read, affixes,
        no_scheme, dict.clear,
    ],
)  # fmt: skip
def test_other_labels_than_the_network_has_are_refused(
    change: Callable[[Any], None], texts: Path
) -> None:
    run_to("run", "train", *TAGGING, *SMALL[:-2], "--steps", "1")
    load_labeler(locate("run"))
    spoil(change)
    with pytest.raises(ModelError, match=r"labels") as error:
        load_labeler(locate("run"))
    assert "\n" not in str(error.value)
    result = seqlm_inside("train", "--resume", "run", "--steps", "2")
    assert result.code == 4
    assert len(result.error) < 400


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 10**5], ids=str)
def test_a_damaged_file_of_labels_is_refused(text: bytes, texts: Path) -> None:
    run_to("run", "train", *TAGGING, *SMALL[:-2], "--steps", "1")
    Path("run/labels.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"labels\.json"):
        load_labeler(locate("run"))
    Path("run/labels.json").unlink()
    with pytest.raises(ModelError):
        load_labeler(locate("run"))


def test_a_damaged_corpus_is_refused(texts: Path) -> None:
    run_to("run", "-", *TAGGING, *SMALL[:-2], "--steps", "1", stdin=tagged_text().encode())
    path = Path("run/corpus.safetensors")
    stored = load_file(path)
    run = RunFolder(Path("run"))

    def refused(tensors: dict[str, Tensor]) -> str:
        save_file(tensors, path)
        with pytest.raises(ModelError) as error:
            reload_corpus(run, run.read_config())
        return str(error.value)

    assert [*stored] == ["corpus.0"]
    [text] = stored.values()
    assert "does not hold the text of corpus" in refused({"corpus": text})
    assert "does not hold the text of corpus" in refused({**stored, "valid.0": text.clone()})
    assert "does not hold the text of corpus" in refused({"corpus.0": text.long()})
    assert "holds no labeled text" in refused({"corpus.0": text + 128})
    assert "holds no labeled text" in refused({"corpus.0": text[:0]})


def test_messages_of_the_command_spell_flags(texts: Path, seqlm: Callable[..., Result]) -> None:
    for flags, message in (
        (["--scheme", "bioes", "--label-column", "pos"], "--scheme bioes: the labels of pos are"),
        (["--label-column", "tag,tag"], "--label-column and --feature-column name tag twice"),
        (["--width", "7"], "--bidirectional needs an even --width; 7 is odd"),
    ):
        result = seqlm("train", "train", *TAGGING, *flags)
        assert result.code == 2, result.err
        assert result.error.startswith(message)
