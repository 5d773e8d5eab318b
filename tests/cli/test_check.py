"""`seqlm check`: the figures of a labeled text, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Result

TRAIN = """The DT B-NP
dog NN I-NP
runs VB B-VP

The DT B-NP
dog NN I-NP
runs VB B-VP

a DT B-NP
cat NN I-VP
"""
HELD_OUT = """The DT B-NP
dog NN I-NP
runs VB B-VP

an DT B-NP
owl NN B-XP
"""


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.txt").write_text(TRAIN)
    Path("valid.txt").write_text(HELD_OUT)


def figures(result: Result) -> dict[tuple[str, ...], str]:
    assert result.code == 0, result.err
    _, *rows = [line.split("\t") for line in result.out.splitlines()]
    return {tuple(row[:-1]): row[-1] for row in rows}


def test_the_figures_are_those_counted_by_hand(texts: None, seqlm: Callable[..., Result]) -> None:
    found = figures(seqlm("check", "train.txt", "--valid", "valid.txt", "--label-column", "tag"))
    expected = {
        ("train", "sentences", "", ""): "3",
        ("train", "tokens", "", ""): "8",
        ("train", "types", "", ""): "5",
        ("train", "longest", "", ""): "3",
        ("train", "duplicates", "", ""): "1",
        ("train", "conflicts", "", ""): "0",
        ("train", "labels", "tag", ""): "4",
        ("train", "scheme", "tag", ""): "iob2",
        ("train", "count", "tag", "B-NP"): "3",
        ("valid.txt", "duplicates", "", ""): "1",
        ("valid.txt", "oov-tokens", "", ""): "0.4",
        ("valid.txt", "oov-types", "", ""): "0.4",
        ("valid.txt", "new-labels", "tag", ""): "1",
    }
    assert {key: found.get(key) for key in expected} == expected


def test_what_is_wrong_is_said_with_its_first_place(
    texts: None, seqlm: Callable[..., Result]
) -> None:
    said = seqlm("check", "train.txt", "--valid", "valid.txt", "--label-column", "tag").err
    assert "train.txt, line 10" in said  # I-VP after B-NP
    assert "valid.txt, line 6" in said  # B-XP
    assert "train.txt, line 5" in said  # the sentence that comes twice


def test_json_has_an_object_for_each_figure(texts: None, seqlm: Callable[..., Result]) -> None:
    result = seqlm("check", "train.txt", "--json", "-q")
    objects = [json.loads(line) for line in result.out.splitlines()]
    assert {"text": "train", "figure": "tokens"}.items() <= objects[1].items()
    assert objects[1]["value"] == 8


def test_classes_are_counted_from_a_pipe(texts: None, seqlm: Callable[..., Result]) -> None:
    found = figures(seqlm("check", "-", stdin=b"good\ta film\nbad\ta bore\ngood\tfun\n"))
    assert found["train", "texts", "", ""] == "3"
    assert found["train", "count", "label", "good"] == "2"


@pytest.mark.parametrize(
    ("text", "flags", "code", "part"),
    [
        ("", [], 3, "empty"),
        ("The DT\ndog\n", ["--format", "columns"], 3, "line 2: 1 columns"),
        (TRAIN, ["--label-column", "nope"], 2, "no column 'nope'"),
        (TRAIN, ["--valid", "nowhere"], 3, "no file nowhere"),
    ],
)
def test_bad_text_is_one_line(
    text: str, flags: list[str], code: int, part: str, texts: None, seqlm: Callable[..., Result]
) -> None:
    Path("bad.txt").write_text(text)
    result = seqlm("check", "bad.txt", *flags)
    assert result.code == code, result.err
    assert part in result.error
    assert result.out == ""


# ------------------------------------------------------------------ several texts, and findings


def test_each_held_out_file_is_checked_for_itself(
    texts: None, seqlm: Callable[..., Result]
) -> None:
    Path("test.txt").write_text("an DT B-NP\nowl NN I-NP\n\n")
    flags = ["--valid", "valid.txt", "--valid", "test.txt", "--label-column", "tag,pos"]
    found = figures(seqlm("check", "train.txt", *flags))
    assert {text for text, *_ in found} == {"train", "valid.txt", "test.txt"}
    assert found["valid.txt", "tokens", "", ""] == "5"
    assert found["test.txt", "oov-tokens", "", ""] == "1"
    assert found["test.txt", "count", "pos", "NN"] == "1"
    assert found["train", "labels", "pos", ""] == "3"


def test_notes_are_quiet_and_warnings_are_not(texts: None, seqlm: Callable[..., Result]) -> None:
    warned = seqlm("check", "train.txt", "--valid", "valid.txt", "-q")
    assert warned.warnings == [
        "training text, tags of tag that are ill-formed in the scheme iob2: 1; the first is 'I-VP'"
        " in train.txt, line 10",
        "valid.txt, labels of tag that the training text does not have, and no model predicts:"
        " 'B-XP' (1, valid.txt, line 6)",
        "valid.txt, sentences with the words of one of the training text: 1 of 2, 60.00% of the"
        " tokens; the first is valid.txt, line 1, as train.txt, line 1",
    ]
    assert len(warned.err.splitlines()) == 3
    said = seqlm("check", "train.txt", "--valid", "valid.txt").err
    assert (
        "\ntraining text, sentences with the words of an earlier one: 1 of 3, 37.50% of the tokens;"
        " the first is train.txt, line 5, as line 1\n"
    ) in said


def test_a_good_text_says_nothing(seqlm: Callable[..., Result]) -> None:
    text = "".join(f"frog{n}_NN sings{n}_VB\n" for n in range(5))
    result = seqlm("check", stdin=text.encode())
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("text\tfigure\tcolumn\tlabel\tvalue\ntrain\tsentences\t\t\t5\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "two.txt may be columns of tagging and label-text of classification; say which by"
         " --task"),
        (["--task", "tagging", "--format", "csv"], "--format csv is no format of tagging; there are"
         " conllu, columns, word-tag, text"),
        (["--task", "lm"], "--task is 'lm'; there are tagging, classification"),
        (["--task", "tagging", "--label-column", "2,3"], "two.txt has no column '3'"
         " (--label-column); there are 1, 2, token, tag"),
        (["--task", "tagging", "--text-column", "1"], "--text-column is for csv, tsv and jsonl, and"
         " two.txt is read as columns"),
        (["--valid", "-", "-"], "- stands for standard input, which can be read once"),
        (["--valid", "train"], "--valid train: the table calls CORPUS train; write ./train"),
        (["--valid", "a", "--valid", "b", "--valid", "a"], "--valid a is given twice"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_usage_error(
    flags: list[str], message: str, seqlm: Callable[..., Result]
) -> None:
    Path("two.txt").write_text("good\twarm\nbad\tdull\n")
    result = seqlm("check", "two.txt", *flags)
    assert (result.code, result.out) == (2, "")
    assert result.error == message


@pytest.mark.parametrize("task", ["tagging", "classification"])
def test_the_task_may_be_given(task: str, seqlm: Callable[..., Result]) -> None:
    Path("two.txt").write_text("good\twarm\nbad\tdull\n")
    found = figures(seqlm("check", "two.txt", "--task", task))
    assert ("train", "sentences" if task == "tagging" else "texts", "", "") in found


def test_a_column_that_is_named_twice_is_counted_once(
    texts: None, seqlm: Callable[..., Result]
) -> None:
    once = seqlm("check", "train.txt", "--label-column", "tag,pos").out
    assert seqlm("check", "train.txt", "--label-column", "tag,pos,tag").out == once


def test_a_held_out_file_called_train_has_a_name_of_its_own(
    texts: None, seqlm: Callable[..., Result]
) -> None:
    Path("train").write_text(HELD_OUT)
    found = figures(seqlm("check", "train.txt", "--valid", "./train"))
    assert found["train", "tokens", "", ""] == "8"
    assert found["./train", "tokens", "", ""] == "5"
