"""What the vectors of count models are made of: the weighted number of times two words are near.

    X_ij = sum over the occurrences of word i, and those of word j up to w words away, of a(d)

    d   the distance, 1 … w, of two words of a line: no window reaches over the end of a line
    a   their weight, one of DISTANCE_WEIGHTS
            harmonic   1/d              GloVe (Pennington, Socher & Manning 2014, section 4.2)
            dynamic    (w - d + 1)/w    word2vec, on average: it draws each window from 1 … w
            flat       1

Words that the vocabulary lacks are no words: they are left out before the windows are laid, so that
a window reaches beyond them. That is what GloVe's `cooccur` and word2vec do. So two words may stand
further apart in the text than w.

Sums are of whole numbers, of weights in units of 1 / UNITS. They do not depend on the order in
which they are added up, and a billionth is all that a weight loses.

V vocabulary · U pairs that occur · w window
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch

from seqlm.models.ngram.ngram_order import context_blocks
from seqlm.models.vectors.sparse_matrix import Entries

UNITS = 1 << 30

BLOCK = 1 << 18
"""Pairs of a block, about."""

DistanceWeight = Literal["harmonic", "dynamic", "flat"]
DISTANCE_WEIGHTS: tuple[DistanceWeight, ...] = get_args(DistanceWeight)


def weights_of_distances(kind: DistanceWeight, window: int) -> np.ndarray:
    """(w,) int64, the weights of distances 1 … w, in units.

    >>> (weights_of_distances("dynamic", 4) / UNITS).tolist()
    [1.0, 0.75, 0.5, 0.25]
    """
    d = np.arange(1, window + 1)
    a: dict[DistanceWeight, np.ndarray] = {
        "harmonic": 1 / d,
        "dynamic": (window - d + 1) / window,
        "flat": np.ones(window),
    }
    units: np.ndarray = np.rint(a[kind] * UNITS).astype(np.int64)
    return units


class Cooccurrences(NamedTuple):
    """The pairs that occur, sorted by word, and those of a word by the word near it."""

    first: np.ndarray  # (V + 1,) int32, word i has the pairs first[i] to first[i + 1]
    columns: np.ndarray  # (U,) int32, the words j
    sums: np.ndarray  # (U,) int64, X_ij in units

    def blocks(self) -> Iterator[Entries]:
        """All pairs in their order, some whole words at a time; x in float64."""
        for words, pairs in context_blocks(self.first, BLOCK):
            if pairs.start == pairs.stop:
                continue
            sizes = np.diff(self.first[words.start : words.stop + 1])
            rows = np.arange(words.start, words.stop).repeat(sizes)
            columns, x = self.columns[pairs].astype(np.int64), self.sums[pairs] / UNITS
            yield Entries(*map(torch.from_numpy, (rows, columns, x)))
