"""Rows, keys, look-ups and sums of n-gram tables, against dictionaries and loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.models.ngram import table
from seqlm.models.ngram.interpolation_search import interpolation_search
from seqlm.models.ngram.masks import indices, where_bitwise
from seqlm.models.ngram.scrambling import scramble_ids, unscramble_ids
from seqlm.models.ngram.table import (
    BEFORE_START,
    UNSEEN,
    NGramTable,
    TaggedKeys,
    context_blocks,
    match_ngrams,
    pack_keys,
    row_contexts,
    segment_sum,
    start_rows,
    unpack_keys,
    words_of_range,
    words_of_rows,
)
from seqlm.text.vocabulary import EOS
from tests.counting import oracle
from tests.counting.oracle import Gram

V, ORDER = 40, 4


@pytest.fixture(scope="module")
def tables() -> list[NGramTable]:
    """Orders 2 … 4 of skewed noise."""
    noise = torch.rand(3000, generator=torch.Generator().manual_seed(0)) ** 3
    ids = [*((noise * (V - 2)).long() + 1).tolist(), EOS]
    return [counts.table for counts in count_ngrams(np.array(ids, np.int32), V, ORDER)[1:]]


@pytest.fixture(scope="module")
def grams(tables: list[NGramTable]) -> list[list[Gram]]:
    """Every row of orders 1 … 4, spelled slowly in ids."""
    nothing = torch.empty(0, dtype=torch.int32)
    first = [nothing, *(of.first for of in tables)]
    return oracle.spell(first, [nothing, *(of.words for of in tables)], V)


# ---------------------------------------------------------------------------------- one order


@pytest.mark.parametrize("k", [2, 3, 4])
def test_find_is_the_row_of_the_dictionary(
    tables: list[NGramTable], grams: list[list[Gram]], k: int
) -> None:
    rows = {gram: row for row, gram in enumerate(grams[k - 1])}
    contexts = torch.randint(-1, len(grams[k - 2]), (4000,), dtype=torch.int32)
    ids = torch.randint(0, V, (4000,))
    found = tables[k - 2].find(contexts, scramble_ids(ids, V), V)
    for context, id, row in zip(contexts.tolist(), ids.tolist(), found.tolist(), strict=True):
        expected = -1 if context < 0 else rows.get((*grams[k - 2][context], id), -1)
        assert row == expected


@pytest.mark.parametrize("block", [1, 50, 1 << 17])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_find_sorted_agrees_with_find(
    tables: list[NGramTable], k: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "BLOCK", block)
    of = tables[k - 2]
    contexts = torch.randint(-1, len(of.first) - 1, (4000,))
    keys = pack_keys(contexts.numpy(), torch.randint(0, V, (4000,)).numpy())
    keys.sort()
    contexts, words = (torch.from_numpy(part).int() for part in unpack_keys(keys))
    rows, found = of.find_sorted(keys)
    expected = of.find(contexts, words, V).numpy()
    assert np.array_equal(np.where(found, rows, -1), expected)
    # Those that are nowhere go before the row with the next key.
    own = pack_keys(row_contexts(of.first).numpy(), of.words.numpy())
    inside = keys >= 0
    assert np.array_equal(rows[inside], np.searchsorted(own, keys[inside]))


def test_an_empty_table_has_no_rows() -> None:
    nothing = NGramTable(torch.zeros(3, dtype=torch.int32), torch.empty(0, dtype=torch.int32))
    contexts = torch.tensor([-1, 0, 1], dtype=torch.int32)
    assert nothing.find(contexts, torch.zeros_like(contexts), V).tolist() == [-1, -1, -1]
    rows, found = nothing.find_sorted(np.array([0, 5]))
    assert (rows.tolist(), found.tolist()) == ([0, 0], [False, False])
    assert [len(part) for part in words_of_range([nothing], 0, 0)] == [0, 0]


def test_contexts_and_continuations_are_each_other_s_inverse(tables: list[NGramTable]) -> None:
    for of in tables:
        contexts = row_contexts(of.first)
        some = torch.randint(0, len(contexts), (100,))
        assert torch.equal(of.contexts(some), contexts[some])
        asked = torch.randint(0, len(of.first) - 1, (20,))
        rows, sizes = of.continuations(asked)
        expected = [(contexts == context).nonzero()[:, 0] for context in asked.tolist()]
        assert torch.equal(rows, torch.cat(expected))
        assert sizes.tolist() == [len(part) for part in expected]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 9))
def test_sums_and_blocks_of_contexts(sizes: list[int], block: int) -> None:
    first = torch.tensor([0, *np.cumsum(sizes)])
    values = torch.arange(int(first[-1])) ** 2
    expected = [int(values[start:stop].sum()) for start, stop in pairwise(first.tolist())]
    assert segment_sum(values, first).tolist() == expected
    assert segment_sum(values, first, torch.float64).tolist() == expected
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
    k: int, start: int, length: int, rows: list[int], tables: list[NGramTable], grams: list
) -> None:
    start = min(start, len(grams[k - 1]))
    stop = min(start + length, len(grams[k - 1]))
    for columns, expected in (
        (words_of_range(tables[: k - 1], start, stop), grams[k - 1][start:stop]),
        (
            [
                column.numpy()
                for column in words_of_rows(tables[: k - 1], torch.tensor(rows).long())
            ],
            [grams[k - 1][row] for row in rows],
        ),
    ):
        assert len(columns) == k
        ids = [columns[0], *(unscramble_ids(torch.from_numpy(of), V) for of in columns[1:])]
        assert list(zip(*(of.tolist() for of in ids))) == expected


@pytest.mark.parametrize("resets_at_eos", [True, False])
def test_a_walk_finds_the_n_grams_of_a_text(
    tables: list[NGramTable], grams: list[list[Gram]], resets_at_eos: bool
) -> None:
    tokens = torch.randint(0, 5, (3, 60))
    rows = start_rows(3, ORDER, torch.device("cpu"))
    head, state = match_ngrams(tables, rows, tokens[:, :25], V, resets_at_eos)
    tail, state = match_ngrams(tables, state, tokens[:, 25:], V, resets_at_eos)
    for k in range(2, ORDER + 1):
        row_of = {gram: row for row, gram in enumerate(grams[k - 1])}
        found = torch.cat([head[k - 2].rows, tail[k - 2].rows], 1)
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
    packed = pack_keys(torch.from_numpy(contexts), torch.from_numpy(words))
    assert packed.tolist() == keys.tolist()


@pytest.mark.parametrize("key_bits", [None, 18, 20])
def test_tagged_keys_sort_by_context_and_word_in_chunks(key_bits: int | None) -> None:
    """The oracle sorts whole tuples."""
    contexts = torch.randint(0, 300, (2000,), dtype=torch.int32).sort().values
    words, tags = torch.randint(0, V, (2000,)), torch.randperm(2000)
    layout = TaggedKeys.of(V, 2000, key_bits)
    keys = layout.pack(contexts.long(), words, tags)
    chunks = layout.chunks(contexts.numpy())
    assert len(chunks) > 1
    for chunk in chunks:
        keys[chunk] = keys[chunk].sort().values
    expected = sorted(zip(contexts.tolist(), words.tolist(), tags.tolist(), strict=True))
    ours = zip(contexts.tolist(), layout.words(keys).tolist(), layout.tags(keys).tolist())
    assert list(ours) == expected


# ------------------------------------------------------------------------------ search and masks


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


def test_masks_are_those_of_torch() -> None:
    mask = torch.rand(1000) < 0.5
    assert torch.equal(indices(mask), mask.nonzero()[:, 0])
    for a, b in (
        (torch.randn(1000), torch.randn(1000)),
        (torch.randint(-(2**31), 2**31 - 1, (1000,)).int(), torch.arange(1000).int()),
    ):
        assert torch.equal(where_bitwise(mask, a, b), torch.where(mask, a, b))
