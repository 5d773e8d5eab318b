"""Schemes that write spans of tokens as one tag for each token.

             the   old   pond  froze  last  night
    iob1     I-NP  I-NP  I-NP  I-VP   I-NP  I-NP     B- only behind a span of the same kind
    iob2     B-NP  I-NP  I-NP  B-VP   B-NP  I-NP     B- is the first tag of every span
    bioes    B-NP  I-NP  E-NP  S-VP   B-NP  E-NP     E- is the last tag, S- that of one token

and O is a token outside of all spans. IOB1 is from Ramshaw & Marcus 1995 ("Text chunking using
transformation-based learning"), IOB2 from Ratnaparkhi 1998 and Tjong Kim Sang & Veenstra 1999
("Representing text chunks"), and BIOES, which is BILOU with other letters, is compared with them in
Ratinov & Roth 2009 ("Design challenges and misconceptions in named entity recognition"). `none` is
that of tags which stand for no spans, such as parts of speech.

Each scheme is a rule for two neighboring tags; what stands before the first token and behind the
last counts as O.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from seqlm.errors import UsageError
from seqlm.text.labeled.spans import find_spans, split_tag

SCHEMES = ("iob1", "iob2", "bioes", "none")
LETTERS = {"iob1": "BIO", "iob2": "BIO", "bioes": "BIOES"}
"""The prefixes of each scheme that has spans."""
SHAPE = re.compile(r"O|[BIES](-.+)?", re.DOTALL)
"""A tag of any scheme. One without a kind marks spans that are all of one kind."""
OUTSIDE = "O"


def recognize_scheme(sequences: Iterable[Sequence[str]]) -> str:
    """The scheme of the tags of some sentences.

    It is `none` if a tag does not have the shape of one, as NN, or all are O. If there are E or S
    it is bioes. Otherwise it is iob1 or iob2, whichever is broken at fewer places; iob2 where both
    are at as many.
    """
    pairs = Counter(pair for tags in sequences for pair in neighbors(tags))
    tags = {tag for pair in pairs for tag in pair}
    if not all(map(SHAPE.fullmatch, tags)) or tags <= {OUTSIDE}:
        return "none"
    if {"E", "S"} & {tag[0] for tag in tags}:
        return "bioes"
    num_broken = {
        scheme: sum(n for (before, tag), n in pairs.items() if not may_follow(tag, before, scheme))
        for scheme in ("iob2", "iob1")
    }
    return min(num_broken, key=num_broken.__getitem__)


def neighbors(tags: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Each tag and the one before it, and what stands at both ends."""
    return zip([OUTSIDE, *tags], [*tags, OUTSIDE])


def convert(tags: Sequence[str], source: str, target: str) -> list[str]:
    """The tags of the same spans in another scheme.

    What spans ill-formed tags stand for is read as `find_spans` reads them, so that the result is
    well-formed. Errors: UsageError where one scheme has spans and the other has not.
    """
    if "none" in (source, target):
        if source != target:
            raise UsageError(f"tags of the scheme {source} cannot be written as {target}")
        return list(tags)
    converted = [OUTSIDE] * len(tags)
    ends: tuple[int, str] | None = None  # where the previous span ends, and its kind
    for span in find_spans(tags):
        first, inside, last, single = "BIES" if target == "bioes" else "BIIB"
        if target == "iob1" and ends != (span.start, span.kind):
            first = single = "I"
        length = span.end - span.start
        letters = [single] if length == 1 else [first, *inside * (length - 2), last]
        kind = f"-{span.kind}" if span.kind else ""
        converted[span.start : span.end] = [letter + kind for letter in letters]
        ends = span.end, span.kind
    return converted


def ill_formed(tags: Sequence[str], scheme: str) -> list[int]:
    """The positions of tags that the scheme does not have, or not behind the tag before them.

    The last position is among them where a span of bioes has not ended there.
    """
    last = len(tags) - 1
    places = [
        min(place, last)
        for place, (before, tag) in enumerate(neighbors(tags))
        if not may_follow(tag, before, scheme)
    ]
    return list(dict.fromkeys(places))


def may_follow(tag: str, before: str, scheme: str) -> bool:
    """Whether `tag` is one of the scheme, and may stand behind the tag `before` it."""
    if scheme == "none":
        return True
    if not belongs(tag, scheme):
        return False
    (letter, kind), (letter_before, kind_before) = split_tag(tag), split_tag(before)
    is_open = letter_before in ("B", "I") and belongs(before, scheme)
    continues = is_open and kind == kind_before
    if scheme == "bioes":
        return continues if letter in ("I", "E") else not is_open
    return letter != ("B" if scheme == "iob1" else "I") or continues


def belongs(tag: str, scheme: str) -> bool:
    """Whether the scheme has such a tag; `none` has every one."""
    if scheme == "none":
        return True
    return SHAPE.fullmatch(tag) is not None and tag[0] in LETTERS[scheme]


class Transitions(NamedTuple):
    """What well-formed sequences of L labels may have, all bool."""

    between: np.ndarray  # (L, L), [i, j] for label j behind label i
    start: np.ndarray  # (L,), first in a sequence
    end: np.ndarray  # (L,), last in a sequence


def allowed_transitions(labels: Sequence[str], scheme: str) -> Transitions:
    """The transitions between `labels` that are well-formed.

    A label that the scheme does not have counts as O, so that a model may have it.
    """
    tags = [label if belongs(label, scheme) else OUTSIDE for label in labels]

    def follows(befores: list[str], afters: list[str]) -> np.ndarray:
        return np.array(
            [[may_follow(tag, before, scheme) for tag in afters] for before in befores], np.bool_
        ).reshape(len(befores), len(afters))

    return Transitions(
        follows(tags, tags), follows([OUTSIDE], tags)[0], follows(tags, [OUTSIDE])[:, 0]
    )
