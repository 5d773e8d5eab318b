"""`seqlm train --task vectors`: from text to vectors in use; what is refused or damaged."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqlm.cli.commands.train import Progress
from seqlm.runs.loading.load_vectors import load_vectors
from seqlm.runs.loading.locate import locate
from seqlm.runs.run_folder import RunFolder
from tests.command import Result, seqlm_inside
from tests.contract.word_vectors import text_of_topics
from tests.runs.untrusted.fuzzer import forge_manifest

SMALL = ["--task", "vectors", "--width", "6", "--batch-size", "700", "--subsample", "0"]
FILES = ("model.safetensors", "training.safetensors")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `topics` and `valid`, which are texts, and a run of two epochs of `topics`."""
    folder: Path = tmp_path_factory.mktemp("vectors")
    (folder / "topics").write_text(text_of_topics())
    (folder / "valid").write_text(text_of_topics(100, seed=2))
    flags = [*SMALL, "--epochs", "2", "--valid", folder / "valid", "-o", folder / "run"]
    result = seqlm_inside("train", folder / "topics", *flags)
    assert result.code == 0, result.err
    return folder


@pytest.fixture
def folder(prepared: Path, workplace: Path) -> Path:
    """The current folder: a copy of the prepared one."""
    shutil.copytree(prepared, workplace, dirs_exist_ok=True)
    return workplace


def done(result: Result) -> Result:
    assert result.code == 0, result.err
    return result


def train(*arguments: Any, stdin: bytes = b"", run: str = "new") -> Result:
    return done(seqlm_inside("train", *arguments, *SMALL, "-o", run, stdin=stdin))


def weights(run: str) -> dict[str, bytes]:
    """The files of the last checkpoint."""
    [step] = {path.parent for path in Path(run).glob("steps/*/training.safetensors")}
    return {name: (step / name).read_bytes() for name in FILES}


# --------------------------------------------------------------------------------- what is printed


def test_word_vectors_say_what_they_learn_from(folder: Path) -> None:
    result = train("topics", "--epochs", "1", "--min-count", "100")
    assert result.out == "new\n"
    counts = load_vectors(locate("new")).counts
    assert counts is not None
    total = len(Path("topics").read_text().split())
    assert (
        f"\ncorpus: {total:,} words in 500 lines; {len(counts)} words have a vector,"
        f" {total - counts.sum():,} occurrences of others are left out\n"
    ) in result.err
    assert "\nskipgram: " in result.err


def test_the_loss_is_no_perplexity(folder: Path) -> None:
    result = train("topics", "--valid", "valid", "--epochs", "2")
    lines = [line for line in result.err.splitlines() if line.startswith("epoch ")]
    number = r"\d+\.\d{4}"
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(
            rf"epoch \d  step \d+  train loss {number}  valid loss {number}  \*  0:\d\d", line
        )


def test_the_nearest_words_of_some_are_shown_after_each_epoch(folder: Path) -> None:
    def remarks(*flags: str) -> list[str]:
        result = train("topics", "--epochs", "3", *flags, "--overwrite")
        return [line for line in result.err.splitlines() if line.startswith("nearest to ")]

    named = remarks("--probe", "twin1a, the")
    assert len(named) == 3
    assert all(re.fullmatch(r"nearest to twin1a: (\w+, ){3}\w+; to the: (\w+, ){3}\w+", line)
               for line in named)  # fmt: skip
    assert named[0] != named[2]
    chosen = remarks()
    words = load_vectors(locate("new")).words
    ranks = [round(len(words) ** power) for power in (0.5, 0.6, 0.7)]
    for line in chosen:
        assert re.findall(r"to (\w+): ", line) == [words[rank - 1] for rank in ranks]


@pytest.mark.parametrize(("arch", "unit"), [("cbow", "words"), ("glove", "pairs")])
def test_progress_counts_what_is_read(
    arch: str, unit: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Progress, "interval", 0.0)
    flags = ["--task", "vectors", "--arch", arch, "--width", "4", "--epochs", "1"]
    result = done(seqlm_inside("train", "topics", *flags, "--batch-size", "700", "-o", "new"))
    lines = [line for line in result.err.splitlines() if line.startswith("step ")]
    assert lines
    for line in lines:
        pattern = rf"step \d+/\d+  loss \d\.\d{{4}}  [\d,]+ {unit}/s  ETA 0:\d\d"
        assert re.fullmatch(pattern, line)
    assert RunFolder(Path("new")).read_metrics()[0]["tokens"] > 1000


