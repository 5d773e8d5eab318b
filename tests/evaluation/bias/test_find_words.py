"""How words of lists are looked up."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.errors import DataError
from seqlm.evaluation.bias.find_words import (
    find_pairs,
    find_words,
    label_words,
    some_of,
    unit_rows,
)
from tests.evaluation.bias.tables import table_of

TABLE = table_of(["john", "Amy", "amy", "nil", "rose"], [[1, 0], [0, 1], [3, 4], [0, 0], [1, 1]])


def test_a_word_is_looked_up_as_it_is_and_then_in_lower_case() -> None:
    found = find_words(TABLE, ["John", "Amy", "ROSE", "Rosa"])
    assert found.words == ["John", "Amy", "ROSE"]
    assert found.rows == [0, 1, 4]
    assert found.missing == ["Rosa"]


def test_a_word_counts_once_in_whatever_form() -> None:
    assert find_words(TABLE, ["John", "john", "JOHN", "rose", "rose"]).words == ["John", "rose"]
    assert find_words(TABLE, ["none", "none"]).missing == ["none"]


def test_a_vector_of_zeros_is_missing() -> None:
    assert find_words(TABLE, ["nil", "rose"]) == (["rose"], [4], ["nil"])


def test_vectors_have_length_1() -> None:
    rows = find_words(TABLE, ["amy", "John"]).unit_vectors(TABLE)
    assert rows.dtype == np.float64
    assert rows.tolist() == [[0.6, 0.8], [1, 0]]
    far = np.array([[3e38, 0], [0, 0], [1e-45, 0]], np.float32)
    assert unit_rows(far).tolist() == [[1, 0], [0, 0], [1, 0]]


def test_pairs_need_both_words() -> None:
    found = find_pairs(TABLE, [("amy", "john"), ("rose", "nil"), ("Rosa", "x"), ("rose", "amy")])
    assert found.pairs == [("amy", "john"), ("rose", "amy")]
    assert found.rows == [(2, 0), (4, 2)]
    assert found.missing == ["nil", "Rosa", "x"]


def test_labels_are_numbers_in_the_order_of_their_words() -> None:
    found = label_words(TABLE, {"rose": "plant", "amy": "name", "oak": "plant", "john": "name"})
    assert found.rows.tolist() == [4, 2, 0]
    assert found.labels.tolist() == [0, 1, 1]
    assert (found.names, found.missing) == (["plant", "name"], ["oak"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"rose": "plant", "oak": "tree"}, "toy.txt has only words of the label 'plant'"),
        ({"oak": "tree", "elm": "wood"}, "toy.txt has none of the words with a label"),
    ],
)
def test_one_label_is_too_few(labels, message) -> None:
    with pytest.raises(DataError, match=message):
        label_words(TABLE, labels)


def test_a_few_of_many_words_are_named() -> None:
    assert some_of(["a", "b"]) == "a, b"
    assert some_of([*"abcdefg"], 3) == "a, b, c and 4 more"
