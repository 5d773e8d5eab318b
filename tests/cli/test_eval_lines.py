"""`eval --context`, `--per-line` and `--per-file`: a line is an item where that is wanted."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqlm as package
from tests.command import COMMAND, Result, environment, seqlm_inside
from tests.conftest import Toy

Command = Callable[..., Result]
SMALL = ["--width", 8, "--layers", 1, "--lr", 0.02, "--steps", 20]
MADE: dict[str, list[Any]] = {
    "ngram-word": ["count", "--discount-fallback"],
    "ngram-char": ["count", "--tokenizer", "char", "-n", 3],
    "lstm-word": ["train", *SMALL, "--vocab", "ngram-word"],
    "transformer-word": [
        "train", *SMALL, "--vocab", "ngram-word", "--arch", "transformer", "--heads", 2,
        "--context-length", 12, "--seq-length", 12,
    ],
    "mamba-word": ["train", *SMALL, "--arch", "mamba"],
    "lstm-bpe": ["train", *SMALL, "--tokenizer", "bpe", "--vocab-size", 300],
}  # fmt: skip
FAMILIES = [
    *([name] for name in MADE), ["lstm-word", "ngram-word"], ["transformer-word", "lstm-word"],
]  # fmt: skip
Models = Callable[[str], Path]


@pytest.fixture(scope="module")
def models(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The run of each of MADE, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("lines")

    def run_of(name: str) -> Path:
        path = folder / name
        if not path.exists():
            flags = [run_of(flag) if flag in MADE else flag for flag in MADE[name]]
            made = seqlm_inside(*flags, toy.train, "-o", path)
            assert made.code == 0, made.err
        return path

    return run_of


@pytest.fixture(params=FAMILIES, ids="+".join)
def family(request: pytest.FixtureRequest, models: Models) -> list[Any]:
    """-m of a model, or of a mixture."""
    return [flag for name in request.param for flag in ("-m", models(name))]


def rows(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out), dialect=csv.excel_tab))


# ---------------------------------------------------------------------------------------- contexts


def test_a_line_scores_the_same_wherever_it_stands(family: list[Any], seqlm: Command) -> None:
    lines = ["the old frog sees no pond .", "", "a pond", "the old frog sees no pond ."]
    Path("three").write_text("\n".join([*lines, *lines[::-1]]) + "\n")
    flags = [*family, "--context", "sentence"]
    result = seqlm("eval", *flags, "--per-line", "three")
    scores = [float(row["log_prob"]) for row in rows(result)]
    assert "lines see those before" not in result.err
    for number, line in enumerate([*lines, *lines[::-1]]):
        Path("one").write_text(line + "\n")
        alone = [float(row["log_prob"]) for row in rows(seqlm("eval", *flags, "--per-line", "one"))]
        assert alone == pytest.approx([scores[number]], rel=1e-6)
    tokens = rows(seqlm("eval", *flags, "--per-token", "three"))
    bits: dict[int, float] = {}
    for row in tokens:
        line_number = int(row["sentence_id"])
        bits[line_number] = bits.get(line_number, 0) + float(row["surprisal"])
    assert [-b * math.log(2) for b in bits.values()] == pytest.approx(scores, rel=1e-6)


def test_the_context_stands_in_the_signature(models: Models, seqlm: Command) -> None:
    Path("text").write_text("the old frog\na pond\n")
    for name, context, part in (
        ("lstm-word", "sentence", "context:sentence|"),
        ("lstm-word", "carried", "context:carried|"),
        ("transformer-word", "sentence", "context:sentence-"),
        ("transformer-word", "window", "context:window-"),
        ("ngram-word", "sentence", "context:sentence|"),
    ):
        result = seqlm("eval", "-m", models(name), "--context", context, "text")
        assert part in result.err, name
    own = seqlm("eval", "-m", models("lstm-word"), "text")
    carried = seqlm("eval", "-m", models("lstm-word"), "text", "--context", "carried")
    assert (own.out, own.err) == (carried.out, carried.err)
    fresh = seqlm("eval", "-m", models("lstm-word"), "text", "--context", "sentence")
    assert fresh.out != own.out


@pytest.mark.parametrize(
    ("name", "context", "message"),
    [
        ("lstm-word", "window", "has no context length: --context carried"),
        ("transformer-word", "carried", "reads windows: --context window"),
        ("ngram-word", "carried", "was counted line by line"),
        ("ngram-word", "window", "was counted line by line"),
        ("lstm-word", "sentnce", "sentence"),
        ("ngram-word+lstm-word", "window", "lstm-word has no context length: --context carried"),
        ("ngram-word+transformer-word", "carried", "transformer-word reads windows"),
    ],
)
def test_a_context_that_a_model_does_not_have(
    name: str, context: str, message: str, models: Models, toy: Toy, seqlm: Command
) -> None:
    flags = [flag for part in name.split("+") for flag in ("-m", models(part))]
    result = seqlm("eval", *flags, "--context", context, toy.test)
    assert (result.code, message in result.error) == (2, True), result.err


@pytest.mark.parametrize("names", [["ngram-word", "lstm-word"], ["transformer-word", "lstm-word"]])
def test_models_side_by_side_have_the_contexts_of_a_mixture(
    names: list[str], models: Models, seqlm: Command
) -> None:
    Path("text").write_text("the old frog\nthe old frog\n")
    flags = [flag for name in names for flag in ("-m", models(name))]
    each = seqlm("eval", *flags, "--each", "--per-word", "--context", "carried", "text")
    assert each.err.count("note: lines see those before them") == 1
    assert "context:carried" in each.err
    alone = rows(seqlm("eval", "-m", models("lstm-word"), "--per-word", "text"))
    assert [row["surprisal.lstm-word"] for row in rows(each)] == [r["surprisal"] for r in alone]
    fresh = seqlm("eval", *flags, "--each", "--per-word", "--context", "sentence", "text")
    assert "note:" not in fresh.err
    table = rows(fresh)
    for name in names:
        surprisals = [float(row[f"surprisal.{name}"]) for row in table]
        half = len(surprisals) // 2
        assert surprisals[:half] == pytest.approx(surprisals[half:], rel=1e-6)


@pytest.mark.parametrize("context", ["sentnce", "", "carried-window"])
def test_a_context_that_there_is_not(context: str, models: Models, toy: Toy) -> None:
    for name in ("ngram-word", "lstm-word", "transformer-word"):
        lm = package.load(models(name))
        with pytest.raises(package.UsageError, match=f"context is '{context}'; (did|there)"):
            lm.perplexity(toy.test, context=context)


def test_a_cache_starts_afresh_with_each_line(models: Models, seqlm: Command) -> None:
    Path("twice").write_text("the old frog\nthe old frog\n")
    flags = ["-m", models("ngram-word"), "--cache", 50, "--per-line", "twice"]
    first, second = rows(seqlm("eval", *flags, "--context", "sentence"))
    assert first["log_prob"] == second["log_prob"]
    first, second = rows(seqlm("eval", *flags))
    assert float(second["log_prob"]) > float(first["log_prob"])


def test_networks_that_learn_from_lines_need_them(models: Models, toy: Toy, seqlm: Command) -> None:
    for flags in (["--dynamic", 5], ["--neural-cache", 50]):
        result = seqlm("eval", "-m", models("lstm-word"), *flags, "--context", "sentence", toy.test)
        assert (result.code, "no line can learn" in result.error) == (2, True)


def test_lines_that_see_each_other_are_said_to(models: Models, toy: Toy, seqlm: Command) -> None:
    for table in ("--per-line", "--per-token", "--per-word"):
        result = seqlm("eval", "-m", models("lstm-word"), table, toy.test)
        assert result.err.count("note: lines see those before them") == 1
        result = seqlm("eval", "-m", models("ngram-word"), table, toy.test)
        assert "note:" not in result.err


def test_python_takes_a_context_too(models: Models, toy: Toy, seqlm: Command) -> None:
    lm = package.load(models("lstm-word"))
    printed = seqlm("eval", "-m", models("lstm-word"), "--context", "sentence", toy.test).out
    assert lm.perplexity(toy.test, context="sentence") == pytest.approx(float(printed), rel=1e-6)
    lines = toy.test.read_text().splitlines()
    whole = lm.evaluate(toy.test, ["cross-entropy"], context="sentence")
    total = -whole.figures["cross-entropy"] * whole.tokens
    assert total == pytest.approx(sum(lm.score(lines)), rel=1e-6)


# ---------------------------------------------------------------------------------------- per line


def test_lines_sum_to_the_text(family: list[Any], toy: Toy, seqlm: Command) -> None:
    Path("text").write_text(toy.test.read_text() + "unheard <unk> frogs\n\n")
    table = rows(seqlm("eval", *family, "--per-line", "text"))
    figures = json.loads(seqlm("eval", *family, "text", "--json").out)
    assert [row["sentence_id"] for row in table] == [str(n + 1) for n in range(len(table))]
    assert len(table) == figures["lines"]
    assert sum(int(row["tokens"]) for row in table) == figures["tokens"]
    assert sum(int(row["oov"]) for row in table) == figures["oov"]
    log_prob = sum(float(row["log_prob"]) for row in table)
    assert log_prob == pytest.approx(figures["log_prob"], rel=1e-6)
    objects = seqlm("eval", *family, "--per-line", "text", "--json").out.splitlines()
    assert [json.loads(line)["sentence_id"] for line in objects] == list(range(1, len(table) + 1))


def test_a_long_line_is_one(models: Models, seqlm: Command, monkeypatch) -> None:
    from seqlm.text import reading

    Path("text").write_text("the old frog . " * 200 + "\na pond\n")
    command = ["eval", "-m", models("ngram-word"), "--per-line", "text"]
    whole = rows(seqlm(*command))
    monkeypatch.setattr(reading, "BLOCK_SIZE", 64)
    cut = rows(seqlm(*command))
    assert len(whole) == len(cut) == 2
    assert [row["tokens"] for row in cut] == [row["tokens"] for row in whole] == ["801", "3"]
    for one, other in zip(cut, whole):
        assert float(one["log_prob"]) == pytest.approx(float(other["log_prob"]), rel=1e-6)


@pytest.mark.parametrize("table", ["--per-line", "--per-token"])
@pytest.mark.parametrize("name", ["ngram-word", "lstm-word", "transformer-word", "lstm-bpe"])
def test_a_line_is_answered_before_the_next_is_written(
    name: str, table: str, models: Models, seqlm: Command
) -> None:
    with subprocess.Popen(
        [*COMMAND, "eval", "-m", str(models(name)), table, "--json", "-q"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        answers = []
        for line in ("the old frog .", "", "a pond"):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            while table == "--per-token" and answer["token"] != "</s>":
                answer = json.loads(process.stdout.readline())
            answers.append(answer["sentence_id"])
        process.stdin.close()
        assert (answers, process.stdout.read(), process.wait()) == ([1, 2, 3], "", 0)


# ---------------------------------------------------------------------------------------- per file


def test_files_and_their_total(family: list[Any], toy: Toy, seqlm: Command) -> None:
    files = [toy.valid, toy.test]
    metrics = ["--metric", "ppl,bits-per-byte"]
    table = rows(seqlm("eval", *family, "--per-file", *files, *metrics))
    assert [row["file"] for row in table] == [*map(str, files), "total"]
    for row, texts in zip(table, [[toy.valid], [toy.test], files]):
        figures = json.loads(seqlm("eval", *family, *texts, *metrics, "--json").out)
        for name in ("ppl", "bits-per-byte", "tokens", "lines", "oov"):
            assert float(row[name]) == pytest.approx(figures[name], rel=1e-6), name


def test_an_empty_file_among_others_has_no_figures(
    models: Models, toy: Toy, seqlm: Command
) -> None:
    Path("nothing").write_text("")
    command = ["eval", "-m", models("ngram-word"), "--per-file"]
    first, empty, total = rows(seqlm(*command, toy.test, "nothing"))
    assert [*empty.values()] == ["nothing", "", "0", "0", "0"]
    assert {**first, "file": "total"} == total
    objects = seqlm(*command, "nothing", toy.test, "--json").out.splitlines()
    assert json.loads(objects[0])["ppl"] is None
    result = seqlm(*command, "nothing")
    assert (result.code, "nothing is empty" in result.error) == (3, True)


@pytest.mark.parametrize("flags", [["--dynamic", 5], ["--cache", 20]], ids=str)
def test_what_a_model_learns_ends_with_the_file(
    flags: list[Any], models: Models, toy: Toy, seqlm: Command
) -> None:
    command = ["eval", "-m", models("lstm-word"), *flags]
    table = rows(seqlm(*command, "--per-file", toy.valid, toy.test))
    for row, texts in zip(table, [[toy.valid], [toy.test], [toy.valid, toy.test]]):
        assert float(row["ppl"]) == pytest.approx(float(seqlm(*command, *texts).out), rel=1e-6)


def test_files_that_start_afresh_are_said_to(models: Models, toy: Toy, seqlm: Command) -> None:
    files = [toy.valid, toy.test]
    assert "files:2-afresh" in seqlm("eval", "-m", models("lstm-word"), *files).err
    assert "files:" not in seqlm("eval", "-m", models("lstm-word"), toy.test).err
    assert "files:" not in seqlm("eval", "-m", models("ngram-word"), *files).err


def test_tables_do_not_go_together(models: Models, toy: Toy, seqlm: Command) -> None:
    tables = ["--per-line", "--per-file", "--per-token", "--per-word"]
    for first in tables:
        for second in tables:
            if first < second:
                result = seqlm("eval", "-m", models("lstm-word"), first, second, toy.test)
                assert (result.code, "print a table each" in result.error) == (2, True)
    for table in ("--per-line", "--per-token", "--per-word"):
        result = seqlm("eval", "-m", models("lstm-word"), table, toy.test, "--metric", "ppl")
        assert (result.code, table in result.error) == (2, True)


# ---------------------------------------------------------------------------------- texts as given


def test_what_is_wrong_with_the_command_is_all_that_is_said(
    models: Models, toy: Toy, seqlm: Command
) -> None:
    for wrong in ([toy.test, "--metric", "perplexity"], ["no-such-file"], [toy.test, "missing"]):
        result = seqlm("eval", "-m", models("lstm-word"), *wrong)
        assert result.code in (2, 3)
        assert result.err.count("\n") == 1, result.err


def test_empty_lines_are_scored_and_no_line_is_not(family: list[Any], seqlm: Command) -> None:
    Path("empty").write_text("\n\n")
    Path("nothing").write_text("")
    figures = json.loads(seqlm("eval", *family, "empty", "--json").out)
    assert (figures["tokens"], figures["lines"]) == (2, 2)
    table = rows(seqlm("eval", *family, "--per-line", "empty"))
    total = sum(float(row["log_prob"]) for row in table)
    assert figures["ppl"] == pytest.approx(math.exp(-total / 2), rel=1e-6)
    result = seqlm("eval", *family, "nothing")
    assert (result.code, "nothing is empty" in result.error) == (3, True)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_wide_encodings_are_named(
    encoding: str, errors: str, models: Models, seqlm: Command
) -> None:
    mark = "\ufeff" if encoding.endswith("-be") else ""
    Path("text").write_bytes(f"{mark}the old frog\n".encode(encoding))
    result = seqlm("eval", "-m", models("ngram-word"), "--errors", errors, "text")
    assert (result.code, "iconv -f UTF-" in result.error) == (3, True)


# ------------------------------------------------------------------------------- tables of items


@pytest.mark.parametrize("each", [[], ["--each"]])
def test_items_are_scored_in_the_context_that_is_named(
    each: list[str], models: Models, seqlm: Command
) -> None:
    Path("items.tsv").write_text("id\tsentence\n1\tthe old frog\n2\tthe old frog\n")
    command = ["eval", "-m", models("lstm-word"), *each, "--per-word", "--table", "items.tsv"]
    for context, equal in ((None, True), ("sentence", True), ("carried", False)):
        flags = [] if context is None else ["--context", context]
        table = rows(seqlm(*command, *flags))
        surprisals = [float(row["surprisal"]) for row in table]
        first, second = surprisals[:4], surprisals[4:]
        assert (first == pytest.approx(second)) == equal, context
