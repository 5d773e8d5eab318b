"""`--tokenizer FILE`: counted, trained and read again with the tokens of another library."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.command import Result
from tests.conftest import Toy
from tests.text.test_pretrained_tokenizer import library, sentencepiece_model

Command = Callable[..., Result]
TEXT = "the old women sang , quietly\na frog sees älteste ponds\n" * 30


@pytest.fixture
def text(workplace: Path) -> Path:
    (workplace / "text").write_text(TEXT)
    return workplace / "text"


@pytest.fixture(params=["byte-level", "unigram", "wordpiece", "sentencepiece"])
def file(request: pytest.FixtureRequest, workplace: Path) -> Path:
    path = workplace / "made-elsewhere"
    if request.param == "sentencepiece":
        path.write_bytes(sentencepiece_model())
    else:
        path.write_text(library(request.param).to_str())
    return path


def test_a_model_is_counted_evaluated_and_sampled(file: Path, text: Path, seqlm: Command) -> None:
    made = seqlm(
        "count", "-n", 6, "--smoothing", "witten-bell", "--tokenizer", file, text, "-o", "m"
    )
    assert made.code == 0, made.err
    file.unlink()  # the run has a copy
    figures = json.loads(seqlm("eval", "-m", "m", text, "--json").out)
    assert "unit:pretrained" in figures["signature"]
    assert figures["lines"] == 60
    assert figures["bytes"] == len(TEXT.encode())
    rows = seqlm("eval", "-m", "m", "--per-token", text, "--json").out.splitlines()
    assert len(rows) == figures["tokens"]
    sample = seqlm("sample", "-m", "m", "--prompt", "the old", "--temperature", 0.01).out
    assert sample.startswith("the old women")
    smoothing = ["-n", 1, "--smoothing", "witten-bell"]
    assert seqlm("count", *smoothing, "--vocab", "m", text, "-o", "other").code == 0
    mixed = seqlm("eval", "-m", "m", "-m", "other", text)
    assert mixed.code == 0, mixed.err
    config = yaml.safe_load(Path("m/config.yaml").read_text())
    assert config["settings"]["tokenizer"] == str(file)


def test_a_network_is_trained_and_resumed(file: Path, text: Path, seqlm: Command) -> None:
    flags = ["--arch", "gru", "--width", 8, "--layers", 1, "--batch-size", 2, "--tokenizer", file]
    made = seqlm("train", text, "--valid", text, *flags, "--steps", 3, "-o", "net")
    assert made.code == 0, made.err
    assert seqlm("train", "--resume", "net", "--steps", 6).code == 0
    assert seqlm("eval", "-m", "net", text).code == 0
    again = seqlm("train", text, "--valid", text, "--config", "net/config.yaml", "-o", "again")
    assert again.code == 0, again.err


def test_a_translator_has_one(file: Path, text: Path, seqlm: Command) -> None:
    sides = ["--source", text, "--target", text]
    size = ["--width", 8, "--arch", "gru", "--steps", 3, "--tokenizer", file]
    made = seqlm("train", *sides, *size, "-o", "net")
    assert made.code == 0, made.err
    assert seqlm("translate", "-m", "net", "--align", text).out.count("\n") == 60


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--tokenizer", "wrod"], 2, "is no file; did you mean 'word'?"),
        (["--tokenizer", "text"], 3, "text is no tokenizer"),
        (["--tokenizer", "file", "--normalize", "lower"], 2, "normalization of its own"),
        (["--tokenizer", "file", "--vocab", "words"], 2, "vocabulary of its own"),
        (["--tokenizer", "file", "--vocab-size", 100], 2, "--vocab-size"),
        (["--tokenizer", "file", "--arpa", "x.arpa"], 2, "--arpa"),
    ],
)
def test_what_does_not_go_together(
    flags: list[str], code: int, message: str, text: Path, toy: Toy, seqlm: Command
) -> None:
    Path("file").write_text(library("unigram").to_str())
    Path("words").write_text("the\nold\n")
    result = seqlm("count", text, *flags)
    assert (result.code, message in result.error) == (code, True), result.err
