"""Counts of counts, and the n-grams that lmplz enters with their occurrences."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting.estimation import counts_of_counts
from seqlm.counting.estimation.counts_of_counts import (
    Correction,
    corrected,
    first_appearance,
    lmplz_corrections,
)
from seqlm.counting.tables import array_passes
from seqlm.text.vocabulary import EOS
from tests.counting.oracle import Gram, adjusted_counts, array, stream

V = 6
LINES = st.lists(st.lists(st.sampled_from([0, *range(2, V)]), max_size=6), min_size=1, max_size=10)
START, END = -2, -1  # `<s>` and `</s>` as lmplz orders them, before every word


def adjust_counts(lines: list[list[int]], order: int) -> dict[int, list[int]]:
    """What lmplz's pass over the highest n-grams enters into the statistics of the lower orders.

    Words are numbered as they appear. The n-grams, lines padded with `<s>`, come in suffix order.
    The suffixes of the one at hand are open; each is entered when the next n-gram no longer ends
    with it, with one for every different word seen before it, or what it occurs if it begins with
    `<s>`. At the end those still open are entered with what they occur.
    """
    number: dict[int, int] = {}
    padded = [
        [START] * (order - 1) + [number.setdefault(w, len(number)) for w in line] + [END]
        for line in lines
    ]
    grams = Counter(
        tuple(line[i : i + order]) for line in padded for i in range(len(line) - order + 1)
    )
    entered: dict[int, list[int]] = {k: [] for k in range(1, order)}
    open_: list[Gram] = []  # by length
    adjusted: dict[Gram, int] = {}
    occurs: Counter[Gram] = Counter()
    for gram in sorted(grams, key=lambda gram: gram[::-1]):
        suffixes = []
        for k in range(1, order):
            suffixes.append(gram[-k:])
            if gram[-k] == START:
                break
        same = sum(suffix in suffixes for suffix in open_)
        for suffix in open_[same:]:
            entered[len(suffix)].append(adjusted[suffix])
        for suffix in suffixes:
            occurs[suffix] += grams[gram]
        if same:
            adjusted[suffixes[same - 1]] += 1
        for suffix in suffixes[same:]:
            adjusted[suffix] = occurs[suffix] if suffix[0] == START else 1
        open_ = suffixes
    for suffix in open_:
        entered[len(suffix)].append(occurs[suffix])
    return entered


@given(LINES, st.integers(1, 6))
def test_the_last_suffixes_are_those_of_lmplz(lines: list[list[int]], order: int) -> None:
    ids = stream(lines)
    changes = lmplz_corrections(array(ids), V, order)
    assert len(changes) < order
    counts = adjusted_counts(ids, order, "sentence")
    entered = adjust_counts(lines, order)
    for k in range(1, order):
        mine = Counter(counts[k].values())
        if k <= len(changes):
            mine[changes[k - 1].adjusted] -= 1
            mine[changes[k - 1].occurrences] += 1
        assert +mine == Counter(entered[k])


@pytest.mark.parametrize("block", [1, 7, 1 << 15])
def test_blocks_of_any_size_say_the_same(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0)
    ids = noise.integers(0, 60, 400).astype(np.int32)
    ids[-1] = EOS
    before = first_appearance(ids, 70), lmplz_corrections(ids, 70, 4)
    monkeypatch.setattr(counts_of_counts, "BLOCK", block)
    monkeypatch.setattr(array_passes, "BLOCK", block)
    assert np.array_equal(first_appearance(ids, 70), before[0])
    assert lmplz_corrections(ids, 70, 4) == before[1]
    counts = ids
    often = Counter(ids.tolist())
    assert counts_of_counts.counts_of_counts(counts) == [often[j] for j in range(10)]


def test_appearance_is_the_first_place() -> None:
    assert first_appearance(array([3, 2, 3, EOS, 2, EOS]), 5).tolist() == [-2, 3, 1, 0, -2]


def test_counts_of_counts_are_those_of_one_to_nine() -> None:
    counts = np.array([0, 1, 1, 9, 10, 10**6])
    assert counts_of_counts.counts_of_counts(counts) == [1, 2, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_change_beyond_nine_is_not_seen() -> None:
    n = [0, 5, 4, 3, 2, 1, 0, 0, 0, 1]
    assert corrected(n, Correction(2, 7)) == [0, 5, 3, 3, 2, 1, 0, 1, 0, 1]
    assert corrected(n, Correction(2, 70)) == [0, 5, 3, 3, 2, 1, 0, 0, 0, 1]
    assert corrected(n, Correction(70, 90)) == n
    assert n == [0, 5, 4, 3, 2, 1, 0, 0, 0, 1]
