"""The texts of a check: their task and format, recognized by the first file."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.labeling.checked_texts import DISTINCT, read_labeled_texts, recognize_task
from seqlm.text.labeled.record import FormatOptions
from tests.text.labeled.examples import EXAMPLES

LABELED = {key: text for key, text in EXAMPLES.items() if key[1] in DISTINCT}
COLUMNS = "a\tDT\nfrog\tNN\n\nfrogs\tNN\nsing\tVB\n"
TEXTS = "good\ta warm film\nbad\ta dull one\nbad\tdull\n"


@pytest.mark.parametrize(("task", "name"), LABELED)
def test_a_distinct_format_tells_the_task(task: str, name: str) -> None:
    assert recognize_task(LABELED[task, name].split("\n")[:-1], "file") == task


@pytest.mark.parametrize(
    ("text", "task"),
    [
        (COLUMNS, "tagging"),
        (COLUMNS.replace("\t", " "), "tagging"),
        ("Rockwell\tNNP\tB-NP\nsaid\tVBD\tB-VP\n\nit\tPRP\tB-NP\n", "tagging"),
        (TEXTS, "classification"),
        (f"\n{TEXTS}\n\n", "classification"),
        ("text\tlabel\na warm film\tgood\n", "classification"),
        ("a_warm,b_film\nc_d,e_f\n", "tagging"),
    ],
)
def test_texts_that_look_alike_are_told_apart(text: str, task: str) -> None:
    assert recognize_task(text.split("\n")[:-1], "file") == task


@pytest.mark.parametrize("text", ["good\twarm\nbad\tdull\nbad\tlong\n", f"{TEXTS}\n{TEXTS}"])
def test_a_text_of_two_tasks_is_not_guessed(text: str) -> None:
    message = "file may be columns of tagging and label-text of classification; say which by task"
    with pytest.raises(UsageError, match=message):
        recognize_task(text.split("\n")[:-1], "file")


@pytest.mark.parametrize(
    ("text", "message"),
    [("\n \n", "file is empty"), ("a frog\nsings\nin a pond\n", "no format that is recognized")],
)
def test_a_text_without_labels_is_bad_data(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        recognize_task(text.split("\n")[:-1], "file")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "one": COLUMNS,
        "two": "no\tDT\n\n\npond\tNN\n",
        "films": TEXTS,
        "ponds": EXAMPLES["tagging", "conllu"],
    }.items():
        Path(name).write_text(text)


def test_files_are_read_as_the_first_one(files: None) -> None:
    texts = read_labeled_texts(["one", "two"], ["two", "one"], None, FormatOptions())
    assert texts.task == "tagging"
    tokens = [record.tokens for record in texts.train]
    assert tokens == [["a", "frog"], ["frogs", "sing"], ["no"], ["pond"]]
    assert {name: len(records) for name, records in texts.held_out.items()} == {"two": 2, "one": 2}
    lines = [record.line + record.places[0] for record in texts.held_out["two"]]
    assert lines == [1, 4]


def test_a_task_or_a_format_may_be_given(files: None) -> None:
    assert len(read_labeled_texts(["films"], [], "classification", FormatOptions()).train) == 3
    texts = read_labeled_texts(["one"], [], None, FormatOptions("columns"))
    assert (texts.task, len(texts.train)) == ("tagging", 2)
    assert read_labeled_texts(["films"], [], None, FormatOptions("label-text")).task == (
        "classification"
    )
    with pytest.raises(UsageError, match="format csv is no format of tagging"):
        read_labeled_texts(["one"], [], "tagging", FormatOptions("csv"))


def test_a_file_of_another_format_is_bad_data(files: None) -> None:
    with pytest.raises(DataError, match="films, line 1: 2 columns, where conllu has 10"):
        read_labeled_texts(["ponds", "films"], [], None, FormatOptions())
