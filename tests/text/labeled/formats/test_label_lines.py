"""Texts on lines, with their labels before a tab or marked as fastText marks them."""

from __future__ import annotations

import pytest

from seqlm.errors import DataError
from tests.text.labeled.examples import read, sentences, written


def test_a_label_stands_before_the_first_tab() -> None:
    first, second = sentences("classification", "label-text", "very good\tA\u00a0b  c\td\n\n1\t\n")
    assert (first.tokens, first.columns) == (["A\u00a0b", "c", "d"], {"label": ["very good"]})
    assert (second.tokens, second.columns, second.line) == ([], {"label": ["1"]}, 3)
    records = read("classification", "label-text", "x\ta \tb\n\n\tc\n")
    assert records[2].columns == {}
    assert written(records, label=[["1"], ["2"]]) == "1\ta \tb\n\n2\tc\n"


@pytest.mark.parametrize(
    ("line", "tokens", "label", "relabeled"),
    [
        ("__label__x A film", ["A", "film"], "x", "__label__1 A film"),
        (" A film  __label__x,y ", ["A", "film"], "x,y", " A film  __label__1 "),
        ("A film", ["A", "film"], None, "__label__1 A film"),
        ("a__label__x b", ["a__label__x", "b"], None, "__label__1 a__label__x b"),
        ("__label__x", [], "x", "__label__1"),
    ],
)
def test_a_label_is_a_word_of_fasttext(
    line: str, tokens: list[str], label: str | None, relabeled: str
) -> None:
    (record,) = sentences("classification", "fasttext", f"{line}\n")
    assert record.tokens == tokens
    assert record.columns == ({} if label is None else {"label": [label]})
    assert written([record], label=[["1"]]) == f"{relabeled}\n"


def test_texts_are_written_with_labels() -> None:
    records = read("classification", "text", " A film\n\nNo\n")
    assert [record.columns for record in records] == [{}, {}, {}]
    assert written(records, label=[["pos"], ["neg"]]) == "pos\t A film\n\nneg\tNo\n"


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("label-text", "A film", "line 2: no tab between the label and the text"),
        ("label-text", "\tA film", "line 2: the text has no label; it stands before the tab"),
        ("fasttext", "A film", "line 2: the text has no label, as in `__label__positive A warm"),
        ("fasttext", "__label__ A film", "line 2: the text has no label"),
        ("fasttext", "__label__a __label__b A", "line 2: 2 labels; one label of a text is read"),
    ],
)
def test_a_line_without_one_label_is_refused(name: str, line: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        read("classification", name, f"\n{line}\n", labels_needed=True)
    assert message in str(error.value)
