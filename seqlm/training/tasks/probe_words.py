"""An early look at word vectors while they are learned: the words nearest to a few others.

    r = V^0.5, V^0.6, V^0.7

These are the words of the setting `probe`, or else those of the ranks r by falling count: frequent
enough to be learned early, and rare enough to be no function words.

V words
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from seqlm.errors import UsageError, nearest, shown
from seqlm.evaluation.vectors.nearest_words import nearest_words
from seqlm.runs.loading.load_vectors import LoadedVectors, similar_words
from seqlm.text.labeled.record import names_in

POWERS = (0.5, 0.6, 0.7)
NEIGHBORS = 4


def probe_words(probe: str | None, words: Sequence[str], counts: np.ndarray) -> list[str]:
    """Those that `probe` names, with commas between them, or some of middle frequency; `counts`
    (V,) are those of `words`. Errors: UsageError where one is not among them."""
    if probe is None:
        by_count = np.argsort(-counts, kind="stable")
        ranks = sorted({round(len(words) ** power) for power in POWERS})
        return [words[by_count[rank - 1]] for rank in ranks]
    named = names_in(probe)
    for word in named:
        if word not in words:
            near = nearest(word, similar_words(word, words), cutoff=0.7)
            raise UsageError(f"`probe`: {shown(word)} is no word that has a vector{near}")
    return named


def describe_nearest(words: Sequence[str], table: LoadedVectors) -> str:
    """'nearest to king: queen, prince; to water: sea, river'; '' where no word has a neighbor."""
    found = "; to ".join(neighborhoods(words, table))
    return f"nearest to {found}" if found else ""


def neighborhoods(words: Sequence[str], table: LoadedVectors) -> Iterator[str]:
    """'king: queen, prince' for each of `words` that has neighbors."""
    for word in words:
        vector = table.vector(word)
        if len(table) > 1 and vector.any() and np.isfinite(vector).all():
            neighbors = nearest_words(table, vector, NEIGHBORS, exclude=[word])
            yield f"{word}: {', '.join(neighbor.word for neighbor in neighbors)}"
