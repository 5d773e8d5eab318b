"""Words and their vectors: what a reader keeps of those it comes upon.

N words that are kept · D numbers of a vector
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from seqlm.errors import ModelError, shown

REPLACED = "\ufffd"
"""What stands for bytes that are no UTF-8."""
MAX_WIDTH = 1 << 16
"""The most numbers that a vector may have; published ones have up to a few thousand."""


class WordVectors(NamedTuple):
    """Each word once, in the order of the file."""

    words: list[str]
    vectors: np.ndarray  # (N, D) float32
    num_listed: int
    """How many of the words are in the file. Those after them are not: their vectors are composed
    of their character n-grams, and they come in the order of their characters."""


class VectorCollector:
    """Takes those words of a file that are asked for, and their vectors.

    Where a word comes twice, its first vector is kept. Memory is taken for what was read, never for
    what a header promises.
    """

    def __init__(
        self, name: str, width: int, wanted: Collection[str] | None, most: int | None
    ) -> None:
        """`name` is that of the file, and `width` is D. Errors: ModelError on the width."""
        if not 1 <= width <= MAX_WIDTH:
            raise ModelError(
                f"{name}: vectors of {width:,} numbers, where 1 to {MAX_WIDTH:,} are read"
            )
        self.name, self.width = name, width
        self.wanted = None if wanted is None else frozenset(wanted)
        limits = [most, None if self.wanted is None else len(self.wanted)]
        self.limit = min((limit for limit in limits if limit is not None), default=None)
        self.taken: dict[str, None] = {}
        self.num_repeated = 0
        self._size = 0  # rows that are filled
        self._rows = np.empty((0, width), np.float32)

    @property
    def is_full(self) -> bool:
        """Whether no other word would be taken, and reading may end."""
        return self.limit is not None and len(self.taken) >= self.limit

    def take(self, word: str) -> bool:
        """Whether the vector of `word` is to be added."""
        if self.wanted is not None and word not in self.wanted:
            return False
        if word in self.taken:
            self.num_repeated += 1
            return False
        self.taken[word] = None
        return True

    def add(self, rows: np.ndarray, lines: Sequence[int] | None = None) -> None:
        """The vectors (n, D) of the next n of the words that were taken, and their lines.

        Errors: ModelError naming the line, or the word, of a NaN or an infinite number.
        """
        start, self._size = self._size, self._size + len(rows)
        is_finite = np.isfinite(rows).all(axis=1)
        if not is_finite.all():
            row = int(is_finite.argmin())
            place = self.name if lines is None else f"{self.name}, line {lines[row]}"
            word = shown(list(self.taken)[start + row])
            raise ModelError(f"{place}: the vector of {word} has a number that is not finite")
        if self._size > len(self._rows):
            self._rows.resize((self._size + self._size // 8, self.width), refcheck=False)
        self._rows[start : self._size] = rows

    def finish(self, num_listed: int | None = None) -> WordVectors:
        """All that was added. Warnings say how many words come more than once, and how many have
        bytes that are no UTF-8."""
        assert len(self.taken) == self._size, "a word was taken, and its vector was not added"
        if self.num_repeated:
            warnings.warn(
                f"{self.name} repeats {self.num_repeated:,} words that it has already; the first"
                " vector of each is kept",
                stacklevel=2,
            )
        self._rows.resize((self._size, self.width), refcheck=False)
        words = list(self.taken)
        broken = [word for word in words if REPLACED in word]
        if broken:
            warnings.warn(
                f"{self.name}: {len(broken):,} words have U+FFFD, which stands for bytes that are"
                f" no UTF-8; the first is {shown(broken[0])}",
                stacklevel=2,
            )
        return WordVectors(words, self._rows, len(words) if num_listed is None else num_listed)
