"""Schemes against the enumeration of all spans of short sentences."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product

import pytest

from seqlm.errors import UsageError
from seqlm.text.labeled.spans import Span, find_spans
from seqlm.text.labeled.tag_schemes import (
    SCHEMES,
    allowed_transitions,
    convert,
    ill_formed,
    recognize_scheme,
)

LONGEST = 4
KINDS = ("X", "Y")


def analyses(length: int, start: int = 0) -> Iterator[list[Span]]:
    """All ways to put spans of the two kinds on so many tokens."""
    if start == length:
        yield []
        return
    yield from analyses(length, start + 1)
    for end in range(start + 1, length + 1):
        for kind, rest in product(KINDS, list(analyses(length, end))):
            yield [Span(kind, start, end), *rest]


def written_slowly(spans: list[Span], length: int, scheme: str) -> tuple[str, ...]:
    """The tags of spans, each token by what the scheme says of it."""
    tags = ["O"] * length
    for kind, start, end in spans:
        for place in range(start, end):
            is_first, is_last = place == start, place == end - 1
            touches = any(other.end == start and other.kind == kind for other in spans)
            if scheme == "bioes":
                letter = {(0, 0): "I", (1, 0): "B", (0, 1): "E", (1, 1): "S"}[is_first, is_last]
            else:
                letter = "B" if is_first and (scheme == "iob2" or touches) else "I"
            tags[place] = f"{letter}-{kind}"
    return tuple(tags)


WELL_FORMED = {
    scheme: {
        written_slowly(spans, length, scheme)
        for length in range(LONGEST + 1)
        for spans in analyses(length)
    }
    for scheme in SCHEMES
    if scheme != "none"
}
"""All sequences of each scheme up to the longest."""
LABELS = {
    scheme: ["O", *(f"{letter}-{kind}" for letter in letters for kind in KINDS)]
    for scheme, letters in (("iob1", "IB"), ("iob2", "BI"), ("bioes", "BIES"))
}
each_scheme = pytest.mark.parametrize("scheme", WELL_FORMED)


@each_scheme
def test_every_scheme_writes_and_reads_all_spans(scheme: str) -> None:
    for other in WELL_FORMED:
        for length in range(LONGEST + 1):
            for spans in analyses(length):
                tags = written_slowly(spans, length, scheme)
                assert find_spans(tags) == spans
                converted = convert(tags, scheme, other)
                assert tuple(converted) == written_slowly(spans, length, other)
                assert tuple(convert(converted, other, scheme)) == tags


@each_scheme
def test_transitions_allow_well_formed_sequences_and_no_others(scheme: str) -> None:
    labels = LABELS[scheme]
    between, start, end = allowed_transitions(labels, scheme)
    for length in range(1, LONGEST):
        for places in product(range(len(labels)), repeat=length):
            is_allowed = (
                start[places[0]]
                and end[places[-1]]
                and all(between[i, j] for i, j in pairwise(places))
            )
            tags = tuple(labels[place] for place in places)
            assert is_allowed == (tags in WELL_FORMED[scheme]), tags
            assert (not ill_formed(tags, scheme)) == is_allowed, tags


@pytest.mark.parametrize(
    ("scheme", "tags", "places"),
    [
        ("iob2", "I-X I-X O I-Y B-Y I-X", [0, 3, 5]),
        ("iob1", "B-X I-X B-X O B-X I-Y B-X", [0, 4, 6]),
        ("bioes", "B-X E-X I-X S-X B-Y E-X B-Y", [2, 3, 5, 6]),
        ("bioes", "I-X", [0]),
        ("bioes", "O B-X", [1]),
        ("iob2", "B-X NN I-X E-X", [1, 2, 3]),
        ("none", "NN VB I-X", []),
        ("iob2", "", []),
    ],
)
def test_where_a_sequence_breaks_its_scheme(scheme: str, tags: str, places: list[int]) -> None:
    assert ill_formed(tags.split(), scheme) == places


@pytest.mark.parametrize(
    ("scheme", "sequences"),
    [
        ("iob2", ["B-X I-X", "O"]),
        ("iob2", ["B", "B I O"]),
        ("iob1", ["O", "I-X B-X I-Y"]),
        ("iob1", ["O I-X"]),
        ("iob2", ["B-X I-X O B-X", "I-X"]),
        ("iob1", ["I-X I-X O I-X", "B-X"]),
        ("bioes", ["B-X I-X", "S-X"]),
        ("bioes", ["B-X E-X"]),
        ("none", ["B-X I-X", "NN"]),
        ("none", ["O O"]),
        ("none", ["DT NN"]),
        ("none", ["B-"]),
        ("none", ["Ox"]),
        ("none", []),
    ],
)
def test_a_scheme_is_recognized(scheme: str, sequences: list[str]) -> None:
    assert recognize_scheme(tags.split() for tags in sequences) == scheme


def test_all_sequences_of_a_scheme_show_it() -> None:
    for scheme, sequences in WELL_FORMED.items():
        assert recognize_scheme(sequences) == scheme


def test_ill_formed_tags_are_read_as_conlleval_reads_them() -> None:
    tags = ["I-X", "I-Y", "O", "E-X", "B-X"]
    assert convert(tags, "bioes", "iob2") == ["B-X", "B-Y", "O", "B-X", "B-X"]
    assert convert(["I", "O", "B", "I"], "iob1", "bioes") == ["S", "O", "B", "E"]


def test_tags_without_spans_have_no_other_scheme() -> None:
    assert convert(["NN", "DT"], "none", "none") == ["NN", "DT"]
    for source, target in (("none", "iob2"), ("iob1", "none")):
        with pytest.raises(UsageError, match=f"scheme {source} cannot be written as {target}"):
            convert(["O"], source, target)


def test_labels_that_the_scheme_does_not_have_count_as_o() -> None:
    between, start, end = allowed_transitions(["O", "B-X", "I-X", "NN"], "iob2")
    assert between.tolist() == [
        [True, True, False, True],
        [True, True, True, True],
        [True, True, True, True],
        [True, True, False, True],
    ]
    assert start.tolist() == [True, True, False, True]
    assert end.tolist() == [True] * 4
    assert all(array.all() for array in allowed_transitions(["NN", "I-X"], "none"))
    assert [array.shape for array in allowed_transitions([], "iob2")] == [(0, 0), (0,), (0,)]
