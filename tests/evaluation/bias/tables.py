"""Small tables of vectors, whose bias is known because it was put there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqlm.runs.loading.load_vectors import LoadedVectors

Rows = Sequence[Sequence[float]]


def table_of(words: Sequence[str], vectors: Rows | np.ndarray) -> LoadedVectors:
    rows = np.array(vectors, np.float32)
    return LoadedVectors(
        words=list(words), vectors=rows, path=Path("toy.txt"), weights_digest="0" * 12
    )


def biased_table(words: int = 400, width: int = 12, seed: int = 1) -> LoadedVectors:
    """Words w0, w1, .. in a cloud, the pairs f0 m0, f1 m1, .. along its first number, and a bias of
    the words along that number and, less, along the second."""
    rng = np.random.default_rng(seed)
    cloud = rng.normal(size=(words, width))
    cloud[:, 1] += 0.8 * cloud[:, 0]
    middles = rng.normal(size=(8, width))
    step = np.eye(width)[0]
    names = [f"w{n}" for n in range(words)]
    for n, middle in enumerate(middles):
        cloud = np.concatenate([cloud, [middle + 1.5 * step, middle - 1.5 * step]])
        names += [f"f{n}", f"m{n}"]
    return table_of(names, cloud)


PAIRS = [(f"f{n}", f"m{n}") for n in range(8)]
