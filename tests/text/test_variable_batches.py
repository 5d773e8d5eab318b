"""Segments of random length: the whole stream, and the distribution of the paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text.batches import StreamBatches, VariableBatches

CPU = torch.device("cpu")


@given(
    length=st.integers(1, 400),
    rows=st.integers(1, 4),
    segment=st.integers(1, 70),
    epoch=st.integers(0, 3),
)
def test_an_epoch_is_the_stream(length, rows, segment, epoch) -> None:
    ids = np.arange(2, 2 + length, dtype=np.int32)
    batches = VariableBatches(ids, rows, segment, 1, CPU)
    whole = StreamBatches(ids, rows, 10**6, CPU)[0]
    parts = list(batches.epoch(epoch))
    assert len(parts) == len(batches)
    assert torch.equal(torch.cat([part.inputs for part in parts], 1), whole.inputs)
    assert torch.equal(torch.cat([part.targets for part in parts], 1), whole.targets)
    assert [part.starts_afresh for part in parts] == [True] + [False] * (len(parts) - 1)


def lengths(seed: int, epoch: int) -> list[int]:
    batches = VariableBatches(np.arange(2, 2 + 400_000, dtype=np.int32), 2, 70, seed, CPU)
    return np.diff(batches.epoch(epoch).cuts).tolist()


def test_lengths_are_drawn_by_seed_and_epoch() -> None:
    assert lengths(1, 0) == lengths(1, 0)
    assert sorted(lengths(1, 0)) == sorted(lengths(1, 1))
    assert len({tuple(lengths(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


def test_lengths_have_the_distribution_of_the_paper() -> None:
    drawn = np.array(lengths(1, 0))
    drawn = drawn[drawn % 5 == 0]  # all but the last segment of a row
    assert len(drawn) > 2800
    usual, half = drawn[drawn > 52], drawn[drawn <= 52]
    assert len(half) / len(drawn) == pytest.approx(0.05, abs=0.015)
    assert usual.mean() == pytest.approx(70, abs=0.5)
    assert half.mean() == pytest.approx(35, abs=2)
    rounded = np.sqrt(25 + 25 / 12)  # the normal's variance, and a uniform one's over 5
    assert usual.std() == pytest.approx(rounded, rel=0.1)
    assert len(np.unique(drawn)) < 20


def test_segments_have_at_least_five_tokens() -> None:
    batches = VariableBatches(np.arange(2, 2 + 4000, dtype=np.int32), 2, 6, 1, CPU)
    assert min(batches.lengths[:-1]) == 5
