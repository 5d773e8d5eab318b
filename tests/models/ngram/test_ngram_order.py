"""Rows, keys, look-ups and sums of n-grams, against dictionaries and loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.ngrams import CountedOrder, orders_of
from seqlm.models.ngram import sort_keys
from seqlm.models.ngram.interpolation_search import interpolation_search
from seqlm.models.ngram.ngram_order import (
    NGramOrder,
    context_blocks,
    row_contexts,
    segment_sum,
    words_of_range,
    words_of_rows,
)
from seqlm.models.ngram.scrambling import scramble_ids, unscramble_ids
from seqlm.models.ngram.sort_keys import TaggedKeys, find_sorted, pack_keys, unpack_keys
from seqlm.models.ngram.walk import BEFORE_START, UNSEEN, find, match_ngrams, start_rows
from seqlm.text.vocabulary import EOS
from tests.counting import oracle
from tests.counting.oracle import Gram

V, ORDER = 40, 4


RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def orders() -> list[NGramOrder]:
    """Orders 1 … 4 of skewed noise."""
    noise = np.random.default_rng(0).random(3000) ** 3
    ids = [*((noise * (V - 2)).astype(int) + 1).tolist(), EOS]
    return [*orders_of(count_ngrams(np.array(ids, np.int32), V, ORDER))]


@pytest.fixture(scope="module")
def grams(orders: list[NGramOrder]) -> list[list[Gram]]:
    """Every row of orders 1 … 4, spelled slowly in ids."""
    firsts = [np.array([0, V]), *(order.first for order in orders[:-1])]
    return oracle.spell(firsts, [order.words for order in orders], V)


# ---------------------------------------------------------------------------------- one order


@pytest.mark.parametrize("k", [2, 3, 4])
def test_find_is_the_row_of_the_dictionary(
    orders: list[NGramOrder], grams: list[list[Gram]], k: int
) -> None:
    rows = {gram: row for row, gram in enumerate(grams[k - 1])}
    contexts = RNG.integers(-1, len(grams[k - 2]), 4000).astype(np.int32)
    ids = RNG.integers(0, V, 4000)
    found = find(orders[k - 2], orders[k - 1], contexts, scramble_ids(ids, V), V)
    for context, id, row in zip(contexts.tolist(), ids.tolist(), found.tolist(), strict=True):
        expected = -1 if context < 0 else rows.get((*grams[k - 2][context], id), -1)
        assert row == expected


@pytest.mark.parametrize("block", [1, 50, 1 << 17])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_find_sorted_agrees_with_find(
    orders: list[NGramOrder], k: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sort_keys, "BLOCK", block)
    below, order = orders[k - 2 : k]
    keys = pack_keys(RNG.integers(-1, len(below), 4000), RNG.integers(0, V, 4000))
    keys.sort()
    contexts, words = (part.astype(np.int32) for part in unpack_keys(keys))
    rows, found = find_sorted(below.first, order.words, keys)
    expected = find(below, order, contexts, words, V)
    assert np.array_equal(np.where(found, rows, -1), expected)
    # Those that are nowhere go before the row with the next key.
    own = pack_keys(row_contexts(below.first), order.words)
    inside = keys >= 0
    assert np.array_equal(rows[inside], np.searchsorted(own, keys[inside]))


def test_an_empty_order_has_no_rows() -> None:
    first, words = np.zeros(3, np.int32), np.empty(0, np.int32)
    below, order = CountedOrder(np.arange(2), first), CountedOrder(words, np.zeros(1, np.int32))
    contexts = np.array([-1, 0, 1], np.int32)
    assert find(below, order, contexts, np.zeros_like(contexts), V).tolist() == [-1, -1, -1]
    rows, found = find_sorted(first, words, np.array([0, 5]))
    assert (rows.tolist(), found.tolist()) == ([0, 0], [False, False])
    assert [len(part) for part in words_of_range([below, order], 0, 0)] == [0, 0]


def test_contexts_and_continuations_are_each_other_s_inverse(orders: list[NGramOrder]) -> None:
    for order in orders[:-1]:
        contexts = row_contexts(order.first)
        some = RNG.integers(0, len(contexts), 100)
        assert np.array_equal(order.contexts_of(some), contexts[some])
        asked = RNG.integers(0, len(order), 20)
        rows, sizes = order.continuations(asked)
        expected = [np.flatnonzero(contexts == context) for context in asked.tolist()]
        assert np.array_equal(rows, np.concatenate(expected))
        assert sizes.tolist() == [len(part) for part in expected]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 9))
def test_sums_and_blocks_of_contexts(sizes: list[int], block: int) -> None:
    first = np.array([0, *np.cumsum(sizes)])
    values = np.arange(first[-1]) ** 2
    expected = [int(values[start:stop].sum()) for start, stop in pairwise(first.tolist())]
    assert segment_sum(values, first).tolist() == expected
    assert segment_sum(values, first, np.float64).tolist() == expected
    covered, rows_covered = [], []
    for contexts, rows in context_blocks(first, block):
        assert (int(first[contexts.start]), int(first[contexts.stop])) == (rows.start, rows.stop)
        covered += range(contexts.start, contexts.stop)
        rows_covered += range(rows.start, rows.stop)
    assert covered == [*range(len(sizes))]
    assert rows_covered == [*range(len(values))]


# ----------------------------------------------------------------------------------- all orders


@given(
    k=st.integers(1, ORDER),
    start=st.integers(0, 400),
    length=st.integers(0, 400),
    rows=st.lists(st.integers(0, 39)),
)
def test_rows_are_spelled_as_by_the_oracle(
    k: int, start: int, length: int, rows: list[int], orders: list[NGramOrder], grams: list
) -> None:
    start = min(start, len(grams[k - 1]))
    stop = min(start + length, len(grams[k - 1]))
    for columns, expected in (
        (words_of_range(orders[:k], start, stop), grams[k - 1][start:stop]),
        (
            words_of_rows(orders[:k], np.array(rows, np.int64)),
            [grams[k - 1][row] for row in rows],
        ),
    ):
        assert len(columns) == k
        ids = [columns[0], *(unscramble_ids(of, V) for of in columns[1:])]
        assert list(zip(*(of.tolist() for of in ids))) == expected


@pytest.mark.parametrize("resets_at_eos", [True, False])
def test_a_walk_finds_the_n_grams_of_a_text(
    orders: list[NGramOrder], grams: list[list[Gram]], resets_at_eos: bool
) -> None:
    tokens = RNG.integers(0, 5, (3, 60))
    head, state = match_ngrams(orders, start_rows(3, ORDER), tokens[:, :25], resets_at_eos)
    tail, state = match_ngrams(orders, state, tokens[:, 25:], resets_at_eos)
    for k in range(2, ORDER + 1):
        row_of = {gram: row for row, gram in enumerate(grams[k - 1])}
        found = np.concatenate([head[k - 2].rows, tail[k - 2].rows], 1)
        for b, text in enumerate(tokens.tolist()):
            for t in range(len(text)):
                gram = tuple([EOS, *text[: t + 1]][-k:])
                crosses = resets_at_eos and EOS in gram[1:-1]
                too_long = len(gram) < k
                expected = BEFORE_START if crosses or too_long else row_of.get(gram, UNSEEN)
                assert found[b, t] == expected


# -------------------------------------------------------------------------------------- sort keys


def test_keys_keep_the_largest_rows_and_words_and_their_order() -> None:
    contexts = np.array([0, 0, 1, 2**31 - 2])
    words = np.array([0, 2**31 - 1, 0, 2**31 - 1])
    keys = pack_keys(contexts.copy(), words)
    assert (np.diff(keys) > 0).all()
    assert [part.tolist() for part in unpack_keys(keys)] == [contexts.tolist(), words.tolist()]


@pytest.mark.parametrize("key_bits", [None, 18, 20])
def test_tagged_keys_sort_by_context_and_word_in_chunks(key_bits: int | None) -> None:
    """The oracle sorts whole tuples."""
    contexts = np.sort(RNG.integers(0, 300, 2000)).astype(np.int32)
    words, tags = RNG.integers(0, V, 2000), RNG.permutation(2000)
    layout = TaggedKeys.of(V, 2000, key_bits)
    keys = layout.pack(contexts.astype(np.int64), words, tags)
    chunks = layout.chunks(contexts)
    assert len(chunks) > 1
    for chunk in chunks:
        keys[chunk].sort()
    expected = sorted(zip(contexts.tolist(), words.tolist(), tags.tolist(), strict=True))
    ours = zip(contexts.tolist(), layout.words(keys).tolist(), layout.tags(keys).tolist())
    assert list(ours) == expected


# ----------------------------------------------------------------------------------------- search


@given(st.lists(st.lists(st.integers(0, 99), unique=True), min_size=1), st.integers(0, 99))
def test_interpolation_search_is_a_linear_search(stretches: list[list[int]], target: int) -> None:
    values = np.array([value for stretch in stretches for value in sorted(stretch)], np.int32)
    sizes = np.array([len(stretch) for stretch in stretches], np.int32)
    high = np.cumsum(sizes, dtype=np.int32)
    targets = np.full_like(high, target)
    found = interpolation_search(lambda at: values[at], high - sizes, high, targets, 100)
    for stop, stretch, position in zip(high.tolist(), stretches, found.tolist(), strict=True):
        start = stop - len(stretch)
        expected = start + sorted(stretch).index(target) if target in stretch else -1
        assert position == expected
