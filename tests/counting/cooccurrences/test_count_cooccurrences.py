"""Every co-occurrence against a dictionary that a double loop fills."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting.cooccurrences import count_cooccurrences as module
from seqlm.counting.cooccurrences.cooccurrences import (
    DISTANCE_WEIGHTS,
    UNITS,
    Cooccurrences,
    DistanceWeight,
    weights_of_distances,
)
from seqlm.counting.cooccurrences.count_cooccurrences import SIDES, Sides, count_cooccurrences
from seqlm.machine.memory import Memory
from seqlm.machine.threads import num_threads, set_threads
from seqlm.text.vocabulary import EOS, UNK

V = 7
LINES = st.lists(st.lists(st.sampled_from([UNK, *range(2, V)]), max_size=12), min_size=1)
PLENTY = 1 << 40


def a(kind: str, d: int, w: int) -> float:
    return {"harmonic": 1 / d, "dynamic": (w - d + 1) / w, "flat": 1.0}[kind]


def slow_counts(
    lines: list[list[int]], w: int, kind: DistanceWeight, sides: Sides
) -> dict[tuple[int, int], int]:
    """The sums in units, by the definition."""
    sums: dict[tuple[int, int], int] = defaultdict(int)
    for line in lines:
        words = [id for id in line if id != UNK]
        for here, word in enumerate(words):
            for d in range(1, w + 1):
                if here - d < 0:
                    continue
                sums[word, words[here - d]] += round(a(kind, d, w) * UNITS)
                if sides == "both":
                    sums[words[here - d], word] += round(a(kind, d, w) * UNITS)
    return sums


def stream(lines: list[list[int]]) -> np.ndarray:
    return np.array([id for line in lines for id in (*line, EOS)], np.int32)


def as_dictionary(counts: Cooccurrences) -> dict[tuple[int, int], int]:
    rows = np.arange(len(counts.first) - 1).repeat(np.diff(counts.first))
    pairs = list(zip(rows.tolist(), counts.columns.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    return dict(zip(pairs, counts.sums.tolist(), strict=True))


@given(LINES, st.integers(1, 5), st.sampled_from(DISTANCE_WEIGHTS), st.sampled_from(SIDES))
def test_sums_are_the_dictionary_s(
    lines: list[list[int]], window: int, weights: DistanceWeight, sides: Sides
) -> None:
    counts = count_cooccurrences(stream(lines), V, window, weights, sides)
    assert as_dictionary(counts) == slow_counts(lines, window, weights, sides)


@given(LINES, st.integers(1, 5), st.integers(1, 40), st.integers(1, 100), st.sampled_from(SIDES))
def test_pieces_and_slices_of_any_size_give_the_sums_of_the_whole(
    lines: list[list[int]], window: int, tokens: int, places: int, sides: Sides
) -> None:
    ids = stream(lines)
    whole = count_cooccurrences(ids, V, window, sides=sides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLICE", places)
        in_pieces = count_cooccurrences(
            ids, V, window, sides=sides, memory=Memory(PLENTY), tokens=tokens
        )
    for one, other in zip(whole, in_pieces, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


def test_many_threads_give_the_sums_of_one() -> None:
    rng = np.random.default_rng(1)
    ids = (2 + rng.random(30_000) ** 3 * 500).astype(np.int32)
    ids[rng.random(len(ids)) < 0.05] = EOS
    found = []
    for threads in (1, 2, 5):
        before = num_threads()
        set_threads(threads)
        try:
            found.append(count_cooccurrences(ids, 502, 10))
        finally:
            set_threads(before)
    for counts in found[1:]:
        assert all(map(np.array_equal, counts, found[0]))


def test_a_line_as_long_as_the_text_is_counted_over_the_cuts() -> None:
    ids = np.append(np.arange(2, 60, dtype=np.int32), EOS)
    whole = count_cooccurrences(ids, 60, 9)
    for tokens in (1, 2, 9, 10, 40):
        cut = count_cooccurrences(ids, 60, 9, memory=Memory(PLENTY), tokens=tokens)
        assert all(map(np.array_equal, whole, cut))


def test_blocks_are_all_entries_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [[2, 3, 4, 2, 5], [6, 2, 2], [3]]
    monkeypatch.setattr("seqlm.counting.cooccurrences.cooccurrences.BLOCK", 3)
    counts = count_cooccurrences(stream(lines), V, 2)
    blocks = list(counts.blocks())
    assert len(blocks) > 1
    entries = [tuple(entry) for block in blocks for entry in zip(*(x.tolist() for x in block))]
    slow = sorted(slow_counts(lines, 2, "harmonic", "both").items())
    assert entries == [(i, j, units / UNITS) for (i, j), units in slow]


def test_weights_are_right_to_a_billionth() -> None:
    for kind in DISTANCE_WEIGHTS:
        exact = [a(kind, d, 1000) for d in range(1, 1001)]
        assert np.abs(weights_of_distances(kind, 1000) / UNITS - exact).max() < 1e-9


@pytest.mark.parametrize("ids", [[EOS], [UNK, EOS], [2, EOS, 3, EOS]])
def test_a_text_without_pairs_has_none(ids: list[int]) -> None:
    counts = count_cooccurrences(np.array(ids, np.int32), 4, 3)
    assert counts.first.tolist() == [0] * 5
    assert len(counts.columns) == len(counts.sums) == 0
    assert list(counts.blocks()) == []


def test_memory_in_files_is_used_where_there_is_a_limit() -> None:
    rng = np.random.default_rng(2)
    ids = rng.integers(1, 40, 5000).astype(np.int32)
    counts = count_cooccurrences(ids, 40, 4, memory=Memory(PLENTY))
    assert all(map(np.array_equal, counts, count_cooccurrences(ids, 40, 4)))
