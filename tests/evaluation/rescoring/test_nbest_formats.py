"""N-best files: what is read of a line, and that all else comes back byte for byte."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import DataError, SeqlmError
from seqlm.evaluation.rescoring.nbest_formats import (
    Columns,
    JsonFormat,
    Line,
    MosesFormat,
    TableFormat,
    open_nbest,
)

ADDED = {"lm": -12.3456789}


def line(data: bytes | str, end: bytes = b"\n") -> Line:
    return Line(data if isinstance(data, bytes) else data.encode(), end, "lists", 3)


# -------------------------------------------------------------------------------------------- Moses


@pytest.mark.parametrize(
    ("data", "features"),
    [
        ("0 ||| a b ||| LM= -9.5 TM= -1.25 -2 ||| -12.75",
         {"LM": -9.5, "TM": -1.25, "TM.2": -2.0, "score": -12.75}),
        ("7 ||| a b ||| LM=-9.5 T=1e-3 ||| 4 ||| 0-0 1-1", {"LM": -9.5, "T": 0.001, "score": 4.0}),
        ("utt-3 |||  a b  ||| -1 -2.5", {"1": -1.0, "2": -2.5}),
        ("0 ||| a b ||| T= 1 L= 2 T= 3 4", {"T": 1.0, "L": 2.0, "T.2": 3.0, "T.3": 4.0}),
        ("x ||| a b", {}),
        ("x||| a b |||", {}),
    ],
)  # fmt: skip
def test_features_of_moses(data: str, features: dict[str, float]) -> None:
    candidate = MosesFormat().read(line(data))
    assert candidate.text == "a b"
    assert candidate.list_id == data.split("|||")[0].strip()
    assert candidate.features == features


@pytest.mark.parametrize(
    ("data", "added", "combined"),
    [
        ("0 ||| a ||| L= 1 ||| -2", "0 ||| a ||| L= 1 lm= -12.345679 ||| -2",
         "0 ||| a ||| L= 1 lm= -12.345679 ||| 5.000000"),
        ("0  |||  a b ||| L= 1  |||  -2 ||| 0-0",
         "0  |||  a b ||| L= 1 lm= -12.345679  |||  -2 ||| 0-0",
         "0  |||  a b ||| L= 1 lm= -12.345679  |||  5.000000 ||| 0-0"),
        ("0 ||| a", "0 ||| a ||| lm= -12.345679", "0 ||| a ||| lm= -12.345679 ||| 5.000000"),
        ("0 ||| ", "0 ||| ||| lm= -12.345679", "0 ||| ||| lm= -12.345679 ||| 5.000000"),
        ("0 ||| a |||  ||| 3", "0 ||| a ||| lm= -12.345679  ||| 3",
         "0 ||| a ||| lm= -12.345679  ||| 5.000000"),
    ],
)  # fmt: skip
def test_fields_are_added_to_moses(data: str, added: str, combined: str) -> None:
    for end in (b"\n", b"\r\n"):
        moses = MosesFormat()
        assert moses.with_fields(line(data, end), ADDED, None) == added.encode() + end
        assert moses.with_fields(line(data, end), ADDED, 5.0) == combined.encode() + end
        again = moses.read(line(combined))
        assert (again.features["lm"], again.features["score"]) == (-12.345679, 5.0)


words = st.text(st.characters(exclude_characters="|\n\r=", exclude_categories=["Cs"])).map(
    str.strip
)
scores = st.floats(-1e6, 1e6).map(lambda number: f"{number:.4g}")


@given(st.binary(max_size=8), words, st.lists(scores, max_size=3), scores, st.integers(0, 3))
def test_a_moses_line_comes_back_byte_for_byte(
    rest: bytes, text: str, values: list[str], score: str, spaces: int
) -> None:
    """Without what was added, the line is what it was, invalid UTF-8 behind the score included."""
    rest = re.sub(rb"[|\r\n]", b"", rest)
    parts = [b"0 ", f" {text}".encode() + b" " * spaces, f" F= {' '.join(values)}".encode()]
    data = b"|||".join([*parts, f" {score} ".encode(), rest])
    moses = MosesFormat()
    candidate = moses.read(line(data))
    assert candidate.text == text
    written = moses.with_fields(candidate.line, ADDED, None)
    assert written.count(b" lm= -12.345679") == 1
    assert written.replace(b" lm= -12.345679", b"") == data + b"\n"


# --------------------------------------------------------------------------------- tables, objects


def table(header: str = "id\ttext\tscore", **columns: str) -> TableFormat:
    return TableFormat(line(header), Columns(**columns))


def test_a_table_is_read_by_its_header() -> None:
    candidate = table("am\tutt\thyp\tnote", id="utt", text="hyp", score="am").read(
        line('-3.5\tu1\t"a ""b"""\tNA')
    )
    assert candidate[:3] == ("u1", 'a "b"', {"am": -3.5, "score": -3.5})
    assert table("text").read(line("a b"))[:3] == (None, "a b", {})


