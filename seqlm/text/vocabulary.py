"""The two entries that every vocabulary begins with, the order of the rest, and changes of ids.

Ids are in the order in which a model reads them, line after line:

    forward    from the beginning of a line to its end        the old pond </s>
    backward   from the end of a line to its beginning        pond old the </s>
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Literal, get_args

import numpy as np

UNK, EOS = 0, 1
"""Ids of `<unk>`, the unknown type, and `</s>`, the end of a line."""

RESERVED = [b"<unk>", b"</s>"]

Direction = Literal["forward", "backward"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


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


def line_reversal(ids: np.ndarray) -> np.ndarray:
    """(N,) the positions of the tokens of `ids` (N,), those of each line in reverse order and each
    `</s>` where it is. It is its own inverse."""
    ends = np.append(np.flatnonzero(ids == EOS), len(ids))  # the last line may have no `</s>`
    starts = np.insert(ends[:-1] + 1, 0, 0)
    order = np.arange(len(ids))
    inside = ids != EOS
    order[inside] = np.repeat(starts + ends - 1, ends - starts) - order[inside]
    return order


LINES_AT_ONCE = 1 << 14
"""Lines that are reversed together, which bounds memory."""


def reverse_lines(ids: np.ndarray) -> None:
    """Reverses every line of `ids` (N,) in place, but for its `</s>`."""
    ends = np.flatnonzero(ids == EOS) + 1
    for lines in np.split(ids, ends[LINES_AT_ONCE - 1 :: LINES_AT_ONCE]):
        lines[:] = lines[line_reversal(lines)]
