"""Records are read back whole by the readers that users have."""

from __future__ import annotations

import csv
import io
import json

import pandas
import pytest

from seqlm.cli.records import RecordWriter

AWKWARD = ['"', '""', 'a"b', "NA", "null", "nan", "", "'", "#", ",", "\\t", "a\tb", "a\nb", "é"]


def printed(capsys: pytest.CaptureFixture[str], json: bool) -> str:
    table = RecordWriter(["word", "surprisal", "oov"], json)
    for word in AWKWARD:
        table.write((word, 0.5, 0))
    return capsys.readouterr().out


def test_csv_reads_the_table_back(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(capsys, json=False)), dialect=csv.excel_tab))
    assert [row["word"] for row in rows] == AWKWARD


def test_pandas_reads_the_table_back(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, json=False)
    table = pandas.read_csv(io.StringIO(text), sep="\t", keep_default_na=False)
    assert table.word.tolist() == AWKWARD
    assert table.surprisal.dtype == float
    assert len(pandas.read_csv(io.StringIO(text), sep="\t")) == len(AWKWARD)


def test_json_lines_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in printed(capsys, json=True).splitlines()]
    assert [row["word"] for row in rows] == AWKWARD


@pytest.mark.parametrize(
    ("value", "cell", "object_"),
    [
        (-0.0, "0", "0.0"),
        (1 / 3, "0.333333333", "0.3333333333333333"),
        (float("inf"), "inf", "null"),
        (None, "", "null"),
        (3, "3", "3"),
    ],
)
def test_numbers(
    value: float | None, cell: str, object_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    RecordWriter(["x", "y"]).write((value, ""))
    assert capsys.readouterr().out == f"x\ty\n{cell}\t\n"
    RecordWriter(["x"], json=True).write((value,))
    assert json.loads(capsys.readouterr().out)["x"] == json.loads(object_)