def test_quiet_is_quiet(folder: Path) -> None:
    assert train("topics", "--epochs", "1", "--quiet").err == ""


# -------------------------------------------------------------------------------------- the text


def test_text_from_a_pipe(folder: Path) -> None:
    train("topics", "--epochs", "1", run="file")
    train("--epochs", "1", stdin=Path("topics").read_bytes(), run="piped")
    assert weights("piped") == weights("file")
    before = weights("piped")
    done(seqlm_inside("train", "--resume", "piped", "--epochs", "2"))
    assert weights("piped") != before


def test_a_part_is_held_out(folder: Path) -> None:
    train("topics", "--valid-fraction", "0.1", "--epochs", "1")
    [row] = RunFolder(Path("new")).read_metrics()
    assert 0 < row["valid_loss"] < row["train_loss"]
    data = RunFolder(Path("new")).read_config().data
    counts = load_vectors(locate("new")).counts
    assert counts is not None
    assert data["words"] == counts.sum() < len(Path("topics").read_text().split())


def test_words_of_another_vocabulary(folder: Path) -> None:
    """Those that the text does not have keep their first vectors."""
    Path("words").write_text("the\ntwin0a\nunseen\n")
    train("topics", "--vocab", "words", "--epochs", "1")
    loaded = load_vectors(locate("new"))
    assert loaded.words == ["the", "twin0a", "unseen"]
    assert loaded.counts is not None
    assert loaded.counts[2] == 0
    assert abs(loaded.vectors[2]).max() <= 0.5 / loaded.width


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("", [], "the corpus is empty: no text in text"),
        ("\n\n", [], "the corpus is nothing but empty lines: text"),
        ("a b\n", [], "no word of the training text is in the vocabulary: lower --min-count"),
        ("a\nb\n\na\n", ["--min-count", "1"], "no two words are in one line: there is nothing"),
        ("a b\n" * 9, ["--vocab", "words"], "is in the vocabulary: choose another --vocab"),
    ],
)
def test_a_text_with_nothing_to_learn_from(
    text: str, flags: list[str], message: str, folder: Path
) -> None:
    Path("text").write_text(text)
    Path("words").write_text("x\ny\n")
    result = seqlm_inside("train", "text", *SMALL, *flags, "-o", "new")
    assert (result.code, result.out) == (3, "")
    assert message in result.error
    assert not Path("new").exists()


def test_a_text_of_one_word(folder: Path) -> None:
    Path("text").write_text("a a a a a\n" * 9)
    train("text", "--epochs", "1")
    assert load_vectors(locate("new")).words == ["a"]


@pytest.mark.parametrize("unit", ["char", "bpe"])
def test_pieces_of_words_have_vectors_too(unit: str, folder: Path) -> None:
    size = ["--vocab-size", "280"] if unit == "bpe" else []
    train("topics", "--tokenizer", unit, *size, "--epochs", "1")
    pieces = load_vectors(locate("new")).words
    found = done(seqlm_inside("vectors", "nearest", "-m", "new", "w", "-k", "2"))
    assert "w" in pieces
    assert len(found.out.splitlines()) == 3


