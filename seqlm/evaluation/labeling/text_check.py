"""What is in a labeled text, and how a held-out text differs from the training text.

    duplicate    a record with the words of another: of an earlier one in the training text, or, if
                 it is held out, of one in the training text
    conflict     a duplicate with other labels
    OOV          a word that the training text does not have, as it is spelled
    new label    one that the training text does not have

Texts that share sentences make a model look better than it is: it has learned them by heart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from seqlm.text.labeled.record import Record, TaskName
from seqlm.text.labeled.tag_schemes import ill_formed, may_follow, neighbors, recognize_scheme

FEW = 5
"""A label with fewer examples is hardly learned."""


class Place(NamedTuple):
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


class Duplicate(NamedTuple):
    place: Place
    other: Place
    """Where the same words stand first."""
    tokens: int
    is_conflict: bool


class ColumnCheck(NamedTuple):
    """A column of labels."""

    name: str
    scheme: str
    """That of the training text."""
    counts: dict[str, int]
    """How often each label occurs, the most frequent first."""
    few: dict[str, Place]
    """Where each of the labels occurs first of which the training text has fewer than FEW."""
    new: dict[str, Place]
    """Where each new label of a held-out text occurs first."""
    ill_formed: list[tuple[str, Place]]
    """The tags that the scheme does not have, or not behind the tag before them."""


@dataclass(frozen=True)
class TextCheck:
    title: str
    """What messages call the text."""
    task: TaskName
    records: int
    words: Counter[str]
    """How often each type occurs."""
    longest: int
    """Tokens of the longest record, and where it is."""
    longest_place: Place
    empty: list[Place]
    """Texts without words."""
    columns: list[ColumnCheck]
    duplicates: list[Duplicate]
    first_records: Mapping[tuple[str, ...], Record]
    """The first record with the same words, of each in the training text."""
    train: TextCheck | None
    """The training text, if this one is held out."""

    @property
    def unit(self) -> str:
        return "sentences" if self.task == "tagging" else "texts"

    @cached_property
    def tokens(self) -> int:
        return self.words.total()

    @property
    def conflicts(self) -> list[Duplicate]:
        return [duplicate for duplicate in self.duplicates if duplicate.is_conflict]

    @property
    def duplicate_share(self) -> float:
        """The share of tokens that are in duplicates."""
        return sum(duplicate.tokens for duplicate in self.duplicates) / max(self.tokens, 1)

    @cached_property
    def oov(self) -> dict[str, int]:
        """How often each type occurs that the training text lacks."""
        known = self.train.words if self.train else self.words
        return {word: count for word, count in self.words.items() if word not in known}

    @property
    def oov_tokens(self) -> float:
        """The share of tokens that are OOV."""
        return sum(self.oov.values()) / max(self.tokens, 1)

    @property
    def oov_types(self) -> float:
        return len(self.oov) / max(len(self.words), 1)


def check_text(
    title: str,
    records: Sequence[Record],
    task: TaskName,
    columns: Sequence[str],
    train: TextCheck | None = None,
) -> TextCheck:
    """Counts what is in the labels of `columns` and in the words of a text.

    `records` are one or more, and none of them is blank. A held-out text is held against `train`,
    and has the same columns. Errors: UsageError where a record has no such column.
    """
    for record in records:
        for name in columns:
            if name not in record.columns:
                raise record.format.unknown_column("label_column", name, list(record.columns))
    longest = max(records, key=lambda record: len(record.tokens))
    first_records = train.first_records if train else index_by_words(records)
    return TextCheck(
        title,
        task,
        len(records),
        Counter(chain.from_iterable(record.tokens for record in records)),
        len(longest.tokens),
        place_of(longest),
        [place_of(record) for record in records if not record.tokens],
        [
            check_column(name, records, task, train.columns[at] if train else None)
            for at, name in enumerate(columns)
        ],
        list(find_duplicates(records, columns, first_records)),
        first_records,
        train,
    )


def check_column(
    name: str, records: Sequence[Record], task: TaskName, train: ColumnCheck | None
) -> ColumnCheck:
    """The labels of a column; `train` is the same column of the training text."""
    sequences = [record.columns[name] for record in records]
    if train is not None:
        scheme = train.scheme
    else:
        scheme = recognize_scheme(sequences) if task == "tagging" else "none"
    counts = Counter(chain.from_iterable(sequences))
    new = counts.keys() - train.counts.keys() if train else set()
    few = set() if train else {label for label, count in counts.items() if count < FEW}
    return ColumnCheck(
        name,
        scheme,
        dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        first_places(records, name, few),
        first_places(records, name, new),
        list(find_ill_formed(records, name, scheme)),
    )


def first_places(
    records: Sequence[Record], column: str, labels: Collection[str]
) -> dict[str, Place]:
    """Where each of the `labels` occurs first, in the order of the text."""
    found: dict[str, Place] = {}
    left = set(labels)
    for record in records:
        if left.isdisjoint(record.columns[column]):
            continue
        for at, label in enumerate(record.columns[column]):
            if label in left:
                left.remove(label)
                found[label] = place_of(record, at)
    return found


def find_ill_formed(
    records: Sequence[Record], column: str, scheme: str
) -> Iterator[tuple[str, Place]]:
    """The ill-formed tags. Each different pair of neighbors is looked at once, as most are well."""
    pairs = {pair for record in records for pair in neighbors(record.columns[column])}
    broken = {(before, tag) for before, tag in pairs if not may_follow(tag, before, scheme)}
    if not broken:
        return
    for record in records:
        tags = record.columns[column]
        if not broken.isdisjoint(neighbors(tags)):
            for at in ill_formed(tags, scheme):
                yield tags[at], place_of(record, at)


def index_by_words(records: Sequence[Record]) -> dict[tuple[str, ...], Record]:
    """The first record of those with the same words, by these. A text without words is none."""
    first: dict[tuple[str, ...], Record] = {}
    for record in records:
        if record.tokens:
            first.setdefault(tuple(record.tokens), record)
    return first


def find_duplicates(
    records: Sequence[Record],
    columns: Sequence[str],
    first_records: Mapping[tuple[str, ...], Record],
) -> Iterator[Duplicate]:
    """The records whose words another one has, which is among `first_records`."""
    for record in records:
        other = first_records.get(tuple(record.tokens))
        if other is not None and other is not record:
            is_conflict = any(record.columns[name] != other.columns[name] for name in columns)
            yield Duplicate(place_of(record), place_of(other), len(record.tokens), is_conflict)


def place_of(record: Record, at: int = 0) -> Place:
    """Where the token at this position stands; several may stand on one line."""
    offset = record.places[min(at, len(record.places) - 1)]
    return Place(record.file, record.line + offset)
