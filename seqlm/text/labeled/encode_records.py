"""Records of labeled text to a vocabulary, and to the numbers that a labeler reads.

A label of validation text that training does not have is encoded as -1: it is not learned from,
and counts as wrong.

N tokens · R records · K columns of labels · F columns that are read as features
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from seqlm.errors import UsageError, did_you_mean
from seqlm.text.labeled.label_vocabulary import (
    UNKNOWN_LABEL,
    FeatureColumn,
    LabelColumn,
    LabelVocabulary,
)
from seqlm.text.labeled.labeled_batches import EncodedSentences
from seqlm.text.labeled.record import Record
from seqlm.text.labeled.tag_schemes import convert, recognize_scheme
from seqlm.text.labeled.word_forms import FormReader, affixes_of
from seqlm.text.normalization import Normalizer
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED, order_types

MIN_FORMS = 2
"""Different forms that a character or an affix needs to occur in, so that some are unknown."""


# ---------------------------------------------------------------------------------- a vocabulary


def learn_tokenizer(
    records: Sequence[Record],
    normalizer: Normalizer,
    vocab_size: int | None,
    min_count: int,
    more_words: Iterable[str] = (),
) -> Tokenizer:
    """The words that have an embedding: those of the text, and `more_words`, which have vectors.

    A form with white space in it, which few texts have, is no word.
    """
    counts = Counter(token.encode() for record in records for token in record.tokens)
    normalized: Counter[bytes] = Counter()
    for form, count in counts.items():
        normalized[normalizer(form) if normalizer else form] += count
    frequent = order_types((t, n) for t, n in normalized.items() if n >= min_count)
    words = dict.fromkeys(
        [*frequent[: vocab_size and vocab_size - 2], *map(str.encode, more_words)]
    )
    types = [word for word in words if len(word.split()) == 1 and word not in RESERVED]
    return Tokenizer("word", RESERVED + types, normalizer=normalizer)


def learn_label_vocabulary(
    records: Sequence[Record],
    task: str,
    columns: Sequence[str],
    features: Sequence[str],
    scheme: str | None,
    affixes: int,
) -> LabelVocabulary:
    """Labels, characters, affixes of up to `affixes` characters, and values of feature columns.

    `scheme` is the one that the model learns of columns that have one; None is that of the text.
    Errors: UsageError where a column is missing, or none has a scheme that is to be another.
    """
    for name in (*columns, *features):
        column_of(records[0], name)
    labels = tuple(learn_labels(records, name, task, scheme) for name in columns)
    if scheme not in (None, "none") and all(each.text_scheme == "none" for each in labels):
        raise UsageError(
            f"`scheme={scheme}`: the labels of {', '.join(columns)} are no tags of a scheme, such"
            " as B-X and O"
        )
    forms = {token for record in records for token in record.tokens}
    by_length = zip(*(affixes_of(form, affixes) for form in forms))
    return LabelVocabulary(
        task=task,
        labels=labels,
        features=tuple(
            FeatureColumn(name, by_count(v for r in records for v in column_of(r, name)))
            for name in features
        ),
        characters=by_count((character for form in forms for character in {*form}), MIN_FORMS),
        affixes=tuple(by_count(kind, MIN_FORMS) for kind in by_length) if affixes else (),
    )


def learn_labels(
    records: Sequence[Record], column: str, task: str, scheme: str | None
) -> LabelColumn:
    """The labels of a column, in the scheme of the model if they have one."""
    sequences = [column_of(record, column) for record in records]
    of_text = recognize_scheme(sequences) if task == "tagging" else "none"
    of_model = of_text if scheme is None or "none" in (scheme, of_text) else scheme
    labels = by_count(
        label for tags in sequences for label in convert_tags(tags, of_text, of_model)
    )
    return LabelColumn(column, labels, of_text, of_model)


def by_count(values: Iterable[str], min_count: int = 1) -> tuple[str, ...]:
    """The different values, the most frequent first, of equal counts in the order of their code
    points, so that equal text gives equal ids."""
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    return tuple(value for value, count in counts if count >= min_count)


def column_of(record: Record, name: str) -> list[str]:
    """The values of a column of a record. Errors: UsageError where it has none of that name."""
    if name not in record.columns:
        near = did_you_mean(name, record.columns)
        raise UsageError(f"{record.file}, line {record.line}: there is no column {name!r}{near}")
    return record.columns[name]


def convert_tags(tags: list[str], source: str, target: str) -> list[str]:
    """Tags of one scheme in another."""
    return tags if source == target else convert(tags, source, target)


# ------------------------------------------------------------------------------------- numbers


def encode_records(
    records: Sequence[Record], reader: FormReader, vocabulary: LabelVocabulary
) -> EncodedSentences:
    """The numbers of `records`; a column of labels counts where all of them have it.

    A record without tokens is read as one empty form. Errors: UsageError where a column that is
    read as a feature is missing.
    """
    sentences = [record.tokens or [""] for record in records]
    form_of, table = reader.read(token for tokens in sentences for token in tokens)
    lengths = np.array([len(tokens) for tokens in sentences], np.int64)
    features = [
        encode_values([v for r in records for v in column_of(r, column.name)], column.values, 1, 0)
        for column in vocabulary.features
    ]
    rows = len(form_of) if vocabulary.task == "tagging" else len(records)
    labels = [
        encode_values(gold, column.labels, 0, UNKNOWN_LABEL)
        if len(gold := gold_labels(records, column)) == rows
        else np.full(rows, UNKNOWN_LABEL)
        for column in vocabulary.labels
    ]
    return EncodedSentences(
        table,
        form_of,
        lengths,
        columns=np.stack(features, 1) if features else np.zeros((len(form_of), 0), np.int64),
        labels=np.stack(labels, 1),
    )


def gold_labels(records: Iterable[Record], column: LabelColumn) -> list[str]:
    """The labels of a column that records have, one after the other, in the scheme of the model."""
    return [
        label
        for record in records
        for label in convert_tags(
            record.columns.get(column.name, []), column.text_scheme, column.model_scheme
        )
    ]


def encode_values(
    values: Sequence[str], known: Sequence[str], first_id: int, unknown: int
) -> np.ndarray:
    """(N,) int64 ids of `values`, those `known` from `first_id` on."""
    ids = {value: id for id, value in enumerate(known, first_id)}
    return np.array([ids.get(value, unknown) for value in values], np.int64)
