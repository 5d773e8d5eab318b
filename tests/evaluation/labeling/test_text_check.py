"""The check of labeled text against figures worked out by hand, and against plain loops."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import UsageError
from seqlm.evaluation.labeling.text_check import FEW, Duplicate, Place, TextCheck, check_text
from seqlm.text.labeled.record import FormatOptions, Record
from seqlm.text.labeled.record_files import parse_records
from seqlm.text.labeled.tag_schemes import ill_formed

TRAIN = """a DT B-NP
frog NN I-NP
sings VB B-VP

a DT B-NP
frog NN I-NP
sings NN I-NP

Frogs NN B-NP
sing VB O

a DT B-NP
frog NN I-NP
sings VB B-VP
"""
HELD_OUT = """Frogs NN B-NP
sing VB O

no XX I-NP
frog YY I-XP
sings XX O
sings VB B-VP
"""


def records_of(text: str, task: Any = "tagging", file: str = "train") -> list[Record]:
    options = FormatOptions("columns" if task == "tagging" else "label-text")
    records = parse_records(iter(text.split("\n")[:-1]), file, task, options)
    return [record for record in records if not record.is_blank]


def check(text: str, *columns: str, train: TextCheck | None = None) -> TextCheck:
    file = "valid" if train else "train"
    return check_text(file, records_of(text, file=file), "tagging", columns or ("tag",), train)


# ------------------------------------------------------------------------------------- by hand


def test_words_are_counted() -> None:
    train = check(TRAIN)
    assert (train.records, train.tokens, len(train.words)) == (4, 11, 5)
    assert train.words == {"a": 3, "frog": 3, "sings": 3, "Frogs": 1, "sing": 1}
    assert (train.longest, train.longest_place) == (3, Place("train", 1))
    assert (train.oov_tokens, train.oov_types, train.unit) == (0, 0, "sentences")


def test_labels_are_counted_in_each_column() -> None:
    pos, tag = check(TRAIN, "pos", "tag").columns
    assert list(pos.counts.items()) == [("NN", 5), ("DT", 3), ("VB", 3)]
    assert list(tag.counts.items()) == [("B-NP", 4), ("I-NP", 4), ("B-VP", 2), ("O", 1)]
    assert (pos.scheme, tag.scheme) == ("none", "iob2")


def test_labels_with_fewer_examples_than_few_have_their_first_place() -> None:
    [pos] = check(TRAIN, "pos").columns
    assert FEW == 5
    assert pos.few == {"DT": Place("train", 1), "VB": Place("train", 3)}


def test_duplicates_are_those_of_an_earlier_sentence() -> None:
    train = check(TRAIN)
    second = Duplicate(Place("train", 5), Place("train", 1), 3, is_conflict=True)
    last = Duplicate(Place("train", 12), Place("train", 1), 3, is_conflict=False)
    assert train.duplicates == [second, last]
    assert train.conflicts == [second]
    assert train.duplicate_share == 6 / 11


def test_a_conflict_is_in_any_column() -> None:
    assert len(check(TRAIN, "pos").conflicts) == 1
    assert check("a X B-NP\n\na Y B-NP\n\na Z B-NP\n", "tag").conflicts == []
    assert len(check("a X B-NP\n\na Y B-NP\n\na Z B-NP\n", "tag", "pos").conflicts) == 2


def test_a_held_out_text_is_held_against_the_training_text() -> None:
    held_out = check(HELD_OUT, "pos", "tag", train=check(TRAIN, "pos", "tag"))
    assert held_out.oov == {"no": 1}
    assert (held_out.oov_tokens, held_out.oov_types) == (1 / 6, 1 / 5)
    expected = Duplicate(Place("valid", 1), Place("train", 9), 2, is_conflict=False)
    assert held_out.duplicates == [expected]
    pos, tag = held_out.columns
    assert pos.new == {"XX": Place("valid", 4), "YY": Place("valid", 5)}
    assert pos.counts["XX"] == 2
    assert tag.new == {"I-XP": Place("valid", 5)}
    assert (pos.few, tag.few) == ({}, {})


def test_a_text_held_against_itself_is_all_duplicates() -> None:
    train = check(TRAIN)
    assert [each.place.line for each in check(TRAIN, train=train).duplicates] == [1, 5, 9, 12]


def test_ill_formed_tags_are_those_of_the_scheme_of_training() -> None:
    train = check(TRAIN)
    assert train.columns[0].ill_formed == []
    [tag] = check(HELD_OUT, train=train).columns
    assert tag.scheme == "iob2"
    assert tag.ill_formed == [("I-NP", Place("valid", 4)), ("I-XP", Place("valid", 5))]
    [tag] = check("a _ I-NP\nfrog _ I-NP\n", train=train).columns  # well-formed in iob1
    assert tag.ill_formed == [("I-NP", Place("valid", 1))]


def test_an_unfinished_span_of_bioes_is_ill_formed_at_the_end() -> None:
    text = "the B-NP\nfrog E-NP\n\nthe B-NP\nfrog I-NP\n"
    assert check(text).columns[0].ill_formed == [("I-NP", Place("train", 5))]


def test_the_lines_of_texts_count_from_their_file() -> None:
    records = records_of("\ngood\ta film\n\nbad\t\nbad\ta film\nbad\t \n", "classification")
    train = check_text("train", records, "classification", ["label"])
    assert (train.records, train.tokens, train.unit) == (4, 4, "texts")
    assert train.empty == [Place("train", 4), Place("train", 6)]
    assert train.duplicates == [Duplicate(Place("train", 5), Place("train", 2), 2, True)]
    assert train.columns[0].scheme == "none"


def test_a_text_without_any_word_has_shares() -> None:
    records = records_of("bad\t\n", "classification")
    train = check_text("train", records, "classification", ["label"])
    assert (train.oov_tokens, train.oov_types, train.duplicate_share) == (0, 0, 0)


def test_a_column_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"train has no column 'po' .*did you mean 'pos'"):
        check(TRAIN, "po")


# ------------------------------------------------------------------------------ by plain loops

token = st.tuples(st.sampled_from("ab"), st.sampled_from(["B-X", "I-X", "E-X", "S-Y", "O"]))
texts = st.lists(st.lists(token, min_size=1, max_size=3), min_size=1, max_size=8)


def text_of(sentences: list[list[tuple[str, str]]]) -> str:
    return "".join("".join(f"{w} _ {t}\n" for w, t in each) + "\n" for each in sentences)


@given(texts, texts)
def test_plain_loops_find_the_same(
    train_text: list[list[tuple[str, str]]], held_out_text: list[list[tuple[str, str]]]
) -> None:
    train = check(text_of(train_text))
    held_out = check(text_of(held_out_text), train=train)
    seen: list[Record] = []
    expected = []
    for record in records_of(text_of(train_text)):
        same = [other for other in seen if other.tokens == record.tokens]
        if same:
            expected.append((record.line, same[0].line, record.columns != same[0].columns))
        seen.append(record)
    assert [(d.place.line, d.other.line, d.is_conflict) for d in train.duplicates] == expected

    records = records_of(text_of(held_out_text))
    tokens = [
        (word, tag, Place("train", record.line + at))
        for record in records
        for at, (word, tag) in enumerate(zip(record.tokens, record.columns["tag"]))
    ]
    known = {word for record in seen for word in record.tokens}
    assert held_out.oov_tokens == sum(word not in known for word, *_ in tokens) / len(tokens)
    tags = {tag for record in seen for tag in record.columns["tag"]}
    first = {tag: place.line for _, tag, place in reversed(tokens) if tag not in tags}
    [column] = held_out.columns
    assert {tag: place.line for tag, place in column.new.items()} == first
    broken = [
        (record.columns["tag"][at], record.line + at)
        for record in records
        for at in ill_formed(record.columns["tag"], column.scheme)
    ]
    assert [(tag, place.line) for tag, place in column.ill_formed] == broken
    doubled = [r.line for r in records if any(r.tokens == other.tokens for other in seen)]
    assert [duplicate.place.line for duplicate in held_out.duplicates] == doubled
