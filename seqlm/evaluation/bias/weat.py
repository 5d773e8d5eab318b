"""The word-embedding association test (WEAT): Caliskan, Bryson & Narayanan 2017, "Semantics derived
automatically from language corpora contain human-like biases".

    X, Y    two sets of target words, as flowers and insects
    A, B    two sets of attribute words, as pleasant and unpleasant ones

    s(w, A, B)    = mean_{a in A} cos(w, a) - mean_{b in B} cos(w, b)
    s(X, Y, A, B) = sum_{x in X} s(x, A, B) - sum_{y in Y} s(y, A, B)                   statistic

    d = (mean_{x in X} s(x, A, B) - mean_{y in Y} s(y, A, B)) / std_{w in X ∪ Y} s(w, A, B)
    p = Pr_i [ s(X_i, Y_i, A, B) >= s(X, Y, A, B) ]

(X_i, Y_i) are the partitions of X ∪ Y into sets of the sizes of X and Y. The paper leaves open, or
others took differently:

    std      divides by N - 1 (sample) or N (population), N = |X| + |Y|. d_sample is
             sqrt((N - 1) / N) d_population, whose largest value is 2.
    sided    one: as above. two: | . | around both sides of >=.
    ties     counted: >=, so that X, Y themselves count, and p is at least 1 / partitions.
             excluded: >, as the paper writes it.
    samples  with more than EXACT partitions, p is that of so many drawn at random. With ties
             counted it is (times + 1) / (samples + 1), as X, Y are one more draw (Phipson & Smyth
             2010, "Permutation p-values should never be zero"); else times / samples.

Where X and Y have lost words and differ in size, the sums of s(X, Y, A, B) cannot be compared. p
compares t = mean_{x in X_i} s(x) - mean_{y in Y_i} s(y), which is the same for equal sizes.

The second test of the paper, WEFAT, has one word w in place of the targets:

    d(w, A, B) = (mean_{a in A} cos(w, a) - mean_{b in B} cos(w, b)) / std_{c in A ∪ B} cos(w, c)

    n, m words of X and of Y · D numbers of a vector · P partitions
    Vectors are rows of length 1, so that cos(w, a) = w · a.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice
from math import comb
from typing import NamedTuple

import numpy as np

from seqlm.evaluation.bias.bias_settings import WeatSettings

EXACT = 200_000
"""The most partitions that are all enumerated."""
PIECE = 1 << 20
"""The largest number of words in the partitions that are in memory at once."""
TIE = 1e-7
"""Statistics t that differ less are equal: vectors are of float32, and that is its rounding."""
FLAT = 1e-6
"""A smaller standard deviation is rounding, and nothing is divided by it. Hard debiasing, which
equalizes the words of A and B, makes every association 0 up to that."""


class WeatFigures(NamedTuple):
    effect_size: float
    """d; NaN where all words have the same association."""
    p: float
    statistic: float
    partitions: int
    """How many p was found from."""
    is_exact: bool
    """Whether these are all."""


def weat(
    x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray, settings: WeatSettings
) -> WeatFigures:
    """The test on vectors of length 1: x (n, D), y (m, D), and those of A and B."""
    s_x, s_y = association(x, a, b), association(y, a, b)
    d = effect_size(s_x, s_y, settings.std)
    p, partitions, is_exact = p_value(s_x, s_y, settings)
    return WeatFigures(d, p, float(s_x.sum() - s_y.sum()), partitions, is_exact)


def association(words: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """s(w, A, B) (n,) of words (n, D)."""
    s: np.ndarray = (words @ a.T).mean(1) - (words @ b.T).mean(1)
    return s


def effect_size(s_x: np.ndarray, s_y: np.ndarray, std: str) -> float:
    """d of s(x, A, B) (n,) and s(y, A, B) (m,)."""
    return quotient(s_x.mean() - s_y.mean(), deviation(np.concatenate([s_x, s_y]), std))


def word_effect_sizes(words: np.ndarray, a: np.ndarray, b: np.ndarray, std: str) -> np.ndarray:
    """d(w, A, B) (n,) of words (n, D): WEFAT. NaN where all cosines of a word are equal."""
    cosines = words @ np.concatenate([a, b]).T  # (n, |A| + |B|)
    s = association(words, a, b)
    return np.array([quotient(of_w, deviation(row, std)) for of_w, row in zip(s, cosines)])


def deviation(values: np.ndarray, std: str) -> float:
    return float(values.std(ddof=1 if std == "sample" else 0))


def quotient(difference: float, deviation: float) -> float:
    return float(difference) / deviation if deviation > FLAT else float("nan")


# --------------------------------------------------------------------------------------------- p


def p_value(s_x: np.ndarray, s_y: np.ndarray, settings: WeatSettings) -> tuple[float, int, bool]:
    """p of s(x, A, B) (n,) and s(y, A, B) (m,), how many partitions it is of, and whether these are
    all."""
    s, n, m = np.concatenate([s_x, s_y]), len(s_x), len(s_y)
    number = comb(n + m, n)
    is_exact = number <= EXACT
    if is_exact:
        partitions = all_partitions(n + m, n)
    else:
        number = settings.samples
        partitions = drawn_partitions(n + m, n, number, settings.seed)

    observed = far(s_x.mean() - s_y.mean(), settings.sided)
    times = 0
    for chosen in partitions:  # (P, n), the words of X_i
        sums = s[chosen].sum(1)
        t = far(sums / n - (s.sum() - sums) / m, settings.sided)
        if settings.ties == "counted":
            times += int((t >= observed - TIE).sum())
        else:
            times += int((t > observed + TIE).sum())
    if is_exact or settings.ties == "excluded":
        return times / number, number, is_exact
    return (times + 1) / (number + 1), number, is_exact


def far(t: np.ndarray, sided: str) -> np.ndarray:
    return np.abs(t) if sided == "two" else t


def all_partitions(total: int, n: int) -> Iterator[np.ndarray]:
    """Every choice of n of the numbers 0, .., total - 1, as rows (P, n), in pieces."""
    choices = combinations(range(total), n)
    while piece := list(islice(choices, max(1, PIECE // total))):
        yield np.array(piece, np.int64)


def drawn_partitions(total: int, n: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """As `all_partitions`, but of `samples` choices that are drawn, each equally probable."""
    generator = np.random.default_rng(seed)
    rows = max(1, PIECE // total)
    for first in range(0, samples, rows):
        keys = generator.random((min(rows, samples - first), total))
        yield keys.argsort(1)[:, :n]
