"""The word that does not belong to the others: the one least similar to the mean of all.

    m = 1/n Σ v_w / |v_w|          odd one out = argmin cos(m, w)

Every word counts alike, however long its vector is.

    n words · D numbers of a vector
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlm.errors import UsageError
from seqlm.evaluation.vectors.nearest_words import Neighbor, cosine, direction
from seqlm.runs.loading.load_vectors import LoadedVectors

FEWEST = 3
"""Of two words, each is as far from their mean as the other."""


def odd_one_out(table: LoadedVectors, words: Sequence[str]) -> list[Neighbor]:
    """The `words`, each with its similarity to the mean of all; the odd one is first, and equal
    ones stand in the order of `words`.

    Errors: UsageError where there are fewer than three words, or one has no vector or one without a
    direction.
    """
    if len(words) < FEWEST:
        raise UsageError(f"the odd one out is one of {FEWEST} words or more, not of {len(words)}")
    vectors = [direction(table, word) for word in words]
    mean = np.mean(vectors, axis=0)  # (D,)
    found = [Neighbor(word, cosine(mean, vector)) for word, vector in zip(words, vectors)]
    return sorted(found, key=lambda neighbor: neighbor.similarity)
