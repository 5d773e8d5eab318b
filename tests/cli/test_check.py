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
