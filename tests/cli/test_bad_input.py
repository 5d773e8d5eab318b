"""What is wrong with a text is one clear line and exit 3 from every command that reads one."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command import Result

ARCHIVE = gzip.compress(b"a line of text\n" * 1000)

TEXTS = {
    "invalid UTF-8": (
        b"good\ncaf\xe9\n",
        "text, line 2: invalid UTF-8 at byte 8 (--errors replace",
    ),
    "truncated gz": (ARCHIVE[:-9], "text is truncated: its compressed data ends too early"),
    "sentinel": (b"a\n\nthe <s> token\n", "text, line 3: the token <s> is reserved"),
    "empty": (b"", "text"),
}
LEARNING = {
    "blank lines": (b"\n\n \n\t\r\n", "the corpus is nothing but empty lines: text"),
    "empty": (b"", "the corpus is empty: no text in text"),
}


@pytest.fixture(params=["count", "train", "eval", "valid"])
def reading(
    request: pytest.FixtureRequest, seqlm: Callable[..., Result], lstm: Path, toy: Any
) -> Callable[..., Result]:
    """Each way to give a text to a command."""
    command: list[Any] = {
        "count": ["count", "-o", "run", "--discount-fallback"],
        "train": ["train", "-o", "run", "--steps", "1", "--width", "4"],
        "valid": ["train", toy.train, "-o", "run", "--steps", "1", "--width", "4", "--valid"],
        "eval": ["eval", "-m", lstm],
    }[request.param]

    def run(*arguments: Any, **options: Any) -> Result:
        return seqlm(*command, *arguments, **options)

    return run


@pytest.mark.parametrize("kind", TEXTS)
def test_a_bad_text_is_one_line_and_no_run(kind, reading, workplace):
    text, message = TEXTS[kind]
    (workplace / "text").write_bytes(text)
    result = reading("text")
    assert (result.code, result.out) == (3, "")
    assert message in result.error
    assert {path.name for path in workplace.iterdir()} == {"text"}
    assert (workplace / "text").read_bytes() == text


@pytest.mark.parametrize("kind", LEARNING)
@pytest.mark.parametrize("command", ["count", "train"])
@pytest.mark.parametrize("tokenizer", ["word", "bpe"])
def test_there_is_nothing_to_learn_from_no_words(kind, command, tokenizer, seqlm, workplace):
    text, message = LEARNING[kind]
    if tokenizer == "bpe":
        text = text.replace(b" ", b"").replace(b"\t", b"")  # both are text for BPE
    (workplace / "text").write_bytes(text)
    result = seqlm(command, "text", "--tokenizer", tokenizer)
    assert (result.code, result.out) == (3, "")
    assert message in result.error


def test_a_missing_text_is_named_with_the_nearest(reading, workplace):
    (workplace / "corpus.txt").write_text("a\n")
    result = reading("corpus.tx")
    assert (result.code, result.out) == (3, "")
    assert result.error == "no file corpus.tx; did you mean 'corpus.txt'?"


def test_a_folder_is_no_text(reading, workplace):
    result = reading(workplace)
    assert result.code == 3
    assert result.error == f"{workplace} is a folder, not a text file"


def test_invalid_text_can_be_replaced(reading, workplace):
    (workplace / "text").write_bytes(b"caf\xe9 a b a b caf\xe9\n" * 9)
    result = reading("text", "--errors", "replace")
    assert result.code == 0, result.err
    assert "UTF-8" not in result.err


def test_stdin_is_named_as_such(seqlm, lstm):
    result = seqlm("eval", "-m", lstm, stdin=b"caf\xe9\n")
    assert (result.code, result.out) == (3, "")
    assert result.error.startswith("<stdin>, line 1: invalid UTF-8 at byte 3")


@pytest.mark.parametrize("command", [["sample", "--prompt", "-"], ["next", "-"]], ids=str)
def test_a_prompt_of_a_pipe_is_text(command, seqlm, lstm):
    result = seqlm(*command, "-m", lstm, stdin=b"the frog\ncaf\xe9\n")
    assert result.code == 3
    assert result.error == "<stdin>, line 2: invalid UTF-8 at byte 12"


@pytest.mark.parametrize(
    "command",
    [
        ["eval", "-m", "", "T"], ["eval", "-m", "M", ""], ["sample", "-m", ""],
        ["runs", "rm", "M", ""], ["runs", "slim", ""], ["runs", "diff", "M", ""],
        ["export", "-m", "", "-o", "x"], ["train", "--resume", ""], ["train", "T", "-o", ""],
        ["count", "", "T"], ["count", "T", "-o", ""], ["train", "T", "--valid", ""],
        ["translate", "-m", "M", ""], ["tag", "-m", "M", ""], ["rescore", "-m", "M", ""],
    ],
    ids=str,
)  # fmt: skip
def test_an_empty_name_names_nothing(command, seqlm, ngram, toy, workplace):
    """As where a variable of the shell is not set: `seqlm runs rm "$RUN"`."""
    names = {"T": toy.test, "M": ngram}
    result = seqlm(*(names.get(word, word) for word in command))
    assert (result.code, result.out) == (2, "")
    assert result.error.endswith(" is empty: it names nothing")
    assert (ngram / "config.yaml").exists()
    assert not list(workplace.iterdir())


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_below_the_least_is_refused(number, seqlm, ngram, toy):
    result = seqlm("eval", "-m", ngram, toy.test, "--num-threads", number)
    assert (result.code, result.out) == (2, "")
    assert result.error == f"--num-threads is {number}; it must be at least 1"


@pytest.mark.parametrize("command", ["count", "train"])
def test_a_run_is_no_standard_output(command, seqlm, toy, workplace):
    result = seqlm(command, toy.train, "-o", "-")
    assert (result.code, result.out) == (2, "")
    assert result.error == "--output is -, and a run is a folder: name one"
    assert not list(workplace.iterdir())


def test_a_text_in_the_midst_of_others_is_named(seqlm, lstm, toy, workplace):
    (workplace / "bad").write_bytes(b"\xff\n")
    result = seqlm("eval", "-m", lstm, toy.valid, "bad", toy.test)
    assert (result.code, result.out) == (3, "")
    assert result.error.startswith("bad, line 1: invalid UTF-8 at byte 0 ")


def test_a_traceback_is_shown_for_debugging_alone(seqlm, lstm):
    plain = seqlm("eval", "-m", lstm, stdin=b"\xff")
    debug = seqlm("eval", "-m", lstm, "--debug", stdin=b"\xff")
    assert "Traceback" not in plain.err
    assert "Traceback" in debug.err
    assert debug.code == plain.code == 3


def test_a_line_of_many_megabytes_is_scored(seqlm, models):
    line = b"the frog sees a heron . " * 200_000
    result = seqlm("eval", "-m", models("ngram-word"), "--json", stdin=line)
    assert result.code == 0
    assert '"tokens": 1200001, "lines": 1' in result.out


# -------------------------------------------------------------------- settings that have no effect


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--add-k", "0.5"], "--add-k"),
        (["--backoff", "--smoothing", "good-turing"], "--backoff"),
        (["--vocab", "RUN", "--tokenizer", "char"], "--tokenizer char"),
        (["--vocab", "RUN", "--normalize", "lower"], "--normalize"),
        (["--vocab", "RUN", "--min-count", "2"], "--min-count"),
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused(flags, named, ngram, toy, seqlm):
    flags = [str(ngram) if flag == "RUN" else flag for flag in flags]
    result = seqlm("count", toy.train, "-n", 2, *flags, "-o", "run")
    assert (result.code, named in result.error) == (2, True), result.err
    assert not Path("run").exists()


def test_a_vocabulary_with_its_own_kind_named_is_taken(models, toy, seqlm):
    chars = models("ngram-char")
    for flags in ([], ["--tokenizer", "char"]):
        result = seqlm("count", toy.train, "-n", 2, "--vocab", chars, *flags, "-q")
        assert result.code == 0, result.err


def test_an_empty_variable_is_none(ngram, toy, seqlm):
    text = toy.test
    expected = seqlm("eval", "-m", ngram, text).out
    empty = {"SEQLM_MODEL": "", "SEQLM_METRIC": "", "SEQLM_BATCH_SIZE": "", "SEQLM_STRIDE": ""}
    assert seqlm("eval", "-m", ngram, text, env=empty).out == expected
    assert "no --model is named" in seqlm("eval", text, env=empty).error


def test_a_variable_is_blamed_by_its_name(toy, seqlm):
    result = seqlm("train", toy.train, env={"SEQLM_LR": "abc"})
    assert (result.code, result.error) == (2, "SEQLM_LR is 'abc'; it takes a number")
