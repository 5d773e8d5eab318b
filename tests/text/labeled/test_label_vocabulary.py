"""labels.json: what is written is read again, and anything else is one clear line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import ModelError
from seqlm.text.labeled.label_vocabulary import (
    RESERVED_CHARACTERS,
    FeatureColumn,
    LabelColumn,
    LabelVocabulary,
)

VOCABULARY = LabelVocabulary(
    "tagging",
    labels=(
        LabelColumn("tag", ("B-NP", "I-NP", "O", '"ü\u2028"'), "iob1", "bioes"),
        LabelColumn("pos", ("NN", "DT")),
    ),
    features=(FeatureColumn("chunk", ("x", "")), FeatureColumn("empty", ())),
    characters=("e", " ", "\u0301", "𝄞"),
    affixes=(("a", "b"), ("ab",), (), ("xy", "yz")),
)


def values() -> Any:
    return json.loads(VOCABULARY.to_json())


def test_what_is_written_is_read() -> None:
    assert LabelVocabulary.from_values(values()) == VOCABULARY
    assert LabelVocabulary.from_values(values()).to_json() == VOCABULARY.to_json()


def test_sizes_count_what_is_reserved() -> None:
    assert VOCABULARY.sizes() == {
        "label_types": (4, 2),
        "character_types": RESERVED_CHARACTERS + 4,
        "affix_types": (3, 2, 1, 3),
        "column_types": (3, 1),
    }
    assert VOCABULARY.columns == ["tag", "pos"]
    assert VOCABULARY.feature_columns == ["chunk", "empty"]


texts = st.lists(st.text(max_size=3), max_size=4, unique=True).map(tuple)
schemes = st.sampled_from(["none", "iob1", "iob2", "bioes"])


@given(
    st.lists(texts.filter(bool), min_size=1, max_size=3), st.lists(texts, max_size=3),
    schemes, texts, st.lists(st.tuples(texts, texts), max_size=3), st.data(),
)  # fmt: skip
def test_every_vocabulary_is_read_as_it_was_written(
    labels: Any, features: Any, scheme: str, characters: Any, affixes: Any, data: Any
) -> None:
    count = len(labels) + len(features)
    names = data.draw(st.lists(st.text(max_size=3), min_size=count, max_size=count, unique=True))
    vocabulary = LabelVocabulary(
        data.draw(st.sampled_from(["tagging", "classification"])),
        tuple(LabelColumn(name, of, scheme, scheme) for name, of in zip(names, labels)),
        tuple(FeatureColumn(name, of) for name, of in zip(names[len(labels) :], features)),
        characters,
        tuple(kind for pair in affixes for kind in pair),
    )
    assert LabelVocabulary.from_values(json.loads(vocabulary.to_json())) == vocabulary


# -------------------------------------------------------------------------------------- refusals


def replaced(path: list[Any], value: Any) -> Any:
    """The plain values with another one at a path; `...` removes what is there."""
    whole = values()
    parent = whole
    for key in path[:-1]:
        parent = parent[key]
    if value is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["task"], "lm"),
        (["task"], ["tagging"]),
        (["task"], ...),
        (["other"], 1),
        (["labels"], []),
        (["labels"], None),
        (["labels"], "NN"),
        (["labels", 0], "NN"),
        (["labels", 0, "labels"], []),
        (["labels", 0, "labels"], "NN"),
        (["labels", 0, "labels"], ["NN", "NN"]),
        (["labels", 0, "labels", 1], 1),
        (["labels", 0, "labels", 1], None),
        (["labels", 0, "name"], 1),
        (["labels", 0, "name"], "pos"),
        (["labels", 0, "name"], "chunk"),
        (["labels", 0, "name"], ...),
        (["labels", 0, "text_scheme"], "bilou"),
        (["labels", 0, "model_scheme"], []),
        (["labels", 0, "model_scheme"], {}),
        (["labels", 0, "model_scheme"], "none"),
        (["labels", 1, "model_scheme"], "bioes"),
        (["labels", 0, "more"], 1),
        (["features"], 3),
        (["features", 0, "values"], ["a", "a"]),
        (["features", 0, "name"], None),
        (["features", 0, "name"], "empty"),
        (["characters"], "abc"),
        (["characters"], {"a": 1}),
        (["characters", 0], " "),
        (["characters", 0], "\ud834"),
        (["labels", 1, "name"], "\udd1e"),
        (["affixes"], [["a"]]),
        (["affixes"], {"a": ["b"], "c": ["d"]}),
        (["affixes", 2], "ab"),
        (["affixes", 2], None),
    ],
    ids=str,
)
def test_anything_else_is_refused(path: list[Any], value: Any) -> None:
    with pytest.raises(ModelError, match="not the labels that seqlm wrote") as error:
        LabelVocabulary.from_values(replaced(path, value))
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("other", [None, 3, "tagging", [], {}, [values()]], ids=str)
def test_other_values_are_refused(other: Any) -> None:
    with pytest.raises(ModelError, match="not the labels"):
        LabelVocabulary.from_values(other)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a tree."""
    keys: Any = tree if isinstance(tree, dict) else range(len(tree) if type(tree) is list else 0)
    for key in keys:
        yield (*path, key)
        yield from places(tree[key], (*path, key))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=4), inside),
    max_leaves=4,
)


@given(st.sampled_from([*places(values())]), anything)
def test_a_spoilt_one_is_a_vocabulary_or_a_model_error(path: tuple[Any, ...], other: Any) -> None:
    try:
        vocabulary = LabelVocabulary.from_values(replaced([*path], other))
    except ModelError:
        return
    assert LabelVocabulary.from_values(json.loads(vocabulary.to_json())) == vocabulary
    assert all(type(label) is str for column in vocabulary.labels for label in column.labels)
