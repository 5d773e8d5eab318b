"""Tables of classes, confusions and errors, of a text small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.evaluation.labeling.label_counts import count_labels
from seqlm.evaluation.labeling.label_tables import (
    LabelError,
    class_table,
    confusion_matrix,
    first_errors,
)

TOKENS, GOLD, PREDICTED = (
    [sentence.split() for sentence in sentences]
    for sentences in (
        ("the old heron waits by the pond", "it rains"),
        ("DT JJ NN VB IN DT NN", "PR VB"),
        ("DT NN NN NN IN DT NN", "PR NN"),
    )
)


def test_classes_are_ordered_by_how_many_there_are() -> None:
    table = class_table(*count_labels(GOLD, PREDICTED, "none"))
    assert [row[:4] for row in table] == [
        ("DT", 2, 2, 2), ("NN", 2, 5, 2), ("VB", 2, 0, 0),
        ("IN", 1, 1, 1), ("JJ", 1, 0, 0), ("PR", 1, 1, 1),
    ]  # fmt: skip
    assert table[1][4:] == pytest.approx((2 / 5, 1, 4 / 7))
    assert table[2][4:] == (0, 0, 0)


def test_kinds_of_spans_have_a_table_too() -> None:
    [row] = class_table(*count_labels([["B-X", "I-X", "O"]], [["B-X", "I-X", "B-X"]], "iob2"))
    assert row == pytest.approx(("X", 1, 2, 1, 0.5, 1, 2 / 3))


def test_confusions_are_ordered_by_how_often_they_happen() -> None:
    matrix = confusion_matrix(GOLD, PREDICTED)
    assert matrix.labels == ["DT", "NN", "VB", "IN", "JJ", "PR"]
    assert matrix.counts.sum() == 9
    assert matrix.counts[2].tolist() == [0, 2, 0, 0, 0, 0]
    assert matrix.confusions() == [("VB", "NN", 2), ("JJ", "NN", 1)]
    assert matrix.agreements() == [
        ("DT", "DT", 2),
        ("NN", "NN", 2),
        ("IN", "IN", 1),
        ("PR", "PR", 1),
    ]


@given(st.lists(st.tuples(*[st.sampled_from("abcd")] * 2), max_size=20))
def test_a_matrix_is_the_counts_of_pairs(pairs: list[tuple[str, str]]) -> None:
    gold, predicted = [[theirs] for theirs, _ in pairs], [[ours] for _, ours in pairs]
    matrix = confusion_matrix(gold, predicted)
    expected = [[pairs.count((a, b)) for b in matrix.labels] for a in matrix.labels]
    assert np.array_equal(matrix.counts, np.array(expected).reshape(matrix.counts.shape))
    assert {*matrix.labels} == {label for pair in pairs for label in pair}
    errors = sum(each.times for each in matrix.confusions())
    assert errors == sum(theirs != ours for theirs, ours in pairs)


def test_errors_are_shown_between_their_neighbors() -> None:
    lines = [[*range(1, 8)], [9, 10]]
    found = first_errors(TOKENS, GOLD, PREDICTED, lines, most=2)
    assert found == [
        LabelError(1, 2, 2, "old", "JJ", "NN", "the", "heron waits by the"),
        LabelError(1, 4, 4, "waits", "VB", "NN", "the old heron", "by the pond"),
    ]
    assert len(first_errors(TOKENS, GOLD, PREDICTED, lines, most=9)) == 3
    assert first_errors(TOKENS, GOLD, PREDICTED, lines, most=9)[2].sentence == 2
