"""A text counted in pieces gives the tables it gives whole, and nothing stays behind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.counting.estimation.counts_of_counts import lmplz_corrections
from seqlm.counting.estimation.estimate import estimate, estimate_from_counts
from seqlm.counting.estimation.prepare_counts import prepare_counts
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.counting.tables import merge_tables
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.in_pieces import count_in_pieces, split_text
from seqlm.counting.tables.ngrams import NGrams
from seqlm.machine.memory import Memory
from seqlm.text.vocabulary import EOS

PLENTY = 1 << 40


def same(a: list[NGrams], b: list[NGrams]) -> None:
    for of_a, of_b in zip(a, b, strict=True):
        for column, other in zip(of_a[:4], of_b[:4], strict=True):
            assert column.dtype == other.dtype
            assert np.array_equal(column, other)


@given(
    words=st.lists(st.integers(0, 6), min_size=1, max_size=120),
    order=st.integers(1, 5),
    context=st.sampled_from(["sentence", "carried"]),
    tokens=st.integers(1, 130),
    block=st.sampled_from([1, 7, 1 << 20]),
)
def test_pieces_make_the_tables_of_the_whole(
    words: list[int], order: int, context: str, tokens: int, block: int
) -> None:
    ids = np.array([*words, EOS], np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge_tables, "BLOCK", block)
        found = count_in_pieces(ids, 7, order, context, Memory(PLENTY), tokens=tokens)
    same(found, count_ngrams(ids, 7, order, context))


def test_pieces_are_whole_lines_or_parts_of_one_long_one() -> None:
    ids = np.array([5, EOS, 5, 5, EOS, *[5] * 9, EOS, EOS], np.int32)
    found = [piece.tolist() for piece, _ in split_text(ids, 6, 3, "sentence")]
    assert [id for piece in found for id in piece] == ids.tolist()
    assert [len(piece) for piece in found] == [5, 6, 5]
    assert [piece[-1] == EOS for piece in found] == [True, False, True]


def test_a_piece_within_a_line_knows_the_words_before_it_in_the_line() -> None:
    ids = np.array([2, EOS, 3, 4, 5, 6, EOS], np.int32)
    assert [before for _, before in split_text(ids, 1, 4, "sentence")] == [
        [EOS], [EOS, 2], [EOS], [EOS, 3], [EOS, 3, 4], [3, 4, 5], [4, 5, 6],
    ]  # fmt: skip


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_pieces_of_one_long_line_make_the_tables_of_the_whole(order: int) -> None:
    noise = np.random.default_rng(order)
    ids = (2 + noise.random(5000) ** 3 * 40).astype(np.int32)
    ids[[7, 8, 4000, -1]] = EOS
    for tokens in (50, 64, 999):
        found = count_in_pieces(ids, 42, order, "sentence", Memory(PLENTY), tokens=tokens)
        same(found, count_ngrams(ids, 42, order))


def test_a_carried_piece_knows_the_words_before_it() -> None:
    ids = np.arange(2, 12, dtype=np.int32)
    assert [before for _, before in split_text(ids, 4, 3, "carried")] == [[EOS], [4, 5], [8, 9]]
    assert [before for _, before in split_text(ids, 1, 4, "carried")][:3] == [
        [EOS],
        [EOS, 2],
        [EOS, 2, 3],
    ]


@pytest.mark.parametrize("options", [{}, {"cutoffs": (0, 1)}, {"backoff": True}])
def test_a_model_from_disk_is_the_model_from_memory(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    how = Smoothing(discount_fallback=(0.5, 1, 1.5), **options)
    noise = np.random.default_rng(0)
    ids = (noise.random(20_000) ** 4 * 300).astype(np.int32)
    ids[-1] = EOS
    memory = Memory(1 << 20, tmp_path)  # less than Python alone takes: it lets go all the time
    tables = count_in_pieces(ids, 300, 3, "sentence", memory, tokens=3000)
    corrections = lmplz_corrections(ids, 300, 3)
    counts = prepare_counts(tables, how, corrections, memory)
    found = estimate_from_counts(counts, how, 300, memory=memory)
    whole = estimate(ids, 300, 3, discount_fallback=(0.5, 1, 1.5), **options)
    for name, expected in whole.arrays().items():
        assert np.array_equal(found.arrays()[name], expected), name
    assert not list(tmp_path.iterdir())
