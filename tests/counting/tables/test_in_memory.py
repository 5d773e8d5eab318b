"""Every count of every n-gram against a dictionary."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting.estimation.adjust_counts import adjust_counts
from seqlm.counting.tables import array_passes, in_memory
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import DataError
from seqlm.machine import compilation
from seqlm.machine.threads import num_threads, set_threads
from seqlm.text.vocabulary import EOS
from tests.counting.oracle import adjusted_counts, raw_counts, spell, stream

V = 7
LINES = st.lists(st.lists(st.sampled_from([0, *range(2, V)]), max_size=6), min_size=1, max_size=12)


def table(orders: list[NGrams], k: int) -> dict[tuple[int, ...], int]:
    """The rows of order k as a dictionary; unigrams that do not occur are left out."""
    grams = spell([of.first for of in orders], [of.words for of in orders], V)[k - 1]
    assert len(set(grams)) == len(grams)
    counts = orders[k - 1].counts.tolist()
    return {gram: n for gram, n in zip(grams, counts, strict=True) if n}


def assert_equal(one: NGrams, other: NGrams) -> None:
    for a, b in zip(one, other, strict=True):
        assert a is b is None or np.array_equal(a, b)


@given(LINES, st.integers(1, 6), st.sampled_from(["sentence", "carried"]))
def test_counts_are_the_dictionary_s(lines: list[list[int]], order: int, context: str) -> None:
    ids = stream(lines)
    orders = count_ngrams(np.array(ids, np.int32), V, order, context)
    for k, expected in raw_counts(ids, order, context).items():
        assert table(orders, k) == expected
    adjust_counts(orders)
    for k, adjusted in adjusted_counts(ids, order, context).items():
        assert table(orders, k) == adjusted


@given(LINES, st.sampled_from(["sentence", "carried"]))
def test_rows_are_sorted_and_suffixes_right(lines: list[list[int]], context: str) -> None:
    orders = count_ngrams(np.array(stream(lines), np.int32), V, 4, context)
    grams = spell([of.first for of in orders], [of.words for of in orders], V)
    for k in (2, 3, 4):
        of = orders[k - 1]
        suffixes = [grams[k - 2][row] for row in of.suffix.tolist()]
        assert suffixes == [gram[1:] for gram in grams[k - 1]]
        for start, end in pairwise(of.first.tolist()):
            assert (np.diff(of.words[start:end]) > 0).all()
        assert of.first[-1] == len(of.words)


def noise(size: int = 1500, vocab_size: int = 50) -> np.ndarray:
    ids = np.random.default_rng(0).integers(0, vocab_size, size).astype(np.int32)
    ids[-1] = EOS
    return ids


@pytest.mark.parametrize("context", ["sentence", "carried"])
@pytest.mark.parametrize("row_bits", [0, 1, 3])
def test_narrow_keys_and_short_ranges_change_nothing(
    context: str, row_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = count_ngrams(noise(), 50, 5, context)
    monkeypatch.setattr(array_passes, "BLOCK", 7)
    monkeypatch.setattr(in_memory, "RANGE", 9)
    places, words = 11, 6
    cut = count_ngrams(noise(), 50, 5, context, key_bits=places + words + row_bits)
    for one, other in zip(whole, cut, strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("context", ["sentence", "carried"])
def test_threads_change_nothing(context: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = count_ngrams(noise(), 50, 4, context)
    adjust_counts(whole)
    monkeypatch.setattr(array_passes, "BLOCK", 50)
    monkeypatch.setattr(in_memory, "RANGE", 50)
    before = num_threads()
    set_threads(4)
    try:
        cut = count_ngrams(noise(), 50, 4, context)
        adjust_counts(cut)
    finally:
        set_threads(before)
    for one, other in zip(whole, cut, strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("context", ["sentence", "carried"])
@pytest.mark.parametrize("before", [[EOS], [7, 8], [EOS, 9, 9]])
def test_compiled_loops_count_alike(
    context: str, before: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    expected = count_ngrams(noise(), 50, 5, context, before=before)
    adjust_counts(expected)
    monkeypatch.setattr(compilation, "LARGE", 0)
    monkeypatch.setattr(in_memory, "RANGE", 50)
    found = count_ngrams(noise(), 50, 5, context, before=before)
    adjust_counts(found)
    for one, other in zip(expected, found, strict=True):
        assert_equal(one, other)


def test_orders_longer_than_the_text_are_empty() -> None:
    orders = count_ngrams(np.array([2, 3, EOS], np.int32), V, 6)
    assert [len(of.words) for of in orders] == [V, 3, 2, 1, 0, 0]
    assert [of.counts.sum().item() for of in orders] == [3, 3, 2, 1, 0, 0]


def test_an_empty_text_is_an_error() -> None:
    with pytest.raises(DataError, match="empty"):
        count_ngrams(np.array([], np.int32), V, 2)


def test_the_ids_are_not_touched_and_may_be_read_only() -> None:
    ids = np.array([2, 3, EOS], np.int32)
    ids.flags.writeable = False
    count_ngrams(ids, V, 3)
    assert ids.tolist() == [2, 3, EOS]
