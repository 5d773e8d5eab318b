"""The two entries that every vocabulary begins with, the order of the rest, and changes of ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter

import numpy as np

UNK, EOS = 0, 1
"""Ids of `<unk>`, the unknown type, and `</s>`, the end of a line."""

RESERVED = [b"<unk>", b"</s>"]


def order_types(counts: Iterable[tuple[bytes, int]]) -> list[bytes]:
    """Types by falling count, ties by their bytes, so that equal text gives equal ids."""
    by_bytes = sorted(counts, key=itemgetter(0))
    return [type_ for type_, _ in sorted(by_bytes, key=itemgetter(1), reverse=True)]


def id_mapping(types: list[bytes], vocabulary: list[bytes]) -> np.ndarray:
    """(V,) int32, the id of each of `types` in a vocabulary that follows the two reserved entries.

    Types outside it become `<unk>`.
    """
    final = {type_: id for id, type_ in enumerate(vocabulary, 2)}
    return np.array([UNK, EOS, *(final.get(type_, UNK) for type_ in types[2:])], np.int32)


CHUNK_SIZE = 1 << 20


def split_into_chunks(ids: np.ndarray) -> Iterator[np.ndarray]:
    """Views of `ids`, to be handled one after the other so that copies stay small."""
    for start in range(0, len(ids), CHUNK_SIZE):
        yield ids[start : start + CHUNK_SIZE]


def count_ids(ids: np.ndarray, size: int) -> np.ndarray:
    """(size,) int64, the number of occurrences of each id."""
    counts = np.zeros(size, np.int64)
    for chunk in split_into_chunks(ids):
        counts += np.bincount(chunk, minlength=size)
    return counts


def apply_id_mapping(ids: np.ndarray, mapping: np.ndarray) -> None:
    """ids = mapping[ids], in place."""
    for chunk in split_into_chunks(ids):
        mapping.take(chunk, out=chunk, mode="clip")
