"""Dot products of chosen rows against a loop over the terms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.layers.dot_products import dot_products
from seqlm.models.layers.sparse_rows import TermsByRow

R, S, D = 6, 4, 3


@given(st.lists(st.tuples(st.integers(0, R - 1), st.integers(0, S - 1)), min_size=1, max_size=20))
def test_products_are_those_of_a_loop(places: list[tuple[int, int]]) -> None:
    torch.manual_seed(1)
    a = torch.randn(R, D, dtype=torch.float64)
    b = torch.randn(S, D, dtype=torch.float64)
    rows, columns = torch.tensor(places).T
    terms = TermsByRow.of(rows)
    assert rows[terms.order].tolist() == sorted(rows.tolist())
    expected = torch.stack([a[r] @ b[c] for r, c in places])
    found = dot_products(a, terms, b, columns[terms.order])
    torch.testing.assert_close(found, expected[terms.order])


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads: int) -> None:
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(500, 100, generator=generator)
    b = torch.randn(300, 100, generator=generator)
    terms = TermsByRow.of(torch.randint(500, (20_000,), generator=generator))
    columns = torch.randint(300, (20_000,), generator=generator)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = dot_products(a, terms, b, columns)
        torch.set_num_threads(threads)
        several = dot_products(a, terms, b, columns)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one, several)
