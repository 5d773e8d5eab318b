"""The two entries that every vocabulary begins with, and the order of the rest."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

UNK, EOS = 0, 1
"""Ids of `<unk>`, the unknown type, and `</s>`, the end of a line."""

RESERVED = [b"<unk>", b"</s>"]


def order_types(counts: Iterable[tuple[bytes, int]]) -> list[bytes]:
    """Types by falling count, ties by their bytes, so that equal text gives equal ids."""
    by_bytes = sorted(counts, key=itemgetter(0))
    return [type_ for type_, _ in sorted(by_bytes, key=itemgetter(1), reverse=True)]
