"""Spans of tags: of every scheme, and of tags that break it, by conlleval's rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text.labeled.spans import Span, find_spans

SCHEMES = ("iob1", "iob2", "ioe1", "ioe2", "bioes")


def spelled(text: str) -> list[tuple[str, int, int]]:
    return [tuple(span) for span in find_spans(text.split())]  # type: ignore[misc]


def test_the_example_of_the_module() -> None:
    tags = "B-NP I-NP I-NP B-VP B-NP I-NP"
    assert spelled(tags) == [("NP", 0, 3), ("VP", 3, 4), ("NP", 4, 6)]


# What is expected was worked out by hand from conlleval's tests of where a chunk starts and ends.
@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        # IOB: I begins a span after O and after another kind, but not after its own.
        ("I-X I-X", [("X", 0, 2)]),
        ("O I-X O", [("X", 1, 2)]),
        ("I-Y I-X", [("Y", 0, 1), ("X", 1, 2)]),
        ("B-Y I-X", [("Y", 0, 1), ("X", 1, 2)]),
        ("I-X B-X", [("X", 0, 1), ("X", 1, 2)]),
        ("B-X B-X I-X", [("X", 0, 1), ("X", 1, 3)]),
        ("B-X O I-X", [("X", 0, 1), ("X", 2, 3)]),
        # BIOES and IOE: E ends a span, whatever follows; S is one.
        ("B-X I-X E-X", [("X", 0, 3)]),
        ("B-X E-X I-X", [("X", 0, 2), ("X", 2, 3)]),
        ("I-X E-X E-X", [("X", 0, 2), ("X", 2, 3)]),
        ("E-X E-X", [("X", 0, 1), ("X", 1, 2)]),
        ("B-X E-X B-X E-X", [("X", 0, 2), ("X", 2, 4)]),
        ("S-X S-X", [("X", 0, 1), ("X", 1, 2)]),
        ("B-X S-X I-X", [("X", 0, 1), ("X", 1, 2), ("X", 2, 3)]),
        ("I-X S-X E-X", [("X", 0, 1), ("X", 1, 2), ("X", 2, 3)]),
        ("B-X E-Y", [("X", 0, 1), ("Y", 1, 2)]),
        ("E-X O S-Y", [("X", 0, 1), ("Y", 2, 3)]),
        # Without a kind, all spans are of the empty one, and only the prefixes tell.
        ("B I I O I B", [("", 0, 3), ("", 4, 5), ("", 5, 6)]),
        ("B-X I", [("X", 0, 1), ("", 1, 2)]),
        # Brackets are spans of one token, after which the same kind does not go on.
        ("[-X ]-X", [("X", 0, 1), ("X", 1, 2)]),
        ("[-X I-X", [("X", 0, 1)]),
        ("I-X [-X", [("X", 0, 1), ("X", 1, 2)]),
        # A full stop is outside like O, except that I of an empty kind goes on outside.
        ("B-X . I-X", [("X", 0, 1), ("X", 2, 3)]),
        (". I", []),
        # Only the first hyphen separates; other prefixes make a span where the kind changes.
        ("B-X-Y I-X-Z", [("X-Y", 0, 1), ("X-Z", 1, 2)]),
        ("-X -X", [("X", 0, 2)]),
        ("M-X O", [("X", 0, 1)]),
        ("DT NN VB", []),
        # BMES: M has no rule of its own, and goes on.
        ("B-X M-X M-X E-X", [("X", 0, 4)]),
        # B begins a span even where no rule has ended the one before.
        ("M-X B-X", [("X", 0, 1), ("X", 1, 2)]),
    ],
)
def test_tags_by_the_rules_of_conlleval(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert spelled(tags) == expected


@st.composite
def sentences(draw: st.DrawFn) -> tuple[int, list[Span]]:
    """The length of a sentence and spans that do not overlap, often side by side."""
    spans, place = [], 0
    for _ in range(draw(st.integers(0, 6))):
        start = place + draw(st.sampled_from([0, 0, 1, 2]))
        place = start + draw(st.integers(1, 3))
        spans.append(Span(draw(st.sampled_from(["NP", "VP", "A-B"])), start, place))
    return place + draw(st.integers(0, 2)), spans


def encode(length: int, spans: list[Span], scheme: str) -> list[str]:
    """The tags of `spans`, by the definitions of Tjong Kim Sang & Veenstra (1999)."""
    tags = ["O"] * length
    for span in spans:
        follows = any(other[0] == span.kind and other[2] == span.start for other in spans)
        precedes = any(other[0] == span.kind and other[1] == span.end for other in spans)
        prefixes = ["I"] * (span.end - span.start)
        if scheme in ("iob2", "bioes") or (scheme == "iob1" and follows):
            prefixes[0] = "B"
        if scheme in ("ioe2", "bioes") or (scheme == "ioe1" and precedes):
            prefixes[-1] = "S" if scheme == "bioes" and len(prefixes) == 1 else "E"
        tags[span.start : span.end] = [f"{prefix}-{span.kind}" for prefix in prefixes]
    return tags


@pytest.mark.parametrize("scheme", SCHEMES)
@given(sentence=sentences())
def test_well_formed_tags_give_back_their_spans(
    scheme: str, sentence: tuple[int, list[Span]]
) -> None:
    length, spans = sentence
    assert find_spans(encode(length, spans, scheme)) == spans


@given(st.lists(st.sampled_from(["B-X", "I-X", "E-X", "S-X", "O", "I-Y", "M-X", ".", "[-Y", "]"])))
def test_the_spans_of_any_tags_are_in_order_and_do_not_overlap(tags: list[str]) -> None:
    end = 0
    for span in find_spans(tags):
        assert end <= span.start < span.end <= len(tags)
        assert {tag.partition("-")[2] for tag in tags[span.start : span.end]} == {span.kind}
        end = span.end


@given(st.lists(st.text(max_size=4)))
def test_any_text_may_be_a_tag(tags: list[str]) -> None:
    assert all(span.end <= len(tags) for span in find_spans(tags))


def test_the_chunks_of_conll_2000_are_as_many_as_published(data: Path) -> None:
    text = (data / "tagging" / "conll2000.test.txt").read_text()
    sentences = [
        [line.split()[-1] for line in block.split("\n") if line] for block in text.split("\n\n")
    ]
    assert sum(map(len, sentences)) == 47_377
    assert sum(len(find_spans(tags)) for tags in sentences) == 23_852
