"""What a check of labeled text has found: figures for a table, and sentences for people.

A finding is serious where it makes training or evaluation wrong, and something to know where good
texts have it, too: a few short sentences occur twice in every text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from seqlm.errors import shown
from seqlm.evaluation.labeling.text_check import FEW, ColumnCheck, Duplicate, Place, TextCheck

SHOWN = 5
"""Labels that a message names at most."""
LONG_SENTENCE = 300
"""Tokens that no sentence has unless the ends of sentences are lost."""
MANY_DUPLICATES = 0.01
"""Share of the tokens of a held-out text that changes what is measured on it."""
MANY_CONFLICTS = 0.01
"""Share of the records."""
MANY_OOV = 0.5
"""Share of the tokens of a held-out text of the same language and spelling that is not reached."""


class Figure(NamedTuple):
    """A number, of the labels of a column or of one label where these are not None."""

    figure: str
    column: str | None
    label: str | None
    value: float | str


def figures_of(text: TextCheck) -> Iterator[Figure]:
    """The numbers of a text, those of its columns last. Shares are from 0 to 1."""
    figures: dict[str, float] = {
        text.unit: text.records,
        "tokens": text.tokens,
        "types": len(text.words),
        "longest": text.longest,
    }
    if text.task == "classification":
        figures["empty"] = len(text.empty)
    figures |= {"duplicates": len(text.duplicates), "conflicts": len(text.conflicts)}
    if text.train is not None:
        figures |= {"oov-tokens": text.oov_tokens, "oov-types": text.oov_types}
    for name, value in figures.items():
        yield Figure(name, None, None, value)
    for column in text.columns:
        yield Figure("labels", column.name, None, len(column.counts))
        if text.train is not None:
            yield Figure("new-labels", column.name, None, len(column.new))
        if text.task == "tagging":
            yield Figure("scheme", column.name, None, column.scheme)
        if column.scheme != "none":
            yield Figure("ill-formed", column.name, None, len(column.ill_formed))
        for label, count in column.counts.items():
            yield Figure("count", column.name, label, count)


class Finding(NamedTuple):
    message: str
    is_serious: bool


def findings_of(text: TextCheck) -> Iterator[Finding]:
    """What is wrong, or may be, each with the first place."""
    for message, is_serious in (*findings_in_labels(text), *findings_in_words(text)):
        yield Finding(f"{text.title}, {message}", is_serious)


def findings_in_labels(text: TextCheck) -> Iterator[Finding]:
    for column in text.columns:
        if len(column.counts) == 1 and text.train is None:
            yield Finding(
                f"labels of {column.name}: all are {shown(next(iter(column.counts)))}", True
            )
        if column.ill_formed:
            tag, place = column.ill_formed[0]
            yield Finding(
                f"tags of {column.name} that are ill-formed in the scheme {column.scheme}:"
                f" {len(column.ill_formed):,}; the first is {shown(tag)} in {place}",
                True,
            )
        if column.new:
            yield Finding(
                f"labels of {column.name} that the training text does not have, and no model"
                f" predicts: {list_labels(column, column.new)}",
                True,
            )
        if column.few:
            yield Finding(
                f"labels of {column.name} with fewer than {FEW} examples:"
                f" {list_labels(column, column.few)}",
                False,
            )


def list_labels(column: ColumnCheck, places: Mapping[str, Place]) -> str:
    """The labels, how often each occurs and where first: the most frequent, in brief."""
    labels = [label for label in column.counts if label in places]
    parts = [
        f"{shown(label)} ({column.counts[label]:,}, {places[label]})" for label in labels[:SHOWN]
    ]
    return ", ".join(parts) + (f" and {len(labels) - SHOWN:,} more" * (len(labels) > SHOWN))


def findings_in_words(text: TextCheck) -> Iterator[Finding]:
    other = "one of the training text" if text.train else "an earlier one"
    if text.duplicates:
        yield Finding(
            f"{text.unit} with the words of {other}: {len(text.duplicates):,} of {text.records:,},"
            f" {text.duplicate_share:.2%} of the tokens; {first_of(text.duplicates)}",
            text.train is not None and text.duplicate_share >= MANY_DUPLICATES,
        )
    if text.conflicts:
        yield Finding(
            f"{text.unit} with the words of {other}, but other labels: {len(text.conflicts):,};"
            f" {first_of(text.conflicts)}",
            len(text.conflicts) >= MANY_CONFLICTS * text.records,
        )
    if text.oov_tokens >= MANY_OOV:
        yield Finding(
            f"tokens that the training text does not have: {text.oov_tokens:.2%};"
            " another language or spelling",
            True,
        )
    if text.task == "tagging" and text.longest > LONG_SENTENCE:
        yield Finding(
            f"the longest sentence: {text.longest:,} tokens, from {text.longest_place} on;"
            " it may be several",
            True,
        )
    if text.empty:
        yield Finding(
            f"texts without words: {len(text.empty):,}; the first is {text.empty[0]}", True
        )


def first_of(duplicates: list[Duplicate]) -> str:
    place, other, *_ = duplicates[0]
    is_same_file = place.file == other.file
    return f"the first is {place}, as {f'line {other.line}' if is_same_file else other}"
