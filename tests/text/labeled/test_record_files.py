"""Files of labeled text: recognized, read record by record, refused by line, and written back."""

from __future__ import annotations

import gzip
import io
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import DataError, SeqlmError, UsageError
from seqlm.text.labeled.record import FormatOptions, Record
from seqlm.text.labeled.record_files import (
    FORMATS,
    read_plain_lines,
    read_records,
    write_record,
)
from seqlm.text.reading import BLOCK_SIZE, read_lines
from tests.text.labeled.examples import EXAMPLES, read, written

each_format = pytest.mark.parametrize(("task", "name"), EXAMPLES)


def test_there_is_an_example_of_every_format() -> None:
    assert {*EXAMPLES} == {(task, name) for task in FORMATS for name in FORMATS[task]}


# ------------------------------------------------------------------------------ reading and writing


@each_format
def test_files_come_back_byte_for_byte(task: Any, name: str, tmp_path: Path) -> None:
    text = EXAMPLES[task, name]
    (tmp_path / "plain").write_bytes(text.encode())
    (tmp_path / "packed").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    sources = [str(tmp_path / "plain"), str(tmp_path / "packed")]
    records = list(read_records(sources, task, FormatOptions(), labels_needed=False))
    assert "".join(write_record(record, {}) for record in records) == 2 * text
    assert {record.format.name for record in records} == {name}
    line = 1
    for record in records[: len(records) // 2]:
        assert (record.file, record.line) == (sources[0], line)
        line += len(record.lines)
        assert all(record.lines[place].strip() for place in record.places)


@pytest.mark.parametrize(("task", "name"), [key for key in EXAMPLES if key[1] != "text"])
def test_its_own_labels_change_nothing(task: Any, name: str) -> None:
    text = EXAMPLES[task, name]
    records = read(task, name, text)
    column = records[0].format.label_column
    gold = [labels_of(record) for record in content(records)]
    assert None not in gold
    assert written(records, **{column: gold}) == text


@each_format
def test_other_labels_stand_where_the_old_ones_stood(task: Any, name: str) -> None:
    records = read(task, name, EXAMPLES[task, name])
    labels = [
        [f"X{n}" for n in range(len(record.tokens) if task == "tagging" else 1)]
        for record in content(records)
    ]
    text = written(records, **{records[0].format.label_column: labels})
    if name == "text":
        name = {"tagging": "word-tag", "classification": "label-text"}[task]
    again = content(read(task, name, text, labels_needed=True))
    assert [labels_of(record) for record in again] == labels
    for old, new in zip(content(records), again, strict=True):
        assert new.tokens == old.tokens
        assert others(new).items() >= others(old).items()


def content(records: list[Record]) -> list[Record]:
    return [record for record in records if not record.is_blank]


def labels_of(record: Record) -> list[str] | None:
    return record.columns.get(record.format.label_column)


def others(record: Record) -> dict[str, list[str]]:
    """The columns that are not that of the labels, which has a number too."""
    labels = labels_of(record)
    return {name: values for name, values in record.columns.items() if values is not labels}


@each_format
def test_a_record_is_there_when_its_last_line_is(task: Any, name: str) -> None:
    seen = 0

    def lines() -> Iterator[str]:
        nonlocal seen
        for line in EXAMPLES[task, name].split("\n")[:-1]:
            seen += 1
            yield line

    for record in FORMATS[task][name]("file", FormatOptions(), False).read(lines()):
        assert seen == record.line - 1 + len(record.lines)


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BufferedReader(io.BytesIO(b"A_DT\r\nheron_NN"))

    monkeypatch.setattr(sys, "stdin", Stdin)
    records = list(read_records(["-"], "tagging", FormatOptions()))
    assert [record.columns["tag"] for record in records] == [["DT"], ["NN"]]
    assert records[1].file == "<stdin>"


@pytest.mark.parametrize(
    ("task", "name", "column"),
    [
        ("tagging", "ud_ewt.dev.conllu", "upos"),
        ("tagging", "conll2000.test.txt", "tag"),
        ("sentiment", "sst2.dev.tsv", "label"),
    ],
)
def test_real_text_comes_back(task: Any, name: str, column: str, data: Path) -> None:
    file = data / task / name
    if not file.exists():
        pytest.skip(f"no {file}")
    task = "classification" if task == "sentiment" else task
    records = list(read_records([str(file)], task, FormatOptions()))
    text = "".join(write_record(record, {column: record.columns[column]}) for record in records)
    assert text == file.read_text()


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """Also where a line is longer than what is read at once."""
    text = "a\r\n\u2028b\n\n" + "word\u00a0 " * (BLOCK_SIZE // 4) + "\nlast"
    (tmp_path / "file").write_bytes(text.encode())
    lines = list(read_plain_lines(str(tmp_path / "file"), "strict"))
    assert lines == list(read_lines([tmp_path / "file"])) == text.replace("\r\n", "\n").split("\n")


def test_invalid_bytes_are_refused_or_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a_X\n\xff_Y\n")
    sources = [str(tmp_path / "file")]
    with pytest.raises(DataError, match="line 2: invalid UTF-8"):
        list(read_records(sources, "tagging", FormatOptions()))
    records = list(read_records(sources, "tagging", FormatOptions(), "replace"))
    assert records[1].tokens == ["\ufffd"]


# ---------------------------------------------------------------------------------------- refusals


def refusal(task: Any, *texts: str, folder: Path, needed: bool = True, **options: str) -> str:
    """The message with which files of these texts are refused, without the folder."""
    for number, text in enumerate(texts):
        (folder / f"f{number}").write_text(text)
    sources = [str(folder / f"f{number}") for number in range(len(texts))]
    with pytest.raises(SeqlmError) as error:
        list(read_records(sources, task, FormatOptions(**options), labels_needed=needed))
    return str(error.value).replace(f"{folder}/", "")


def test_what_is_no_labeled_text_is_refused(tmp_path: Path) -> None:
    for text in ("", "\n", " \n\n"):
        for options in ({}, {"format": "columns"}):
            message = refusal("tagging", text, folder=tmp_path, **options)
            assert message == "f0 is empty: it has no labeled text"
    message = refusal("tagging", "The old pond\n", folder=tmp_path)
    assert message.startswith("f0 has labels in no format that is recognized: conllu (ten columns")
    assert message.endswith("say which by format")
    for task in FORMATS:
        message = refusal(task, "The old pond\n", folder=tmp_path, format="text")
        assert message == "f0 is read as text, which has no labels, and they are needed"


def test_files_of_two_formats_are_refused(tmp_path: Path) -> None:
    message = refusal("tagging", "a_X b_Y\n", "a X\nb Y\n\n", folder=tmp_path)
    assert message == (
        "f0 is word-tag and f1 is columns; files that are read together have one format, and"
        " format says which"
    )


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    message = refusal("tagging", "a_X\n", folder=tmp_path, format="conlu")
    assert message == "format conlu is no format of tagging; did you mean 'conllu'?"
    message = refusal("classification", "a_X\n", folder=tmp_path, format="zzz")
    assert message.endswith("there are label-text, fasttext, csv, tsv, jsonl, text")
    message = refusal("tagging", "a_X\n", folder=tmp_path, text_column="form")
    assert message == "text_column is for csv, tsv and jsonl, and f0 is read as word-tag"
    message = refusal("tagging", "a_X\n", folder=tmp_path, label_column="pos")
    assert message == "f0 has no column 'pos' (label_column); there are tag"
    message = refusal("classification", "x\ta\n", folder=tmp_path, label_column="labels")
    assert (
        message
        == "f0 has no column 'labels' (label_column); there are label; did you mean 'label'?"
    )


@pytest.mark.parametrize(
    ("task", "name", "label"),
    [
        ("tagging", "conllu", "a\tb"),
        ("tagging", "columns", "a b"),
        ("tagging", "word-tag", "a_b"),
        ("tagging", "word-tag", ""),
        ("tagging", "text", "a b"),
        ("classification", "label-text", "a\nb"),
        ("classification", "fasttext", "a b"),
        ("classification", "text", "a\tb"),
    ],
)
def test_a_label_that_would_be_read_as_another_is_not_written(
    task: Any, name: str, label: str
) -> None:
    record = content(read(task, name, EXAMPLES[task, name]))[0]
    labels = [label] * (len(record.tokens) if task == "tagging" else 1)
    with pytest.raises(DataError, match=re.escape(f"the label {label!r} cannot be written in fil")):
        write_record(record, {record.format.label_column: labels})


# ----------------------------------------------------------------------------------------- fuzzing


PIECES = [
    *"\n\t _#1\",{}\\\r\x1c\u00a0", "\n\n", "2-3", "-DOCSTART-", "__label__", '"text": ',
    "[" * 2000, "# global.columns = ID FORM",
]  # fmt: skip


def mutated(text: str, seed: int) -> str:
    """`text` with a few pieces taken out, put in, doubled or cut off."""
    rng = random.Random(seed)
    for _ in range(rng.randrange(1, 5)):
        start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        end = min(end, start + rng.choice([0, 1, 5, 50]))
        piece = rng.choice([rng.choice(PIECES), text[start:end] * 2, ""])
        text = text[:start] + piece + text[end:]
    return text


def check_reader(task: Any, name: str, text: str, needed: bool) -> None:
    """Text is refused by one of our errors, or comes back, with other labels as well."""
    try:
        records = read(task, name, f"{text}\n", labels_needed=needed)
    except (DataError, UsageError):
        return
    assert written(records) == f"{text}\n"
    rows = content(records)
    if not rows:
        return
    column = rows[0].format.label_column
    labels = [["X"] * (len(r.tokens) if task == "tagging" else 1) for r in rows]
    again = written(records, **{column: labels})
    if name != "text":
        new = content(read(task, name, again, labels_needed=True))
        assert [record.tokens for record in new] == [record.tokens for record in rows]
        assert [labels_of(record) for record in new] == labels


@each_format
@pytest.mark.parametrize("needed", [True, False])
def test_mutated_examples_are_read_or_refused(task: Any, name: str, needed: bool) -> None:
    for seed in range(300):
        check_reader(task, name, mutated(EXAMPLES[task, name], seed), needed)


@given(
    st.text(
        st.characters(exclude_categories=["Cs"]) | st.sampled_from('\n\t _,"{}:1'), max_size=40
    ),
    st.booleans(),
)
def test_any_text_is_read_or_refused(text: str, needed: bool) -> None:
    for task, name in EXAMPLES:
        check_reader(task, name, text.replace("\r\n", "\n"), needed)
