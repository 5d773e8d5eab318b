"""What a labeler knows of its text besides words: labels, characters, affixes, and feature columns.

It is learned from the training text and stored as `labels.json`:

    task         tagging or classification
    labels       of each column that is learned: its labels, most frequent first, and the schemes of
                 tags that the text and the model have
    features     of each column that is read: its values
    characters, affixes
                 those that occur twice or more often; all others are unknown
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from seqlm.errors import ModelError, fault_of, shown

PADDING, UNKNOWN, BEGIN, END = range(4)
"""Ids of characters that every vocabulary has."""
RESERVED_CHARACTERS = 4
UNKNOWN_LABEL = -1
"""A label that is not given, or that training never saw; also that of the padding."""


@dataclass(frozen=True)
class LabelColumn:
    """A column of labels that is learned."""

    name: str
    labels: tuple[str, ...]
    """By their ids, in the scheme of the model."""
    text_scheme: str = "none"
    """The scheme of the training text, in which predictions are written."""
    model_scheme: str = "none"
    """The scheme that the model learns."""


@dataclass(frozen=True)
class FeatureColumn:
    """A column that is given, and read beside the words."""

    name: str
    values: tuple[str, ...]
    """By their ids, from 1 on: 0 is a value that training did not have."""


@dataclass(frozen=True)
class LabelVocabulary:
    task: str
    labels: tuple[LabelColumn, ...]
    features: tuple[FeatureColumn, ...] = ()
    characters: tuple[str, ...] = ()
    affixes: tuple[tuple[str, ...], ...] = ()
    """Prefixes of one character, of two, …, then suffixes; the ids begin at 1."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns that are learned."""
        return [column.name for column in self.labels]

    @property
    def feature_columns(self) -> list[str]:
        return [column.name for column in self.features]

    def sizes(self) -> dict[str, Any]:
        """The options of a labeler that the text decides, but for `vocab_size`."""
        return {
            "label_types": tuple(len(column.labels) for column in self.labels),
            "character_types": RESERVED_CHARACTERS + len(self.characters),
            "affix_types": tuple(1 + len(affixes) for affixes in self.affixes),
            "column_types": tuple(1 + len(column.values) for column in self.features),
        }

    # -- on disk

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_values(cls, values: Any) -> Self:
        """The vocabulary in the plain `values` of labels.json. Errors: ModelError."""
        try:
            check(values.keys() == {"task", "labels", "features", "characters", "affixes"}, values)
            check(values["task"] in ("tagging", "classification"), values["task"])
            labels = tuple(label_column(column) for column in values["labels"])
            features = tuple(feature_column(column) for column in values["features"])
            affixes = tuple(texts(kind) for kind in values["affixes"])
            check(bool(labels) and len(affixes) % 2 == 0, values["affixes"])
            names = [each.name for each in labels] + [each.name for each in features]
            check(len(names) == len(set(names)), names)
            characters = texts(values["characters"])
            vocabulary = cls(values["task"], labels, features, characters, affixes)
            vocabulary.to_json().encode()  # JSON can spell half a character, which is no text
            return vocabulary
        except (AttributeError, KeyError, TypeError, UnicodeEncodeError) as error:
            raise ModelError(f"not the labels that seqlm wrote{fault_of(error)}") from None


def label_column(values: Mapping[str, Any]) -> LabelColumn:
    column = LabelColumn(**{**values, "labels": texts(values["labels"])})
    check(isinstance(column.name, str) and bool(column.labels), values)
    schemes = {column.text_scheme, column.model_scheme}
    check(schemes == {"none"} or schemes <= {"iob1", "iob2", "bioes"}, values)
    return column


def feature_column(values: Mapping[str, Any]) -> FeatureColumn:
    column = FeatureColumn(**{**values, "values": texts(values["values"])})
    check(isinstance(column.name, str), values)
    return column


def texts(values: Any) -> tuple[str, ...]:
    """A list of different texts. Errors: ModelError where `values` is none."""
    check(isinstance(values, list) and all(isinstance(value, str) for value in values), values)
    check(len(set(values)) == len(values), values)
    return tuple(values)


def check(holds: bool, values: Any) -> None:
    if not holds:
        raise ModelError(f"not the labels that seqlm wrote: {shown(values, 200)}")