# --------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--precision", "bfloat16"], "word vectors are trained with --precision float32"),
        (["--average", "ema"], "word vectors are trained with --average none"),
        (["--grad-accumulation", "2"], "word vectors are trained with --grad-accumulation 1"),
        (["--weight-decay", "0.1"], "word vectors are trained with --weight-decay 0"),
        (["--clip", "1"], "--clip 1: --arch skipgram needs --clip 0"),
        (["--optimizer", "adamw"], "--optimizer adamw does not suit --arch skipgram, which needs"),
        (["--arch", "lstm"], "--arch lstm needs --task lm or "),
        (["--task", "lm", "--arch", "skipgram"], "--arch skipgram needs --task vectors"),
        (["--tied"], "--tied needs --task lm"),
        (["--layers", "2"], "--layers needs --task lm"),
        (["--direction", "backward"], "--direction needs --task lm"),
        (["--context", "sentence"], "--context needs --task lm"),
        (["--seq-length", "9"], "--seq-length needs --task lm"),
        (["--valid-metric", "loss"], "--valid-metric needs --task translation, "),
        (["--compile"], "--compile needs --task lm or translation"),
        (["--schedule", "plateau"], "--schedule plateau needs validation text"),
        (["--window", "0"], "--window is 0; it must be from 1 to 1000"),
        (["--negatives", "x"], "--negatives is 'x'; it takes a whole number"),
        (["--subsample", "2"], "--subsample is 2.0; it must be from 0 to 1"),
        (["--probe", "the,twin"], "--probe: 'twin' is no word that has a vector; did you mean"),
        (["--source", "topics"], "--source, --target and the like are for --task translation"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_suit_word_vectors_is_refused(
    flags: list[str], message: str, folder: Path
) -> None:
    result = seqlm_inside("train", "topics", *SMALL, *flags, "-o", "new")
    assert (result.code, result.out) == (2, "")
    assert result.error.startswith(message)
    assert not Path("new").exists()


def test_other_models_have_no_probe(folder: Path) -> None:
    result = seqlm_inside("train", "topics", "--probe", "the", "-o", "new")
    assert result.code == 2
    assert result.error == "--probe needs --task vectors"


# --------------------------------------------------------------------------------------- resuming


def test_a_run_goes_on_for_more_epochs(folder: Path) -> None:
    constant = ["--schedule", "constant", "--valid", "valid"]
    train("topics", *constant, "--epochs", "3", run="whole")
    train("topics", *constant, "--epochs", "1", run="half")
    assert seqlm_inside("train", "--resume", "half").error.startswith("half is finished; give more")
    result = done(seqlm_inside("train", "--resume", "half", "--epochs", "3", "--probe", "the"))
    assert weights("half")["model.safetensors"] == weights("whole")["model.safetensors"]
    rows = [[row["valid_loss"] for row in RunFolder(Path(run)).read_metrics()]
            for run in ("half", "whole")]  # fmt: skip
    assert rows[0] == rows[1]
    assert result.err.count("\nnearest to the: ") == 2


def test_a_text_that_has_changed_is_refused(folder: Path) -> None:
    train("topics", "--epochs", "1")
    Path("topics").write_text("the frog\n" * 9)
    result = seqlm_inside("train", "--resume", "new", "--epochs", "2")
    assert result.code == 3
    assert "has changed since new was begun" in result.error


@pytest.mark.parametrize(("name", "value"), [("window", 3), ("min_count", 9), ("batch_size", 5)])
def test_what_cannot_change_in_a_run(name: str, value: int, folder: Path) -> None:
    flag = "--" + name.replace("_", "-")
    result = seqlm_inside("train", "--resume", "run", "--epochs", "3", flag, value)
    assert result.code == 2
    assert result.error == f"{flag} cannot change in a resumed run"


# --------------------------------------------------------------------------------- vectors in use


def test_a_run_is_asked_for_nearest_words(folder: Path) -> None:
    found = done(seqlm_inside("vectors", "nearest", "-m", "run", "twin0a", "-k", "3"))
    assert found.out.splitlines()[0] == "query\tword\tsimilarity"
    assert len(found.out.splitlines()) == 4
    missing = seqlm_inside("vectors", "nearest", "-m", "run", "twin0")
    assert missing.code == 2
    assert missing.error.startswith("no vector of 'twin0' in run; did you mean 'twin0")


def test_a_run_is_evaluated_on_pairs(folder: Path) -> None:
    Path("pairs").write_text("twin0a twin0b 9\ntwin0a twin1b 2\nword0u word0v 8\nword0u word2v 1\n")
    result = done(seqlm_inside("eval", "-m", "run", "pairs", "--json"))
    assert json.loads(result.out)["answered"] == 4


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        (["sample"], "a language model"),
        (["next"], "a language model"),
        (["tag"], "a tagger or a classifier"),
        (["translate"], "a translator"),
        (["rescore"], "a language model"),
        (["export", "--to", "arpa", "-o", "x"], "a language model"),
    ],
    ids=lambda value: value[0],
)
def test_other_commands_refuse_it(command: list[str], needed: str, folder: Path) -> None:
    result = seqlm_inside(command[0], "-m", "run", *command[1:], stdin=b"the frog\n")
    assert (result.code, result.out) == (4, "")
    assert result.error == f"run is a set of word vectors, and this needs {needed}"


