"""JSON Lines: objects with a text and a label, which is replaced or added."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import DataError
from tests.text.labeled.examples import read, sentences, written


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ('"pos"', "pos"), ("1", "1"), ("1.50", "1.5"), ("true", "true"), ("-0", "0"),
        ('"1"', "1"), ("null", None), ('""', None),
    ],
)  # fmt: skip
def test_labels_are_texts_or_numbers(label: str, expected: str | None) -> None:
    (record,) = sentences("classification", "jsonl", f'{{"text": "A b", "label": {label}}}\n')
    assert record.tokens == ["A", "b"]
    assert record.columns == ({} if expected is None else {"label": [expected]})


@pytest.mark.parametrize(
    ("line", "label", "expected"),
    [
        ('{"label":"x","text":"a"}', "é", '{"label":"é","text":"a"}'),
        ('{"text" : "a" ,"label" :\t2 }', "3", '{"text" : "a" ,"label" :\t3 }'),
        ('{"text": "a", "label": 2}', "x", '{"text": "a", "label": "x"}'),
        ('{"text": "a", "label": 2}', "3.50", '{"text": "a", "label": "3.50"}'),
        ('{"text": "a", "label": "2"}', "3", '{"text": "a", "label": "3"}'),
        ('{"text": "a", "label": null}', "3", '{"text": "a", "label": "3"}'),
        ('{"text": "a", "label": true}', "false", '{"text": "a", "label": false}'),
        ('{"text": "a", "more": {"label": 1}} ', "x",
         '{"text": "a", "more": {"label": 1}, "label": "x"} '),
        ('{"text": "a", "la\\u0062el": 1}', '"', '{"text": "a", "la\\u0062el": "\\""}'),
    ],
)  # fmt: skip
def test_labels_replace_a_value_or_come_last(line: str, label: str, expected: str) -> None:
    assert written(read("classification", "jsonl", f"{line}\n"), label=[[label]]) == f"{expected}\n"


def test_keys_have_other_names() -> None:
    text = '{"text": 1, "review": "a", "tone": "x"}\n'
    (record,) = sentences(
        "classification", "jsonl", text, text_column="review", label_column="tone"
    )
    assert (record.tokens, record.columns) == (["a"], {"label": ["x"]})
    assert written([record], label=[["y"]]) == text.replace('"x"', '"y"')


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


@given(
    st.dictionaries(st.text(max_size=3), values, max_size=4),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_other_values_of_an_object_stay(
    others: dict[str, object], has_label: bool, label: str
) -> None:
    labels = {"label": "old"} if has_label else {}
    line = json.dumps({**others, "text": "a", **labels, "zzzz": 1}) + "\n"
    (record,) = sentences("classification", "jsonl", line)
    again = json.loads(written([record], label=[[label]]))
    assert str(again) == str({**json.loads(line), "label": label})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a", "line 2: the line is no JSON: Expecting value"),
        ('{"text": "a", "label": 1', "line 2: the line is no JSON: Expecting ',' delimiter"),
        ('{"text": ' + "[" * 100_000, "line 2: the line is no JSON: it is nested too deeply"),
        ("9" * 9999, "line 2: the line is no JSON: a number in it has too many digits"),
        ("[1]", "line 2: no JSON object, but [1]"),
        ('{"label": 1}', "line 2: there is no key 'text' (text_column); there are label"),
        ('{"text": "a"}', "line 2: there is no key 'label' (label_column); there are text"),
        ('{"text": 2, "label": 1}', "line 2: 'text' is 2, and no text"),
        ('{"text": "a", "label": null}', "line 2: 'label' is None, and no label"),
        ('{"text": "a", "label": ""}', "line 2: 'label' is '', and no label"),
        ('{"text": "a", "label": ["x"]}', "line 2: 'label' is ['x'], and no label"),
        ('{"text": "\\ud800", "label": 1}', "line 2: half a character, '\\ud800', stands alone"),
    ],
)
def test_what_is_no_record_is_refused(line: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        read("classification", "jsonl", f"\n{line}\n", labels_needed=True)
    assert message in str(error.value)
