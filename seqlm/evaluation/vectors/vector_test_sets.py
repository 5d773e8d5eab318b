"""Files that word vectors are tested on; what a file holds is told by its content.

Analogies, in the format of Mikolov et al. (2013), of which a section "gram…" is syntactic:

    : capital-common-countries
    Athens Greece Baghdad Iraq

Pairs of words with the mean of what people say of their similarity, as in WordSim-353 (Finkelstein
et al. 2002), SimLex-999 (Hill et al. 2015), MEN and RW, with tabs, commas or spaces between:

    # a comment
    Word 1 <TAB> Word 2 <TAB> Human (mean)      a line of names may come first
    tiger <TAB> cat <TAB> 7.35                  the first number after the words counts
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seqlm.errors import DataError, shown
from seqlm.text.reading import LONGEST_LINE, read_lines, source_name

SECTION, COMMENT = ":", "#"
LOOK_AHEAD = 10
"""Lines by which the two are told apart."""


class Analogy(NamedTuple):
    section: str
    """'' before the first."""
    a: str
    b: str
    c: str
    d: str
    """a is to b as c is to d."""


class Pair(NamedTuple):
    first: str
    second: str
    similarity: float
    """What people say, on any scale."""


class VectorTestSet(NamedTuple):
    """What a file has: analogies or pairs, at least one, and none of the other."""

    name: str
    """The file, as messages name it."""
    analogies: list[Analogy]
    pairs: list[Pair]


class Line(NamedTuple):
    number: int
    text: str


def read_test_set(file: str, errors: str = "strict") -> VectorTestSet:
    """The analogies or the pairs of a file; '-' is standard input.

    Errors: DataError naming the line where it is neither, or the file is empty or cannot be read.
    """
    lines = [
        Line(number, text)
        for number, text in enumerate(read_lines([file], errors, LONGEST_LINE), 1)
        if text.strip() and not text.startswith(COMMENT)
    ]
    name = source_name(file)
    if not lines:
        raise DataError(f"{name} has neither analogies nor pairs of words: it is empty")
    if is_analogies([line.text for line in lines[:LOOK_AHEAD]]):
        return VectorTestSet(name, list(parse_analogies(lines, name)), [])
    return VectorTestSet(name, [], list(parse_pairs(lines, name)))


def is_analogies(first: Sequence[str]) -> bool:
    """Whether the `first` lines are those of analogies: a section, or four words."""
    return any(line.startswith(SECTION) for line in first) or all(
        len(line.split()) == 4 and similarity_in(split_fields(line)) is None for line in first
    )


def parse_analogies(lines: Sequence[Line], name: str) -> Iterator[Analogy]:
    """Errors: DataError on a line that has not four words, or where there is none."""
    section, has_any = "", False
    for number, text in lines:
        words = text.split()
        if text.startswith(SECTION):
            section = text.removeprefix(SECTION).strip()
        elif len(words) == 4:
            has_any = True
            yield Analogy(section, *words)
        else:
            raise DataError(
                f"{name}, line {number}: an analogy has four words, and {shown(text)} has"
                f" {len(words)}"
            )
    if not has_any:
        raise DataError(f"{name} has sections and no analogies in them")


def parse_pairs(lines: Sequence[Line], name: str) -> Iterator[Pair]:
    """Errors: DataError on a line without two words and a number, but for names in the first."""
    has_any = False
    for number, text in lines:
        fields = split_fields(text)
        similarity = similarity_in(fields)
        if similarity is not None:
            has_any = True
            yield Pair(fields[0], fields[1], similarity)
        elif number != lines[0].number or len(fields) < 3:
            raise DataError(
                f"{name}, line {number}: {shown(text)} is neither an analogy, which is four words,"
                " nor two words and their similarity"
            )
    if not has_any:
        raise DataError(f"{name} has neither analogies nor pairs of words and their similarity")


def split_fields(line: str) -> list[str]:
    r"""The fields of a line, between tabs, else commas, else white space.

    >>> split_fields("tiger\tcat\t7.35"), split_fields("tiger, cat, 7.35")
    (['tiger', 'cat', '7.35'], ['tiger', 'cat', '7.35'])
    """
    for separator in ("\t", ","):
        if separator in line:
            return [field.strip() for field in line.split(separator)]
    return line.split()


def similarity_in(fields: Sequence[str]) -> float | None:
    """The first number after two words, or None where there is none."""
    if len(fields) < 3 or not fields[0] or not fields[1]:
        return None
    for field in fields[2:]:
        try:
            number = float(field)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None
