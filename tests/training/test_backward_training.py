"""A model that reads backward is the one that reads the reversed lines forward."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqlm import load
from seqlm.runs.run_folder import RunFolder
from seqlm.text.tokenizer import have_equal_ids
from tests.command import Result, seqlm_inside
from tests.conftest import Toy

SMALL = ["--width", "8", "--layers", "1", "--epochs", "2", "--lr", "0.02"]


def reversed_lines(path: Path, to: Path) -> Path:
    lines = path.read_text(encoding="utf-8").splitlines()
    to.write_text("".join(" ".join(line.split()[::-1]) + "\n" for line in lines), encoding="utf-8")
    return to


@pytest.fixture(scope="module")
def runs(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs: `backward`, and `forward` on the texts whose lines are reversed."""
    folder = tmp_path_factory.mktemp("directions")
    train, valid = (reversed_lines(path, folder / path.name) for path in (toy.train, toy.valid))
    for name, files, flags in (
        ("backward", (toy.train, toy.valid), ["--direction", "backward"]),
        ("forward", (train, valid), []),
    ):
        corpus, validation = files
        result = seqlm_inside(
            "train", corpus, "--valid", validation, *SMALL, *flags, "-o", folder / name
        )
        assert result.code == 0, result.err
    return folder


def weights(run: Path) -> bytes:
    (path,) = run.glob("steps/*/model.safetensors")
    return path.read_bytes()


def test_weights_and_perplexity_are_those_of_the_reversed_text(
    runs: Path, toy: Toy, seqlm: Callable[..., Result], tmp_path: Path
) -> None:
    assert weights(runs / "backward") == weights(runs / "forward")
    losses = [
        [row["valid_loss"] for row in RunFolder(runs / name).read_metrics()]
        for name in ("backward", "forward")
    ]
    assert losses[0] == losses[1]
    test = reversed_lines(toy.test, tmp_path / "reversed")
    read_backward = seqlm("eval", "-m", runs / "backward", toy.test, "--json")
    read_forward = seqlm("eval", "-m", runs / "forward", test, "--json")
    ours, theirs = json.loads(read_backward.out), json.loads(read_forward.out)
    for name in ("ppl", "tokens", "lines", "oov"):
        assert ours[name] == theirs[name]
    assert "|direction:backward|" in ours["signature"]
    assert "direction" not in theirs["signature"]


def test_tables_have_the_tokens_as_they_are_read(runs: Path, seqlm: Callable[..., Result]) -> None:
    text = b"the old frog sees a heron\n\na pike\n"
    result = seqlm("eval", "-m", runs / "backward", "-", "--per-token", "--json", stdin=text)
    rows = [json.loads(line) for line in result.out.splitlines()]
    words = ["heron", "a", "sees", "frog", "old", "the", "</s>", "</s>", "pike", "a", "</s>"]
    assert [row["token"] for row in rows] == words
    assert [row["sentence_id"] for row in rows] == [1] * 7 + [2] + [3] * 3
    assert [(row["start"], row["end"]) for row in rows[:2]] == [(20, 25), (18, 19)]
    lines = seqlm("eval", "-m", runs / "backward", "-", "--per-line", "--json", stdin=text)
    (first, _, _) = [json.loads(line) for line in lines.out.splitlines()]
    bits = sum(row["surprisal"] for row in rows[:7])
    assert first["log_prob"] == pytest.approx(-bits * math.log(2), rel=1e-6)


