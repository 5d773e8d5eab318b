"""WEAT: an example worked on paper, and plain loops over the printed formulas."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from seqlm.evaluation.bias import weat as module
from seqlm.evaluation.bias.bias_settings import WeatSettings
from seqlm.evaluation.bias.find_words import unit_rows
from seqlm.evaluation.bias.weat import all_partitions, drawn_partitions, p_value, weat

Vectors = list[list[float]]


def run(x: Vectors, y: Vectors, a: Vectors, b: Vectors, **chosen: object) -> module.WeatFigures:
    sets = (unit_rows(np.array(each, float)) for each in (x, y, a, b))
    return weat(*sets, WeatSettings(**chosen))  # type: ignore[arg-type]


# ---------------------------------------------------------------------------- an example on paper

# A = {(1, 0)}, and B = {(0, 1), (0, 2)}, of one direction: s(w) = cos(w, a) - cos(w, b).
#
#     x1 = ( 4, 3)   4/5 - 3/5 =  0.2        y1 = ( 0, 2)    0 - 1       = -1
#     x2 = ( 3, 0)   1   - 0   =  1          y2 = (-3, 4)   -3/5 - 4/5   = -1.4
#
# statistic   (0.2 + 1) - (-1 - 1.4) = 3.6
# means       0.6 and -1.2, and their difference is 1.8
# deviation   the mean of all is -0.3; (0.5² + 1.3² + 0.7² + 1.1²) = 3.64
#             of a sample sqrt(3.64 / 3) = 1.101514, of the population sqrt(3.64 / 4) = 0.953939
# d           1.8 / 1.101514 = 1.634114, and 1.8 / 0.953939 = 1.886913
# partitions  of six, the sums of X_i are 1.2, -0.8, -1.2, 0, -0.4, -2.4, and s(X_i, Y_i) is twice
#             that + 1.2: 3.6, -0.4, -1.2, 1.2, 0.4, -3.6. One is >= 3.6, none is > 3.6, and two are
#             as far from 0.
PAPER: dict[str, Vectors] = {
    "x": [[4, 3], [3, 0]],
    "y": [[0, 2], [-3, 4]],
    "a": [[1, 0]],
    "b": [[0, 1], [0, 2]],
}


def test_the_example_on_paper() -> None:
    found = run(**PAPER)
    assert found.statistic == pytest.approx(3.6, abs=1e-12)
    assert found.effect_size == pytest.approx(1.8 / math.sqrt(3.64 / 3), abs=1e-12)
    assert found.effect_size == pytest.approx(1.634114, abs=1e-6)
    assert (found.p, found.partitions, found.is_exact) == (1 / 6, 6, True)


def test_the_example_with_the_other_formulas() -> None:
    population = run(**PAPER, std="population").effect_size
    assert population == pytest.approx(1.886913, abs=1e-6)
    assert run(**PAPER).effect_size == pytest.approx(math.sqrt(3 / 4) * population, abs=1e-12)
    assert run(**PAPER, sided="two").p == 2 / 6
    assert run(**PAPER, ties="excluded").p == 0
    assert run(**PAPER, ties="excluded", sided="two").p == 0


def test_opposite_sets_have_the_opposite_effect() -> None:
    exchanged = {**PAPER, "x": PAPER["y"], "y": PAPER["x"]}
    assert run(**exchanged).effect_size == -run(**PAPER).effect_size
    assert run(**exchanged).statistic == -run(**PAPER).statistic
    assert run(**exchanged).p == 1
    attributes = {**PAPER, "a": PAPER["b"], "b": PAPER["a"]}
    assert run(**attributes).effect_size == pytest.approx(-run(**PAPER).effect_size, abs=1e-12)


def test_the_largest_effect_size() -> None:
    """2 with the deviation of the population, where every x is as far from every y as can be."""
    apart: dict[str, Vectors] = {
        "x": [[1, 0], [2, 0]], "y": [[0, 1], [0, 3]], "a": [[1, 0]], "b": [[0, 1]],
    }  # fmt: skip
    assert run(**apart, std="population").effect_size == pytest.approx(2, abs=1e-12)
    assert run(**apart).effect_size == pytest.approx(2 * math.sqrt(3 / 4), abs=1e-12)


def test_without_any_difference_there_is_no_effect_size() -> None:
    same: dict[str, Vectors] = {
        "x": [[1, 2], [2, 4]], "y": [[3, 6], [1, 2]], "a": [[1, 0]], "b": [[0, 1]],
    }  # fmt: skip
    found = run(**same)
    assert math.isnan(found.effect_size)
    assert (found.p, run(**same, ties="excluded").p) == (1, 0)


# ------------------------------------------------------------------------------------ plain loops


def cosine(u: list[float], v: list[float]) -> float:
    product = sum(a * b for a, b in zip(u, v))
    return product / math.sqrt(sum(a * a for a in u)) / math.sqrt(sum(b * b for b in v))


def s(w: list[float], a: Vectors, b: Vectors) -> float:
    return sum(cosine(w, v) for v in a) / len(a) - sum(cosine(w, v) for v in b) / len(b)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def loops(x: Vectors, y: Vectors, a: Vectors, b: Vectors, chosen: WeatSettings) -> list[float]:
    """d, p and the statistic, by the formulas as they are printed."""
    of_x, of_y = [s(w, a, b) for w in x], [s(w, a, b) for w in y]
    both = of_x + of_y
    divisor = len(both) - (chosen.std == "sample")
    deviation = math.sqrt(math.fsum((v - mean(both)) ** 2 for v in both) / divisor)
    d = (mean(of_x) - mean(of_y)) / deviation

    def t(first: list[float], second: list[float]) -> float:
        difference = round(mean(first) - mean(second), 12)  # equal sums are equal
        return abs(difference) if chosen.sided == "two" else difference

    times = number = 0
    for rows in combinations(range(len(both)), len(x)):
        x_i = [both[row] for row in rows]
        y_i = [both[row] for row in range(len(both)) if row not in rows]
        at_least = t(x_i, y_i) >= t(of_x, of_y)
        more = t(x_i, y_i) > t(of_x, of_y)
        times += at_least if chosen.ties == "counted" else more
        number += 1
    return [d, times / number, math.fsum(of_x) - math.fsum(of_y)]


SIZES = [(1, 1, 1, 1), (1, 2, 2, 1), (4, 4, 3, 5), (5, 3, 2, 2), (2, 6, 1, 4)]


@pytest.mark.parametrize("std", ["sample", "population"])
@pytest.mark.parametrize("sided", ["one", "two"])
@pytest.mark.parametrize("ties", ["counted", "excluded"])
@pytest.mark.parametrize("sizes", SIZES)
def test_plain_loops_find_the_same(std, sided, ties, sizes) -> None:
    rng = np.random.default_rng(sum(sizes))
    chosen = WeatSettings(std=std, sided=sided, ties=ties)
    x, y, a, b = (rng.normal(size=(size, 4)).tolist() for size in sizes)
    found = run(x, y, a, b, std=std, sided=sided, ties=ties)
    wanted = loops(x, y, a, b, chosen)
    assert [found.effect_size, found.p, found.statistic] == pytest.approx(wanted, abs=1e-9)
    assert found.partitions == math.comb(len(x) + len(y), len(x))


def test_equal_sums_in_another_order_are_ties() -> None:
    """0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 are two numbers of float64, and one sum."""
    s_x, s_y = np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.2, 0.1])
    p, number, _ = p_value(s_x, s_y, WeatSettings())
    # The sum of X_i is at least 0.6 in 14 of 20: 8 with one of each pair of equal numbers, and 6
    # of the 12 with two of one pair.
    assert (p, number) == (14 / 20, 20)
    p, *_ = p_value(s_x, s_y, WeatSettings(ties="excluded"))
    assert p == 6 / 20


def test_the_length_of_vectors_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    sets = [rng.normal(size=(5, 6)) for _ in range(4)]
    longer = [each * rng.uniform(0.1, 9, size=(5, 1)) for each in sets]
    found, same = (run(*(e.tolist() for e in each)) for each in (sets, longer))
    assert found.effect_size == pytest.approx(same.effect_size, abs=1e-12)
    assert found.p == same.p


def test_a_rotation_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    sets = [rng.normal(size=(4, 6)) for _ in range(4)]
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    found, same = (
        run(*(e.tolist() for e in each)) for each in (sets, [e @ rotation for e in sets])
    )
    assert found.effect_size == pytest.approx(same.effect_size, abs=1e-10)
    assert found.p == same.p


def test_effect_sizes_of_words() -> None:
    rng = np.random.default_rng(5)
    words, a, b = (rng.normal(size=(n, 4)) for n in (3, 4, 2))
    for std, ddof in (("sample", 1), ("population", 0)):
        found = module.word_effect_sizes(unit_rows(words), unit_rows(a), unit_rows(b), std)
        for word, d in zip(words.tolist(), found):
            cosines = [cosine(word, v) for v in [*a.tolist(), *b.tolist()]]
            assert d == pytest.approx(s(word, a.tolist(), b.tolist()) / np.std(cosines, ddof=ddof))


# ------------------------------------------------------------------------------- drawn partitions


def test_p_of_drawn_partitions_counts_the_sets_themselves(monkeypatch) -> None:
    rng = np.random.default_rng(6)
    s_x, s_y = rng.normal(0.5, 1, size=6), rng.normal(size=6)
    exact, number, is_exact = p_value(s_x, s_y, WeatSettings())
    assert (number, is_exact) == (math.comb(12, 6), True)
    monkeypatch.setattr(module, "EXACT", number - 1)
    found = {}
    for ties in ("counted", "excluded"):
        p, samples, is_exact = p_value(s_x, s_y, WeatSettings(samples=4000, ties=ties))
        assert (samples, is_exact) == (4000, False)
        assert abs(p - exact) < 4 * math.sqrt(exact * (1 - exact) / samples)
        found[ties] = p
    chosen = np.concatenate([*drawn_partitions(12, 6, 4000, 1)])
    sums = np.concatenate([s_x, s_y])[chosen].sum(1)
    times = (sums >= s_x.sum() - 1e-6).sum()
    assert found["counted"] == (times + 1) / 4001
    observed_drawn = (np.sort(chosen) == np.arange(6)).all(1).sum()
    assert found["excluded"] == (times - observed_drawn) / 4000


def test_p_of_drawn_partitions_is_never_0(monkeypatch) -> None:
    monkeypatch.setattr(module, "EXACT", 1)
    s_x, s_y = np.arange(10.0, 20), np.arange(10.0)
    assert p_value(s_x, s_y, WeatSettings(samples=50))[0] == 1 / 51
    assert p_value(s_x, s_y, WeatSettings(samples=50, ties="excluded"))[0] == 0


def test_every_partition_is_drawn_as_often() -> None:
    drawn = np.sort(np.concatenate([*drawn_partitions(5, 2, 20_000, 3)]))
    kinds, times = np.unique(drawn, axis=0, return_counts=True)
    assert kinds.tolist() == [list(pair) for pair in combinations(range(5), 2)]
    assert abs(times - 2000).max() < 5 * math.sqrt(20_000 * 0.1 * 0.9)


@pytest.mark.parametrize("piece", [1, 7, 64])
def test_pieces_change_nothing(monkeypatch, piece) -> None:
    whole = [*drawn_partitions(6, 3, 40, 2)], [*all_partitions(6, 3)]
    assert [len(each) for each in whole] == [1, 1]
    monkeypatch.setattr(module, "PIECE", piece)
    pieces = [*drawn_partitions(6, 3, 40, 2)], [*all_partitions(6, 3)]
    for [array], parts in zip(whole, pieces):
        assert len(parts) > 1
        assert (np.concatenate(parts) == array).all()
    assert len(whole[1][0]) == math.comb(6, 3)
