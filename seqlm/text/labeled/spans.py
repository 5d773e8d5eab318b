"""The spans that tags stand for: chunks, names, or any phrases with a kind.

    the   old   pond  froze   last    night
    B-NP  I-NP  I-NP  B-VP    B-NP    I-NP          NP 0-3 · VP 3-4 · NP 4-6

A tag is a prefix and a kind, separated by its first hyphen; one without a hyphen is all prefix, and
its kind is empty. Whether a span ends or begins between two tags is read from both of them, so that
one set of rules accepts IOB1, IOB2, IOE1, IOE2, BIOES and brackets, and gives ill-formed tags the
same meaning as everyone else does: the rules are those of conlleval, the program that scored the
shared tasks of CoNLL (Tjong Kim Sang & Buchholz 2000, "Introduction to the CoNLL-2000 shared task:
chunking"). S, which it did not know, and E before B are read as its successors read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """The tokens from `start` up to `end`, which is not among them."""

    kind: str
    start: int
    end: int


class Tag(NamedTuple):
    """A tag in its two parts: B-NP is B and NP."""

    prefix: str
    kind: str


OUTSIDE = Tag("O", "")
"""What stands before the first tag of a sentence and after its last."""
NEVER_IN_A_SPAN = ("O", ".")
ALWAYS_FIRST = ("B", "S", "[", "]")
ALWAYS_LAST = ("E", "S", "[", "]")


def find_spans(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence, in order.

    >>> find_spans(["I-NP", "I-NP", "O", "B-VP"])
    [Span(kind='NP', start=0, end=2), Span(kind='VP', start=3, end=4)]
    """
    spans = []
    start: int | None = None  # of the span that is open
    previous = OUTSIDE
    for place, tag in enumerate([*map(split_tag, tags), OUTSIDE]):
        begins = begins_between(previous, tag)
        if start is not None and (begins or ends_between(previous, tag)):
            spans.append(Span(previous.kind, start, place))
            start = None
        if begins:
            start = place
        previous = tag
    return spans


def split_tag(tag: str) -> Tag:
    prefix, _, kind = tag.partition("-")
    return Tag(prefix, kind)


def ends_between(previous: Tag, tag: Tag) -> bool:
    """Whether a span that `previous` is in ends before `tag`."""
    return (
        previous.prefix in ALWAYS_LAST
        or (previous.prefix in ("B", "I") and tag.prefix in ("B", "S", "O"))
        or (previous.prefix not in NEVER_IN_A_SPAN and previous.kind != tag.kind)
    )


def begins_between(previous: Tag, tag: Tag) -> bool:
    """Whether a span begins with `tag`."""
    return (
        tag.prefix in ALWAYS_FIRST
        or (tag.prefix in ("I", "E") and previous.prefix in ("O", "E", "S"))
        or (tag.prefix not in NEVER_IN_A_SPAN and previous.kind != tag.kind)
    )