def test_it_resumes_as_the_unbroken_run(runs: Path, toy: Toy, seqlm: Callable[..., Result]) -> None:
    flags = ["--direction", "backward", *SMALL, "--schedule", "constant", "--patience", "9"]
    whole = seqlm("train", toy.train, *flags, "-o", "whole")
    assert whole.code == 0, whole.err
    seqlm("train", toy.train, *flags, "--epochs", "1", "-o", "half")
    resumed = seqlm("train", "--resume", "half", "--epochs", "2")
    assert resumed.code == 0, resumed.err
    assert weights(Path("half")) == weights(Path("whole"))
    refused = seqlm("train", "--resume", "half", "--direction", "forward")
    assert "--direction cannot change in a resumed run" in refused.error


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_other_tokens_are_read_backward_too(
    kind: str, toy: Toy, seqlm: Callable[..., Result]
) -> None:
    trained = seqlm(
        "train", toy.train, "--tokenizer", kind, "--direction", "backward", "--steps", "4",
        "--width", "8", "--layers", "1", "-o", "run",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    text = "a frog sees älteste\n"
    rows = seqlm("eval", "-m", "run", "-", "--per-token", "--json", stdin=text.encode())
    places = [json.loads(line) for line in rows.out.splitlines()]
    pieces = [text[row["start"] : row["end"]] for row in reversed(places[:-1])]
    assert "".join(pieces) + "\n" == text
    assert load("run").score(text) == pytest.approx(
        -sum(row["surprisal"] for row in places) * math.log(2), rel=1e-5
    )


def test_samples_are_text_in_its_own_order(runs: Path, seqlm: Callable[..., Result]) -> None:
    def sampled(*flags: str) -> list[str]:
        result = seqlm("sample", "-m", runs / "backward", "-n", "5", "--seed", "1", *flags)
        assert result.code == 0, result.err
        return result.out.splitlines()

    mirrored = seqlm("sample", "-m", runs / "forward", "-n", "5", "--seed", "1")
    assert sampled() == [" ".join(line.split()[::-1]) for line in mirrored.out.splitlines()]
    assert all(line.endswith(" the pond .") for line in sampled("--prompt", "the pond ."))
    found = seqlm("sample", "-m", runs / "backward", "--prompt", "frog .", "--beam", "2")
    assert found.out.endswith("frog .\n")


def test_it_is_not_mixed_with_a_model_that_reads_forward(
    runs: Path, lstm: Path, toy: Toy, seqlm: Callable[..., Result]
) -> None:
    result = seqlm("eval", "-m", runs / "backward", "-m", lstm, toy.test)
    assert result.code == 4
    assert result.error.endswith("cannot be mixed: one reads lines backward, the other forward")
    alone = seqlm("eval", "-m", runs / "backward", toy.test)
    together = seqlm("eval", "-m", runs / "backward", "-m", runs / "backward", toy.test)
    assert float(together.out) == pytest.approx(float(alone.out), rel=1e-5)


def test_hypotheses_are_scored_as_lines(runs: Path, workplace: Path) -> None:
    texts = ["the frog sees a heron .", "the heron sees a frog ."]
    Path("nbest").write_text("".join(f"0 ||| {text} ||| tm= 0 ||| 0\n" for text in texts))
    scored = load(runs / "backward").rescore("nbest")
    found = [each.lm for hypotheses in scored for each in hypotheses]
    assert found == pytest.approx(load(runs / "backward").score(texts), rel=1e-6)
    assert found == pytest.approx(
        load(runs / "forward").score([" ".join(text.split()[::-1]) for text in texts]), rel=1e-6
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["next", "the old"], "a history reads from left to right, and this model was trained"),
        (["eval", "-", "--per-word"], "--per-word reads from left to right, and this model was"),
    ],
)
def test_what_reads_from_left_to_right_refuses_it(command, message, runs, seqlm) -> None:
    result = seqlm(*command, "-m", runs / "backward", stdin=b"the old frog\n")
    assert result.code == 2
    assert result.error.startswith(message)


def test_a_transformer_that_reads_backward_is_not_exported(toy, seqlm) -> None:
    trained = seqlm(
        "train", toy.train, "--arch", "transformer", "--direction", "backward", "--steps", "1",
        "--width", "8", "--layers", "1", "--heads", "2", "-o", "run",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    result = seqlm("export", "-m", "run", "--to", "hf", "-o", "hf")
    assert result.error.startswith("a model of the transformers library reads from left to right")
    assert not Path("hf").exists()


def test_its_vocabulary_is_taken_without_its_direction(
    runs: Path, toy: Toy, seqlm: Callable[..., Result]
) -> None:
    own = RunFolder(runs / "backward").tokenizer
    seqlm("train", toy.train, "--vocab", runs / "backward", *SMALL[:4], "--steps", "1", "-o", "run")
    seqlm("count", toy.train, "--vocab", runs / "backward", "-o", "counted")
    for name in ("run", "counted"):
        tokenizer = RunFolder(Path(name)).tokenizer
        assert have_equal_ids(tokenizer, own.in_direction("forward"))
    flags = ["--direction", "backward", "--vocab", "counted", "--steps", "1"]
    seqlm("train", toy.train, *SMALL[:4], *flags, "-o", "again")
    assert have_equal_ids(RunFolder(Path("again")).tokenizer, own)


def test_features_are_those_of_the_text_as_it_is_read(runs: Path) -> None:
    found = load(runs / "backward").embed("the old frog")
    wanted = load(runs / "forward").embed("frog old the")
    np.testing.assert_array_equal(found, wanted)
