"""Columns: names by position, separators, and labels in the place of others or behind them."""

from __future__ import annotations

import pytest

from seqlm.errors import SeqlmError
from tests.text.labeled.examples import COLUMNS, read, sentences, written


@pytest.mark.parametrize("separator", ["\t", "  "])
@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ("a", ["token"]),
        ("a X", ["token", "tag"]),
        ("a P X", ["token", "pos", "tag"]),
        ("a P C X", ["token", "pos", "chunk", "tag"]),
        ("a P C D X", ["token", None, None, None, "tag"]),
    ],
)
def test_columns_are_named_by_their_position(
    separator: str, cells: str, names: list[str | None]
) -> None:
    (record,) = sentences("tagging", "columns", cells.replace(" ", separator) + "\n")
    numbered = {str(n): [cell] for n, cell in enumerate(cells.split(), 1)}
    named = {name: [cell] for name, cell in zip(names, cells.split()) if name}
    assert record.columns == numbered | named
    assert record.tokens == ["a"]


def test_sentences_end_at_blank_lines() -> None:
    records = sentences("tagging", "columns", COLUMNS, labels_needed=True)
    assert [record.tokens for record in records] == [
        ["The", "old\u00a0pond", "froze"], ["_", "#"]
    ]  # fmt: skip
    assert [record.columns["tag"] for record in records] == [["O", "B-LOC", "O"], ["O", "O"]]
    assert [record.columns["pos"] for record in records] == [["DT", "NN", "VBD"], [":", "#"]]
    assert [record.line for record in records] == [1, 7]


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("a  X \n b   Y\n", "tag", "a  1 \n b   2\n"),
        ("a X\nb Y\n", "pos", "a X 1\nb Y 2\n"),
        ("a  X \nb Y\n", "3", "a  X 1\nb Y 2\n"),
        ("a X Z\nb Y Z\n", "pos", "a 1 Z\nb 2 Z\n"),
        ("a\tX\nb c\tY\n", "tag", "a\t1\nb c\t2\n"),
        ("a\t\nb c\tY\n", "2", "a\t1\nb c\t2\n"),
        ("a\tX\nb\tY\n", "3", "a\tX\t1\nb\tY\t2\n"),
        (" a\nb\n", "tag", "a\t1\nb\t2\n"),
    ],
)
def test_labels_replace_a_column_or_follow_the_last(text: str, column: str, expected: str) -> None:
    records = read("tagging", "columns", text)
    assert written(records, **{column: [["1", "2"]]}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n b\n", "a\tP1\tX1\nb\tP2\tX2\n"),
        ("a\tX\nb\tY\n", "a\tX1\tP1\nb\tX2\tP2\n"),
        ("a P C X\nb P C X\n", "a P1 C X1\nb P2 C X2\n"),
        ("a D E F X\nb D E F X\n", "a D E F X1 P1\nb D E F X2 P2\n"),
    ],
)
def test_two_columns_are_labeled(text: str, expected: str) -> None:
    records = read("tagging", "columns", text)
    assert written(records, pos=[["P1", "P2"]], tag=[["X1", "X2"]]) == expected


def test_a_label_with_spaces_stands_between_tabs() -> None:
    assert written(read("tagging", "columns", "a\tX\n"), tag=[["New York"]]) == "a\tNew York\n"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        (
            "a X\nb\n\n",
            "tag",
            "line 2: 1 columns, where the first token has 2; all lines of a file",
        ),
        ("a X\n\nb\tX\tY\n", "tag", "line 3: 3 columns, where"),
        (
            "-DOCSTART- X\n\na\n",
            "tag",
            "line 3: the token has no tag; it stands in a column behind",
        ),
        ("a\tX\nb\t\n", "tag", "line 2: the tag is empty"),
        ("a\tX\n\tY\n", "tag", "line 2: the token is empty"),
        (
            "a N X\n",
            "chunk",
            "no column 'chunk' (label_column); there are 1, 2, 3, token, pos, tag",
        ),
        ("a N X\n", "4", "file has no column '4' (label_column); there are 1, 2, 3, token"),
    ],
)
def test_what_is_missing_is_refused(text: str, column: str, message: str) -> None:
    with pytest.raises(SeqlmError) as error:
        read("tagging", "columns", text, labels_needed=True, label_column=column)
    assert message in str(error.value)
