"""The two entries every vocabulary begins with, and the order of the rest."""

from __future__ import annotations

from collections.abc import Iterable

UNK, EOS = 0, 1
"""Ids of `<unk>`, the unknown type, and `</s>`, the end of a line."""

RESERVED = [b"<unk>", b"</s>"]


def ordered(counts: Iterable[tuple[bytes, int]]) -> list[bytes]:
    """Types by falling count, ties by their bytes: equal text gives equal ids."""
    return [type_ for type_, _ in sorted(counts, key=lambda item: (-item[1], item[0]))]