def test_runs_are_listed_and_shown(folder: Path) -> None:
    train("topics", "--epochs", "1", "--valid", "valid")
    result = done(seqlm_inside("runs", "--folder", ".", "--json", "--sort", "value"))
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert [(row["name"], row["task"], row["metric"]) for row in rows] == [
        ("run", "vectors", "loss"), ("new", "vectors", "loss"),
    ]  # fmt: skip
    losses = [row["valid_loss"] for row in RunFolder(Path("run")).read_metrics()]
    assert rows[0]["value"] == min(losses)
    shown = yaml.safe_load(done(seqlm_inside("runs", "show", "run")).out)
    assert shown["arch"] == "skipgram"
    assert shown["parameters"] == 2 * 6 * shown["vocabulary"] + shown["vocabulary"]


def test_the_readme_of_a_run_names_it(folder: Path) -> None:
    readme = Path("run/README.md").read_text()
    assert readme.startswith("# skipgram word vectors, trained by seqlm")
    assert re.search(r"- training loss \d\.\d{4} per pair\n- validation loss \d\.\d{4}\n\n", readme)
    assert "perplexity" not in readme


# -------------------------------------------------------------------------------- what is damaged


DAMAGE: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = {
    "negative counts": lambda t: {**t, "counts": -t["counts"]},
    "no counts": lambda t: {**t, "counts": t["counts"] * 0},
    "counts of fewer words": lambda t: {**t, "counts": t["counts"][1:]},
    "counts that are not whole": lambda t: {**t, "counts": t["counts"].float()},
    "NaN": lambda t: {**t, "outputs": t["outputs"] * torch.nan},
    "infinite numbers": lambda t: {**t, "inputs.table": t["inputs.table"] + torch.inf},
    "another width": lambda t: {**t, "inputs.table": t["inputs.table"][:, :3].contiguous()},
    "fewer words": lambda t: {**t, "outputs": t["outputs"][:-1]},
    "no inputs": lambda t: {name: each for name, each in t.items() if name != "inputs.table"},
    "one more tensor": lambda t: {**t, "more": t["outputs"].clone()},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_one_line(damage: str, folder: Path) -> None:
    [path] = {*Path("run").glob("steps/*/model.safetensors")} & {
        Path("run/steps") / Path("run/best").read_text().strip() / "model.safetensors"
    }
    save_file(DAMAGE[damage](load_file(path)), path)
    forge_manifest(Path("run"))
    for command in (
        ["vectors", "nearest", "-m", "run", "the"],
        ["train", "--resume", "run", "--epochs", "3"],
    ):
        result = seqlm_inside(*command)
        assert result.code == 4, command
        assert "the weights do not fit config.yaml" in result.error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"width": 10**6}}, "the weights do not fit"),
        ({"model": {"vocab_size": 3}}, "vocab_size is 3, and the tokenizer has"),
        ({"model": {"window": 0}}, "window is 0"),
        ({"model": {"negatives": "x"}}, "negatives is 'x'"),
        ({"arch": "lstm"}, "no architecture 'lstm'"),
        ({"context": "carried"}, "the context is carried, and this model has sentence"),
        ({"task": "lm"}, ""),
    ],
    ids=str,
)
def test_another_configuration_is_refused(
    change: dict[str, Any], message: str, folder: Path
) -> None:
    path = Path("run/config.yaml")
    values = yaml.safe_load(path.read_text())
    for name, value in change.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(values))
    result = seqlm_inside("vectors", "nearest", "-m", "run", "the")
    assert result.code == 4
    assert message in result.error


@pytest.mark.parametrize("words", ["x", -1.5, None, [1]])
def test_a_size_of_the_text_that_is_none_is_refused(words: Any, folder: Path) -> None:
    path = Path("run/config.yaml")
    values = yaml.safe_load(path.read_text())
    values["data"]["words"] = words
    path.write_text(yaml.safe_dump(values))
    result = seqlm_inside("train", "--resume", "run", "--epochs", "3")
    assert result.code == 4
    assert "data does not say what was trained on" in result.error
