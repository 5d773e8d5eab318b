"""CSV and TSV: rows as `csv` reads them, with the label's cell replaced or added."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import SeqlmError
from tests.text.labeled.examples import EXAMPLES, read, sentences, written

CSV = EXAMPLES["classification", "csv"]
SEPARATORS = {"csv": ",", "tsv": "\t"}


def test_cells_are_read_between_quotation_marks() -> None:
    records = sentences("classification", "csv", CSV)
    assert [record.tokens for record in records] == [
        ["A", '"warm",', "funny", "film"], [], ["Not", "much"]
    ]  # fmt: skip
    assert [record.columns["label"] for record in records] == [["pos"], ["a, b"], ["neg"]]
    assert [record.line for record in records] == [1, 5, 7]
    assert [record.places for record in records] == [[2], [1], [0]]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("text,label\na,\nb,x\n", {}, 'text,label\na,1\nb,"2, ""3"""\n'),
        ("label,text\n,a\nx,\n", {}, 'label,text\n1,a\n"2, ""3""",\n'),
        ('\ntext,"a\nb"\n\na,1\nb,2\n', {}, '\ntext,"a\nb",label\n\na,1,1\nb,2,"2, ""3"""\n'),
        ("text\na\n\n\nb\n\n", {}, 'text,label\na,1\n\n\nb,"2, ""3"""\n\n'),
        ("r,s\na,b\nb,\n", {"text_column": "r", "label_column": "s"}, 'r,s\na,1\nb,"2, ""3"""\n'),
        ("r\na\nb\n", {"text_column": "r", "label_column": "s"}, 'r,s\na,1\nb,"2, ""3"""\n'),
    ],
)
def test_labels_replace_a_cell_or_make_a_column(
    text: str, options: dict[str, str], expected: str
) -> None:
    records = read("classification", "csv", text, **options)
    assert written(records, label=[["1"], ['2, "3"']]) == expected


cells = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=6)


@given(
    st.lists(st.tuples(cells, cells), min_size=1, max_size=3),
    st.lists(cells.filter(bool), min_size=3, max_size=3),
    st.sampled_from(["csv", "tsv"]),
    st.integers(0, 2),
)
def test_what_csv_writes_is_read_and_relabeled(
    others: list[tuple[str, str]], labels: list[str], name: str, label_at: int
) -> None:
    """Other cells are what they were, whatever is in them."""

    def rows(values: list[str]) -> list[list[str]]:
        with_label = [["text", "note"], *(["-" + text, note] for text, note in others)]
        for row, value in zip(with_label, ["label", *values]):
            row.insert(label_at, value)
        return with_label

    text = io.StringIO()
    csv.writer(text, delimiter=SEPARATORS[name], lineterminator="\n").writerows(rows(["old"] * 3))
    records = sentences("classification", name, text.getvalue(), labels_needed=True)
    assert [record.tokens for record in records] == [
        [word.decode() for word in f"-{text}".encode().split()] for text, _ in others
    ]
    again = io.StringIO(written(records, label=[[label] for label in labels]), newline="")
    assert list(csv.reader(again, delimiter=SEPARATORS[name])) == rows(labels)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("text,label\na\n", {}, "line 2: 1 cells, where the first row has 2; a cell with a separ"),
        ("text,label\n\na,b,c\n", {}, "line 3: 3 cells, where"),
        ('text,label\n"a\nb"c,d\n', {}, "line 3: ',' expected after '\"' (a cell that begins"),
        ('text,label\n"a\nb\n', {}, "line 3: unexpected end of data"),
        ("text,label\na,\n", {}, "line 2: the column 'label' is empty"),
        ("text,text\na,b\n", {}, "line 1: two columns are named 'text'; rename one"),
        ("review,tone\na,b\n", {}, "file has no column 'text' (text_column); there are review, to"),
        ("text,tone\na,b\n", {}, "file has no column 'label' (label_column); there are text, tone"),
        (
            "text,tone\na,b\n",
            {"label_column": "tome"},
            "there are text, tone; did you mean 'tone'?",
        ),
        ("text,label\n" + "a" * 140_000 + ",b\n", {}, "line 2: field larger than field limit"),
    ],
)
def test_what_is_no_table_is_refused(text: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(SeqlmError) as error:
        read(
            "classification", "csv", text + "\n" * (text[-1] != "\n"), labels_needed=True, **options
        )
    assert message in str(error.value)
