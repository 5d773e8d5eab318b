"""Hard debiasing: Bolukbasi et al. 2016, "Man is to computer programmer as woman is to homemaker?".

All vectors have length 1, and w_B = (w · g) g is the part of w along the direction g of the bias.

    neutralize   w := (w - w_B) / |w - w_B|                               for every neutral word w
    equalize     w := ν + sqrt(1 - |ν|²) (w_B - μ_B) / |w_B - μ_B|        for every w in a set E,
                 μ = 1 / |E| sum_{w in E} w,   ν = μ - μ_B

A neutral word then has no part along g, and the words of a pair E, as (she, he), differ in nothing
but their side: every neutral word is as similar to one of them as to the other. Words that are
neither, as `queen`, keep their direction. A word that lies along g alone has nothing left, and
becomes the vector 0.

    N words · D numbers of a vector · e words of a set
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from seqlm.errors import DataError
from seqlm.evaluation.bias.bias_direction import BiasDirection
from seqlm.evaluation.bias.find_words import find_pairs, find_words, unit_rows
from seqlm.runs.loading.load_vectors import ROWS_AT_ONCE, LoadedVectors

NOTHING = 1e-6
"""A part of a vector of length 1 that is shorter is the rounding of float32."""


def debias_words(
    table: LoadedVectors,
    direction: BiasDirection,
    keep: Iterable[str] = (),
    equalize: Sequence[tuple[str, str]] | None = None,
) -> LoadedVectors:
    """The table with every word neutralized but for the words of the direction and those of `keep`,
    and the pairs `equalize` equalized, by default those of the direction.

    Errors: DataError where a pair cannot be equalized.
    """
    kept = [*direction.words.all_rows, *find_words(table, keep).rows]
    pairs = direction.words if equalize is None else find_pairs(table, equalize)
    return table.with_vectors(hard_debias(table, direction.g, kept, pairs.rows))


def hard_debias(
    table: LoadedVectors,
    g: np.ndarray,
    keep: Collection[int] = (),
    equality_sets: Sequence[Sequence[int]] = (),
) -> np.ndarray:
    """(N, D) float32: all words neutralized along g (D,), but for the rows `keep`, and the sets of
    rows equalized.

    Errors: DataError where a word is in two sets, or the words of a set do not differ along g.
    """
    check_sets(table, g, equality_sets)
    kept = np.zeros(len(table), bool)
    kept[list(keep)] = True
    debiased = np.empty(table.vectors.shape, np.float32)  # the one new matrix
    for start in range(0, len(table), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        w = unit_rows(table.vectors[part])
        debiased[part] = np.where(kept[part, None], w, neutralize(w, g))
    for rows in equality_sets:
        debiased[list(rows)] = equalize(unit_rows(table.vectors[list(rows)]), g)
    return debiased


def check_sets(table: LoadedVectors, g: np.ndarray, equality_sets: Sequence[Sequence[int]]) -> None:
    """Errors: DataError where sets cannot be equalized."""
    times = Counter(row for rows in equality_sets for row in rows)
    for rows in equality_sets:
        names = " and ".join(table.words[row] for row in rows)
        for row in rows:
            if times[row] > 1:
                raise DataError(f"{table.words[row]} is to be equalized twice, once in {names}")
        lies_at = unit_rows(table.vectors[list(rows)]) @ g
        if (np.abs(lies_at - lies_at.mean()) < NOTHING).any():
            raise DataError(f"{names} cannot be equalized: they do not differ along the direction")


def along(w: np.ndarray, g: np.ndarray) -> np.ndarray:
    """w_B (n, D) of w (n, D)."""
    w_B: np.ndarray = (w @ g)[:, None] * g
    return w_B


def neutralize(w: np.ndarray, g: np.ndarray) -> np.ndarray:
    """(n, D) of vectors w (n, D) of length 1."""
    rest = w - along(w, g)
    rest[np.linalg.norm(rest, axis=1) < NOTHING] = 0
    return unit_rows(rest)


def equalize(w: np.ndarray, g: np.ndarray) -> np.ndarray:
    """(e, D) of a set w (e, D) of vectors of length 1 that differ along g."""
    mu = w.mean(0, keepdims=True)  # (1, D)
    nu = mu - along(mu, g)
    side = along(w, g) - along(mu, g)  # (e, D)
    length = np.sqrt(max(0.0, 1 - float((nu**2).sum())))
    equalized: np.ndarray = nu + length * unit_rows(side)
    return equalized
