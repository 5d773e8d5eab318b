"""Words in the plane: by the principal components of their vectors, or by t-SNE.

The vectors have length 1 first, so that words are near whose cosine is high, as for `nearest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from seqlm.errors import UsageError
from seqlm.evaluation.vector_maps.principal_components import principal_plane
from seqlm.evaluation.vector_maps.tsne import tsne
from seqlm.evaluation.vectors.nearest_words import direction
from seqlm.runs.loading.load_vectors import LoadedVectors

Method = Literal["pca", "tsne"]


class WordMap(NamedTuple):
    words: list[str]
    places: np.ndarray  # (N, 2)
    shares: tuple[float, float] | None = None
    """The share of the variance that lies along each component; None of t-SNE."""
    cost: float | None = None
    """What t-SNE has minimized, in nats."""


def map_words(
    table: LoadedVectors,
    words: Sequence[str],
    method: Method = "pca",
    perplexity: float | None = None,
    seed: int | None = None,
) -> WordMap:
    """The places of `words`, each once.

    Errors: UsageError where a word has no vector or one of zeros, there are too few words, or
    `perplexity` is none for so many.
    """
    chosen = list(dict.fromkeys(words))
    if len(chosen) < 2:
        raise UsageError(f"a map has at least 2 words, and there are {len(chosen)}")
    x = np.stack([direction(table, word) for word in chosen])  # (N, D)
    if method == "tsne":
        found = tsne(x, perplexity, seed)
        return WordMap(chosen, found.places, cost=found.cost)
    plane = principal_plane(x)
    return WordMap(chosen, plane.places(x), plane.shares)


class AnalogyMap(NamedTuple):
    """a is to b as c is to d, in the plane of the four words."""

    words: tuple[str, str, str, str]
    places: np.ndarray  # (4, 2) of a, b, c and d
    target: np.ndarray  # (2,) of b - a + c, where d would be if the differences were equal
    shares: tuple[float, float]


def map_analogy(table: LoadedVectors, a: str, b: str, c: str, d: str) -> AnalogyMap:
    """The places of four words. Errors: UsageError as `map_words`."""
    x = np.stack([direction(table, word) for word in (a, b, c, d)])  # (4, D)
    plane = principal_plane(x)
    target = plane.places(x[1] - x[0] + x[2])
    return AnalogyMap((a, b, c, d), plane.places(x), target, plane.shares)
