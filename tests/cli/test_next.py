"""`seqlm next`: the distribution of the next token, as a table, as JSON lines, and in a pipe."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.command import COMMAND, Result, environment, seqlm_inside

HERD = ["corn"] * 4 + ["grass"] * 3 + ["hay"] * 2 + ["apples", "nothing"]


def rows_of(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out), dialect=csv.excel_tab))


@pytest.fixture
def rows(seqlm: Callable[..., Result]) -> Callable[..., list[dict[str, str]]]:
    """The table that `seqlm next -m` prints."""
    return lambda model, *flags, **options: rows_of(seqlm("next", "-m", model, *flags, **options))


@pytest.fixture(scope="module")
def cows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without smoothing of eleven sentences, with their counts beside it."""
    folder = tmp_path_factory.mktemp("cows")
    (folder / "text").write_text("".join(f"cows eat {food}\n" for food in HERD))
    flags = ["--order", 3, "--smoothing", "mle", "--write-counts", folder / "counts"]
    result = seqlm_inside("count", folder / "text", *flags, "-o", folder / "run")
    assert result.code == 0, result.err
    return folder / "run"


# ------------------------------------------------------------------------------------------- counts


def test_counts_are_fractions_as_a_lecture_prints_them(cows, rows):
    found = rows(cows, "cows eat", "-n", 5)
    fractions = [(row["token"], row["counts"], row["order"]) for row in found]
    assert fractions == [
        ("corn", "4/11", "3"),
        ("grass", "3/11", "3"),
        ("hay", "2/11", "3"),
        ("apples", "1/11", "3"),
        ("nothing", "1/11", "3"),
    ]
    for row in found:
        count, total = map(int, row["counts"].split("/"))
        assert float(row["probability"]) == pytest.approx(count / total, abs=1e-7)
        assert float(row["surprisal"]) == pytest.approx(-math.log2(count / total), abs=1e-6)
    assert [row["cumulative"] for row in found][-1] == "1"
    assert [row["rank"] for row in found] == ["1", "2", "3", "4", "4"]
    assert {row["entropy"] for row in found} == {"2.11807821"}


def test_a_word_that_never_follows_has_a_count_of_0(cows, rows):
    found = rows(cows, "cows eat", "--words", "corn cows </s>")
    assert [row["token"] for row in found] == ["corn", "cows", "</s>"]
    assert [row["counts"] for row in found] == ["4/11", "0/11", "0/11"]
    assert [row["probability"] for row in found[1:]] == ["0", "0"]
    assert [row["surprisal"] for row in found[1:]] == ["inf", "inf"]


def test_without_the_text_counts_come_from_a_count_file(cows, rows, seqlm, workplace):
    result = seqlm("export", "-m", cows, "--to", "arpa", "-o", "cows.arpa")
    assert result.code == 0
    (without,) = rows("cows.arpa", "cows eat", "-n", 1)
    assert (without["counts"], without["order"]) == ("", "3")
    (beside,) = rows("cows.arpa", "cows eat", "-n", 1, "--counts", cows.parent / "counts")
    assert (beside["counts"], beside["token"]) == ("4/11", "corn")


# ------------------------------------------------------------------------------------- every family


def test_the_surprisal_is_that_of_eval(family, rows, seqlm, toy):
    text = "the frog sees"
    tokens = rows_of(seqlm("eval", "-m", family, "--per-token", stdin=f"{text}\n".encode()))
    for token in [*tokens[:3], tokens[-1]]:
        history = text[: int(token["start"])]
        history = history.rstrip() if "word" in str(family) else history
        found = rows(family, history, "-n", 100000)
        (row,) = [row for row in found if row["token"] == token["token"]]
        assert float(row["surprisal"]) == pytest.approx(float(token["surprisal"]), abs=2e-4)
        assert row["order"] == token["order"]
        assert sum(float(row["probability"]) for row in found) == pytest.approx(1, abs=1e-4)


def test_a_mixture_has_the_mean_of_its_models(models, rows, seqlm, toy, tmp_path):
    ngram = models("ngram-word")
    flags = ["--arch", "gru", "--width", "8", "--layers", "1", "--steps", "5", "--vocab", ngram]
    assert seqlm("train", toy.train, *flags, "-o", "gru").code == 0
    both = rows(ngram, "the", "-m", "gru", "--mix", "0.3,0.7", "-n", 100000)
    alone = [
        {row["token"]: float(row["probability"]) for row in rows(model, "the", "-n", 100000)}
        for model in (ngram, "gru")
    ]
    for row in both:
        p, q = (of_one[row["token"]] for of_one in alone)
        assert float(row["probability"]) == pytest.approx(0.3 * p + 0.7 * q, abs=1e-6)
        assert (row["order"], row["counts"]) == ("", "")


# -------------------------------------------------------------------------------------------- pipes


