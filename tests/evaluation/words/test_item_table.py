"""Tables of items: what `csv` writes is read back, and what is wrong is said with its line."""

from __future__ import annotations

import csv
import gzip
import io
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import DataError, UsageError
from seqlm.evaluation.words.item_table import read_items

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"))


def write(path: Path, rows: list[list[str]], delimiter: str) -> Path:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows(rows)
    path.write_bytes(file.getvalue().encode())
    return path


@given(
    names=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    data=st.data(),
    delimiter=st.sampled_from([("t.csv", ","), ("t.CSV", ","), ("t.tsv", "\t"), ("t", "\t")]),
)
def test_what_csv_writes_is_read_back(names, data, delimiter, tmp_path_factory):
    file, separator = delimiter
    at = data.draw(st.integers(0, len(names) - 1))
    rows = data.draw(
        st.lists(st.tuples(*(TEXTS if n == at else CELLS for n in range(len(names)))), max_size=4)
    )
    rows = [[cell.replace("\r\n", "\n") for cell in row] for row in rows if any(row)]
    names = list(dict.fromkeys(name.replace("\r\n", "\n") for name in names))
    if len(names) < len(rows[0] if rows else names):
        return
    path = write(tmp_path_factory.getbasetemp() / file, [names, *rows], separator)
    if names[0].startswith("\ufeff"):
        return  # which is the mark of the file, not a part of the name
    table = read_items(str(path), names[at])
    assert table.other_columns == names[:at] + names[at + 1 :]
    items = list(table.items)
    assert [item.text for item in items] == [row[at] for row in rows]
    assert [item.others for item in items] == [row[:at] + row[at + 1 :] for row in rows]


@given(st.binary())
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.tsv"
    path.write_bytes(b"sentence\tcondition\n" + content)
    with suppress(DataError):
        list(read_items(str(path), "sentence").items)


def test_a_mark_a_suffix_of_compression_and_blank_lines(tmp_path):
    path = tmp_path / "items.csv.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbfsentence,n\r\n"a, ""b""",1\r\n\r\nc,2\r\n'))
    table = read_items(str(path), "sentence")
    assert table.other_columns == ["n"]
    assert [(item.text, item.others, item.line) for item in table.items] == [
        ('a, "b"', ["1"], 2),
        ("c", ["2"], 4),
    ]


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("", DataError, ["is empty"]),
        ("n\tn\tsentence\n", DataError, ["line 1", "two columns", "'n'"]),
        ("sentense\tn\n", UsageError, ["no column", "did you mean 'sentense'"]),
        ("sentence\tword\n", DataError, ["line 1", "'word'", "rename"]),
        ("sentence\tn\na b\t1\na b\n", DataError, ["line 3", "1 cells", "2"]),
        ("sentence\tn\na b\t1\t2\n", DataError, ["line 2", "3 cells"]),
        ('sentence\tn\n"a\nb"\t1\n', DataError, ["line 3", "line break"]),
        ('sentence\tn\n"Yes," she said\t1\n', DataError, ["line 2", "quotation mark"]),
        ('sentence\tn\n"Yes\t1\n', DataError, ["line 2", "quotation mark"]),
        ("sentence\tn\na b\t1\n\udcff\t2\n", DataError, ["line 3", "UTF-8"]),
    ],
)
def test_what_is_wrong_is_said_with_its_line(content, error, words, tmp_path):
    path = tmp_path / "items.tsv"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(error) as raised:
        list(read_items(str(path), "sentence", reserved=["word"]).items)
    for word in ["items.tsv", *words]:
        assert word in str(raised.value)
