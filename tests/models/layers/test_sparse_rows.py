"""Sums of rows and their sparse gradients against a loop over the terms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqlm.models.layers.sparse_rows import (
    add_to_rows,
    bag_of_term,
    sum_in_order,
    sum_rows,
    sum_terms,
)

R, D = 6, 3
BAGS = st.lists(st.lists(st.integers(0, R - 1), max_size=6), min_size=1, max_size=5)


@given(BAGS, st.booleans())
def test_sums_are_those_of_a_loop(bags, with_factors):
    torch.manual_seed(1)
    rows = torch.tensor([row for bag in bags for row in bag], dtype=torch.int64)
    sizes = torch.tensor([len(bag) for bag in bags])
    table = torch.randn(R, D, dtype=torch.float64)
    others = torch.randn(len(bags), D, dtype=torch.float64)
    factors = torch.randn(len(rows), dtype=torch.float64) if with_factors else None
    sums = torch.zeros(len(bags), D, dtype=torch.float64)
    added = torch.zeros(R, D, dtype=torch.float64)
    bag_of = [number for number, bag in enumerate(bags) for _ in bag]
    for i, (row, bag) in enumerate(zip(rows.tolist(), bag_of, strict=True)):
        c = 1.0 if factors is None else factors[i]
        sums[bag] += c * table[row]
        added[row] += c * others[bag]
    assert bag_of_term(sizes).tolist() == bag_of
    torch.testing.assert_close(sum_rows(table, rows, sizes, factors), sums)
    found = add_to_rows(rows, others, bag_of_term(sizes), R, factors)
    torch.testing.assert_close(found.to_dense(), added)
    assert found.indices()[0].tolist() == sorted({*rows.tolist()})
    of_terms = torch.stack([part.sum() for part in others[:, 0][bag_of].split(sizes.tolist())])
    torch.testing.assert_close(sum_terms(others[:, 0][bag_of], sizes), of_terms)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads):
    generator = torch.Generator().manual_seed(1)
    rows = torch.randint(500, (20_000,), generator=generator)
    sizes = torch.full((400,), 50)
    table = torch.randn(500, 100, generator=generator)
    factors = torch.randn(20_000, generator=generator)

    def sums() -> list[Tensor]:
        forward = sum_rows(table, rows, sizes, factors)
        added = add_to_rows(rows, forward, bag_of_term(sizes), 500, factors).values()
        return [forward, added, sum_terms(factors, sizes), sum_in_order(factors.repeat(20))]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = sums()
        torch.set_num_threads(threads)
        several = sums()
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, one, several))


@pytest.mark.parametrize("terms", [0, 1, 4095, 4096, 10_000])
def test_the_sum_of_parts_is_the_sum(terms: int) -> None:
    numbers = torch.arange(terms, dtype=torch.float64)
    assert sum_in_order(numbers) == numbers.sum()
