"""Count cutoffs: what stays, what is remembered of the rest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting.estimation.adjust_counts import adjust_counts
from seqlm.counting.estimation.cutoffs import apply_cutoffs, cutoffs_by_order
from seqlm.counting.tables import array_passes
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import UsageError
from tests.counting.oracle import Gram, array, count, spell, stream

V, ORDER = 6, 4
LINES = st.lists(st.lists(st.sampled_from([0, *range(2, V)]), max_size=6), min_size=1, max_size=15)


def cut(lines: list[list[int]], context: str, adjusted: bool, cutoffs: list[int]) -> list[NGrams]:
    tables = count_ngrams(array(stream(lines)), V, ORDER, context)
    occurrences = [table.counts for table in tables]
    if adjusted:
        adjust_counts(tables)
    apply_cutoffs(tables, occurrences, cutoffs)
    return tables


def spell_out(tables: list[NGrams]) -> list[list[Gram]]:
    return spell([of.first for of in tables], [of.words for of in tables], V)


@given(
    LINES,
    st.sampled_from(["sentence", "carried"]),
    st.booleans(),
    st.sampled_from([[0, 1, 1, 1], [0, 0, 1, 2], [0, 0, 0, 3], [0, 2, 2, 5]]),
)
def test_what_stays_is_the_dictionary_s(
    lines: list[list[int]], context: str, adjusted: bool, cutoffs: list[int]
) -> None:
    tables = cut(lines, context, adjusted, cutoffs)
    expected = count(stream(lines), ORDER, context, adjusted, cutoffs)
    grams = spell_out(tables)
    for k in range(1, ORDER + 1):
        table = tables[k - 1]
        found = {gram: n for gram, n in zip(grams[k - 1], table.counts.tolist(), strict=True) if n}
        after = {h: words for h, words in expected.after.items() if len(h) == k - 1}
        assert found == {(*h, word): n for h, words in after.items() for word, n in words.items()}
        if k == 1:
            continue
        suffixes = [grams[k - 2][row] for row in table.suffix.tolist()]
        assert suffixes == [gram[1:] for gram in grams[k - 1]]
        lost = np.zeros(len(grams[k - 2])) if table.pruned_count is None else table.pruned_count
        kept = np.array([sum(expected.after.get(h, {}).values()) for h in grams[k - 2]])
        assert (lost + kept).tolist() == [expected.total.get(h, 0) for h in grams[k - 2]]


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0)
    lines = [noise.integers(2, V, noise.integers(0, 7)).tolist() for _ in range(100)]
    whole = cut(lines, "sentence", True, [0, 1, 2, 2])
    monkeypatch.setattr(array_passes, "BLOCK", 5)
    for one, other in zip(whole, cut(lines, "sentence", True, [0, 1, 2, 2]), strict=True):
        for a, b in zip(one, other, strict=True):
            assert a is b is None or np.array_equal(a, b)


def test_where_nothing_is_cut_off_the_tables_are_the_same() -> None:
    tables = count_ngrams(array(stream([[2, 3], [2, 3], [2, 3]])), V, 3)
    before = list(tables)
    apply_cutoffs(tables, [table.counts for table in tables], [0, 2, 2])
    assert all(one is other for one, other in zip(before, tables, strict=True))


@pytest.mark.parametrize(
    ("cutoffs", "order", "each"),
    [
        ((), 3, [0, 0, 0]),
        ((0,), 3, [0, 0, 0]),
        ((0, 1), 4, [0, 1, 1, 1]),
        ((0, 0, 2), 2, [0, 0]),
        ((0, 0, 1, 1, 2), 5, [0, 0, 1, 1, 2]),
    ],
)
def test_the_last_cutoff_serves_all_above(
    cutoffs: tuple[int, ...], order: int, each: list[int]
) -> None:
    assert cutoffs_by_order(cutoffs, order) == each


@pytest.mark.parametrize(
    ("cutoffs", "message"),
    [
        ((1,), "must begin with 0: for single words there is min_count"),
        ((0, 2, 1), "0,2,1 must not fall from one order to the next"),
        ((0, -1), "0,-1 must not fall from one order to the next"),
        ((-1, 0), "-1,0"),
    ],
)
def test_cutoffs_that_mean_nothing(cutoffs: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError) as error:
        cutoffs_by_order(cutoffs, 3)
    assert message in str(error.value)