def test_each_line_of_a_pipe_is_a_history(ngram, rows):
    lines = ["the frog", "", "the"]
    found = rows(ngram, "-n", 2, stdin="".join(f"{line}\n" for line in lines).encode())
    assert [row["history_id"] for row in found] == ["1", "1", "2", "2", "3", "3"]
    for number, line in enumerate(lines):
        alone = rows(ngram, line, "-n", 2)
        together = found[2 * number : 2 * number + 2]
        assert [row | {"history_id": "1"} for row in together] == alone


@pytest.mark.parametrize("name", ["ngram-word", "lstm-word", "transformer-char"])
def test_the_first_answer_comes_before_the_second_line_is_written(name, models):
    command = [*COMMAND, "next", "-m", str(models(name)), "-n", "1", "--json", "-q"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in (b"the\n", b"the frog\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["history"] == line.decode().strip()
        process.stdin.close()
    assert process.returncode == 0


def test_json_has_an_object_for_each_history(cows, seqlm):
    result = seqlm("next", "-m", cows, "--json", "-n", 1, stdin=b"cows eat\ncows eat hay\n")
    first, second = map(json.loads, result.out.splitlines())
    assert first == {
        "history": "cows eat",
        "entropy": pytest.approx(2.118078206),
        "history_count": 11,
        "tokens": [
            {
                "token": "corn",
                "probability": pytest.approx(4 / 11),
                "surprisal": pytest.approx(math.log2(11 / 4)),
                "rank": 1,
                "cumulative": pytest.approx(4 / 11),
                "oov": 0,
                "order": 3,
                "count": 4,
            }
        ],
    }
    assert (second["entropy"], second["tokens"][0]["token"]) == (0, "</s>")
    result = seqlm("next", "-m", cows, "cows", "--json", "--words", "hay", "--cache", 5)
    (word,) = json.loads(result.out)["tokens"]
    assert set(word) == {"token", "probability", "surprisal", "rank", "cumulative", "oov"}
    result = seqlm("next", "-m", cows, "cows", "--json", "--words", "hay")
    assert json.loads(result.out)["tokens"][0]["surprisal"] is None  # -log2 0


# ----------------------------------------------------------------------------------------- messages


def said(result: Result) -> Sequence[str]:
    assert result.code == 0, result.err
    return result.warnings


def test_words_that_the_model_does_not_know_are_said(cows, seqlm):
    assert said(seqlm("next", "-m", cows, "blue cows eat")) == [
        "the history: the model does not know 'blue' and reads <unk>"
    ]
    assert said(seqlm("next", "-m", cows, stdin=b"cows\nred or blue\n")) == [
        "history 2: the model does not know 'red', 'or', 'blue' and reads <unk>"
    ]
    result = seqlm("next", "-m", cows, "cows", "--words", "eat ate <unk>")
    assert said(result) == ["the model does not know 'ate': its figures are those of <unk>"]
    assert [row["oov"] for row in rows_of(result)] == ["0", "1", "1"]


def test_scores_that_are_no_probabilities_have_no_entropy(seqlm, toy):
    flags = ["--order", 2, "--smoothing", "stupid-backoff", "-o", "scores"]
    assert seqlm("count", toy.train, *flags).code == 0
    result = seqlm("next", "-m", "scores", "the", "--json")
    assert any("scores, not probabilities" in warning for warning in said(result))
    assert "entropy" not in json.loads(result.out)


def test_a_line_without_end_is_refused(ngram, seqlm):
    result = seqlm("next", "-m", ngram, "-n", 1, stdin=b"the\n" + b"frog " * 300_000)
    assert result.code == 3
    assert (
        result.error == "<stdin>, line 2: the line is longer than 1,048,576 bytes, and is not read"
    )
    assert len(result.out.splitlines()) == 2  # the header, and the answer to the first line


def test_a_boundary_in_a_history_is_refused(ngram, seqlm):
    result = seqlm("next", "-m", ngram, "the </s> frog")
    assert result.code == 3
    assert "the history, line 1: the token </s> is reserved" in result.error
    result = seqlm("next", "-m", ngram, "-n", 1, stdin=b"the\nthe <s>\n")
    assert "<stdin>, line 2: the token <s> is reserved" in result.error


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["the", "-n", "0"], 2, "--num-tokens is 0; it must be at least 1"),
        (["the", "--words", "the <s>"], 3, "--words: the token <s> is reserved"),
        (["the", "--words", ""], 2, "--words has no words"),
        (["the", "--words", " "], 2, "--words has no words"),
        (["the", "--counts", "nowhere"], 3, "no file nowhere"),
        (["the", "--counts", "c", "--cache", "5"], 2, "--counts is for one n-gram model"),
        (["the", "--cache-decay", "5"], 2, "--cache-decay has no effect without --cache"),
    ],
)
def test_mistakes_are_said(flags: Any, code: int, message: str, ngram, seqlm):
    result = seqlm("next", "-m", ngram, *flags)
    assert (result.code, result.out) == (code, "")
    assert message in result.error
