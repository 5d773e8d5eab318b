"""Rows and their counts against the tables of `count_ngrams` and against dictionaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting.tables import from_rows as from_rows_module
from seqlm.counting.tables.from_rows import IncompleteNGram, find_rows, from_rows, to_rows
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.ngrams import NGrams
from seqlm.models.ngram import sort_keys
from seqlm.text.vocabulary import EOS
from tests.counting import oracle
from tests.counting.oracle import Gram, array, raw_counts, stream

V = 7
LINES = st.lists(st.lists(st.sampled_from([0, *range(2, V)]), max_size=6), min_size=1, max_size=12)
CONTEXTS = st.sampled_from(["sentence", "carried"])


def counted(lines: list[list[int]], order: int, context: str) -> list[NGrams]:
    return count_ngrams(array(stream(lines)), V, order, context)


def as_rows(counts: dict[int, Counter[Gram]]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (np.array(list(of), np.int32).reshape(-1, k), np.array(list(of.values()), np.int64))
        for k, of in counts.items()
    ]


def spelled(orders: list[NGrams]) -> list[list[Gram]]:
    return oracle.spell([of.first for of in orders], [of.words for of in orders], V)


def assert_equal(found: list[NGrams], expected: list[NGrams]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert one.pruned_count is None
        for a, b in zip(one[:4], other[:4], strict=True):
            assert a.dtype == b.dtype
            assert np.array_equal(a, b)


# ------------------------------------------------------------------------------------- to tables


@given(LINES, st.integers(1, 6), CONTEXTS, st.randoms(use_true_random=False))
def test_rows_of_a_dictionary_make_the_tables_of_the_text(lines, order, context, random) -> None:
    rows = as_rows(raw_counts(stream(lines), order, context))
    for k, (ids, counts) in enumerate(rows):
        places = list(range(len(ids)))
        random.shuffle(places)
        rows[k] = ids[places], counts[places]
    assert_equal(from_rows(rows, V), counted(lines, order, context))


@given(LINES, LINES, CONTEXTS)
def test_counts_of_equal_rows_are_added_up(some, more, context) -> None:
    one, other = (raw_counts(stream(lines), 4, context) for lines in (some, more))
    rows = [
        tuple(np.concatenate(parts) for parts in zip(a, b))
        for a, b in zip(as_rows(one), as_rows(other))
    ]
    expected = as_rows({k: one[k] + other[k] for k in one})
    assert_equal(from_rows(rows, V), from_rows(expected, V))


def test_short_stretches_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0)
    ids = noise.integers(0, 50, 3000).astype(np.int32)
    ids[-1] = EOS
    whole = count_ngrams(ids, 50, 5, "carried")
    rows = [(to_rows(whole, 50, k), whole[k - 1].counts.astype(np.int64)) for k in range(1, 6)]
    monkeypatch.setattr(from_rows_module, "STRETCH", 100)
    monkeypatch.setattr(sort_keys, "BLOCK", 7)
    assert_equal(from_rows(rows, 50), whole)


def test_orders_without_n_grams() -> None:
    short = count_ngrams(np.array([2, 3, EOS], np.int32), V, 6)
    rows = [(to_rows(short, V, k), short[k - 1].counts.astype(np.int64)) for k in range(1, 7)]
    assert [len(ids) for ids, _ in rows] == [V, 3, 2, 1, 0, 0]
    assert_equal(from_rows(rows, V), short)


def test_counts_that_pass_31_bits() -> None:
    bigrams = np.array([[EOS, 2], [2, EOS]], np.int32)
    rows = [(np.array([[EOS], [2]]), np.array([2**40, 5])), (bigrams, np.array([2**31, 2**31 - 1]))]
    for counts in (of.counts for of in from_rows(rows, V)):
        assert counts.dtype == np.int64
    assert from_rows(rows, V)[1].counts.tolist() == [2**31, 2**31 - 1]
    rows[1] = bigrams, np.array([7, 2**31 - 1])
    assert from_rows(rows, V)[1].counts.dtype == np.int32


@pytest.mark.parametrize(
    ("dropped", "ids", "part"),
    [
        ((4, 2), [4, 2, 3], "context"),
        ((4, 2, 3), [4, 2, 3, 5], "context"),
        ((5, EOS), [3, 5, EOS], "suffix"),
        ((3, 5, EOS), [2, 3, 5, EOS], "suffix"),
    ],
)
def test_an_n_gram_without_its_context_or_suffix(dropped: Gram, ids: list[int], part: str) -> None:
    counts = raw_counts([4, 2, 3, 5, EOS], 4, "sentence")
    del counts[len(dropped)][dropped]
    with pytest.raises(IncompleteNGram) as error:
        from_rows(as_rows(counts), V)
    assert (error.value.ids, error.value.part) == (ids, part)


# ----------------------------------------------------------------------------------- from tables


@given(LINES, st.integers(1, 5), CONTEXTS, st.integers(0, 40), st.integers(0, 40))
def test_tables_spell_the_rows_and_any_stretch_of_them(lines, order, context, start, stop) -> None:
    orders = counted(lines, order, context)
    for k, grams in enumerate(spelled(orders), 1):
        rows = to_rows(orders, V, k)
        assert rows.dtype == np.int32
        assert rows.shape == (len(grams), k)
        assert list(map(tuple, rows.tolist())) == grams
        stretch = to_rows(orders, V, k, slice(start, stop))
        assert list(map(tuple, stretch.tolist())) == grams[start:stop]


@given(LINES, CONTEXTS, st.lists(st.lists(st.integers(0, V - 1), min_size=4, max_size=4)))
def test_rows_are_found_where_they_are_and_only_there(lines, context, strangers) -> None:
    orders = counted(lines, 4, context)
    for k, grams in enumerate(spelled(orders), 1):
        asked = [*(tuple(ids[:k]) for ids in strangers), *grams]
        places = {gram: row for row, gram in enumerate(grams)}
        found = find_rows(orders, np.array(asked, np.int32).reshape(-1, k), V)
        assert found.tolist() == [places.get(gram, -1) for gram in asked]