cells = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))


@given(st.lists(cells, min_size=2, max_size=5))
def test_a_row_of_a_table_comes_back_byte_for_byte(row: list[str]) -> None:
    names = ["text", *(f"column{number}" for number in range(len(row) - 1))]
    buffer = io.StringIO()
    csv.writer(buffer, csv.excel_tab, lineterminator="").writerow(row)
    format = table("\t".join(names))
    candidate = format.read(line(buffer.getvalue()))
    assert candidate.text == row[0]
    written = format.with_fields(candidate.line, ADDED, 5.0)
    assert written == buffer.getvalue().encode() + b"\t-12.345679\t5.000000\n"
    assert format.with_header(["lm", "total"]) == "\t".join([*names, "lm", "total\n"]).encode()


KEYS = st.text().filter(lambda key: key not in ("lm", "score"))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


@given(
    st.dictionaries(KEYS, json_values, max_size=4),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_an_object_comes_back_with_one_more_key(values: dict[str, object], text: str) -> None:
    values = {**values, "text": text}
    data = json.dumps(values).encode()
    format = JsonFormat(Columns())
    candidate = format.read(line(data))
    assert candidate.text == text
    written = format.with_fields(candidate.line, ADDED, None)
    assert written == data.removesuffix(b"}") + b', "lm": -12.345679}\n'
    assert json.loads(written) == json.loads(data) | {"lm": -12.345679}


def test_numbers_in_quotation_marks_are_numbers_of_an_object() -> None:
    data = '{"id": "u", "text": "a b", "score": "-1", "am": " 2e1 ", "note": "x1", "ok": true}'
    features = JsonFormat(Columns()).read(line(data)).features
    assert features == {"score": -1.0, "am": 20.0}


def test_what_is_not_finite_is_null_in_an_object() -> None:
    written = JsonFormat(Columns()).with_fields(line('{"text": "a"}'), {"lm": -math.inf}, 1.0)
    assert written == b'{"text": "a", "lm": null, "total": 1.0}\n'


# -------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["lists", "lists.gz"])
def test_the_format_is_that_of_the_first_line(name: str, tmp_path: Path) -> None:
    texts = {
        MosesFormat: "0 ||| a\n0 ||| b\n1 ||| c",
        TableFormat: "id\ttext\n0\ta\n0\tb\n1\tc\n",
        JsonFormat: '{"id": 0, "text": "a"}\n{"id": 0, "text": "b"}\n{"id": "1", "text": "c"}\n',
    }
    for format, text in texts.items():
        write = gzip.compress if name.endswith("gz") else bytes
        for mark in ("", "\ufeff"):  # of UTF-8, which is no part of the first name
            (tmp_path / name).write_bytes(write((mark + text).encode()))
            file = open_nbest(str(tmp_path / name))
            assert type(file.format) is format
            lists = list(file.lists())
            assert [[candidate.text for candidate in each] for each in lists] == [["a", "b"], ["c"]]
            assert [each[0].list_id for each in lists] == ["0", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty: there are no lists"),
        (b"0 ||| a\nb\n", "line 2: no ||| behind the number of the list"),
        (b"0 ||| a ||| L= x\n", "line 1: feature L is 'x', and no number"),
        (b"0 ||| a ||| L= 1 ||| nan\n", "line 1: the last field is 'nan', and no number"),
        (b"0 ||| \xff ||| \n", "line 1: invalid UTF-8"),
        (b"id\thyp\n", "line 1: there is no column 'text'"),
        (b"text\ta\nb\n", "line 2: 1 cells, where the header has 2"),
        (b'text\ta\n"b\tc\n', "line 2: a quotation mark is opened and not closed"),
        (b'text\ta\n"b"c\td\n', "line 2: '\t' expected after '\"'"),
        (b"text\ta\n" + b"b" * 200_000 + b"\tc\n", "line 2: field larger than field limit"),
        (b"text\ta\nb\xff\tc\n", "line 2: invalid UTF-8 (the byte 0xff)"),
        (b"text\xff\ta\nb\tc\n", "line 1: invalid UTF-8 (the byte 0xff)"),
        (b'{"text": "\xe4"}\n', "line 1: invalid UTF-8 (the byte 0xe4)"),
        ("text\ta\nb\tc\n".encode("utf-16"), "lists is UTF-16LE text, and UTF-8 is read"),
        ('{"text": "a"}\n'.encode("utf-16"), "lists is UTF-16LE text, and UTF-8 is read"),
        ("0 ||| a\n".encode("utf-32"), "lists is UTF-32LE text, and UTF-8 is read"),
        (gzip.compress(b"0 ||| a\n" * 99)[:-12], "lists is truncated"),
        (gzip.compress(b"0 ||| a\n")[:10] + b"\xff" * 9, "lists cannot be read"),
        (b"text\ta\ttext\nb\tc\td\n", "line 1: two columns are named 'text'; rename one"),
        (b"text\ta\ta\nb\tc\td\n", "line 1: two columns are named 'a'; rename one"),
        (b"0 ||| a ||| L= 1e999\n", "line 1: feature L is '1e999', and no number"),
        (b"text\tscore\na\t1e999\n", "line 2: score is '1e999', and no number"),
        (b"text\tscore\na\tb\n", "line 2: score is 'b', and no number"),
        (b'{"text": "a"}\n[1]\n', "line 2: no object with a text under 'text'"),
        (b'{"text": "a"\n', "line 1 is no JSON"),
        (b'{"text": "a", "text": "b"}\n', "line 1: the key 'text' comes twice"),
        (b'{"text": "a", "am": 1, "am": 2}\n', "line 1: the key 'am' comes twice"),
        (b'{"text": "a", "am": NaN}\n', "line 1: am is nan, and no finite number"),
        (b'{"text": "a", "am": -Infinity}\n', "line 1: am is -inf, and no finite number"),
        (b'{"text": "a", "am": 1e999}\n', "line 1: am is inf, and no finite number"),
        (b'{"text": "a", "am": 1' + b"0" * 400 + b"}\n", "line 1: am is 1000000"),
        (b'{"text": "a", "score": "x"}\n', "line 1: score is 'x', and no number"),
        (b'{"text": "a", "score": "nan"}\n', "line 1: score is 'nan', and no number"),
        (b'{"text": "a", "score": null}\n', "line 1: score is None, and no number"),
        (
            b'{"text": "a"}\n{"text": "la\\ud800"}\n',
            "line 2: the text has '\\ud800'",
        ),
        (b'{"text": ' + b"[" * 100_000 + b"\n", "line 1 is no JSON"),
        (b"0 ||| " + b"a " * 600_000, "line 1: the line is longer than 1,048,576 bytes"),
    ],
)
def test_what_is_no_list_is_refused_by_its_line(text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "lists").write_bytes(text)
    with pytest.raises(DataError) as error:
        list(open_nbest(str(tmp_path / "lists")).lists())
    assert message in str(error.value)


@given(st.binary(max_size=60), st.sampled_from(["moses", "tsv", "json"]))
def test_any_bytes_are_read_or_refused(data: bytes, name: str) -> None:
    first = b"text\tid\n" if name == "tsv" else b""
    for each in (MosesFormat(), table("text\tid"), JsonFormat(Columns())):
        try:
            candidate = each.read(line(first + data.replace(b"\n", b"")))
            each.with_fields(candidate.line, ADDED, 1.0)
        except SeqlmError:
            pass
