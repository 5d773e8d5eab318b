"""The words around each word, against a loop over the pairs and a sum over all radii."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.vectors.window import (
    BLOCK,
    band_weights,
    in_blocks,
    in_windows,
    radius_weights,
)

CPU = torch.device("cpu")


def expected_share(distance: int, window: int) -> Fraction:
    """Of the radii 1, ..., window, those that reach a word at this distance."""
    return Fraction(sum(radius >= distance for radius in range(1, window + 1)), window)


@pytest.mark.parametrize("window", [1, 2, 5, 16, 40])
def test_weights_are_the_expectation_of_random_radii(window: int) -> None:
    weights = radius_weights(window, CPU)
    assert weights.shape == (BLOCK, BLOCK + 2 * window)
    for r, row in enumerate(weights.tolist()):
        for c, a in enumerate(row):
            distance = abs(c - window - r)
            share = expected_share(distance, window) if distance else 0
            assert a == pytest.approx(float(share), abs=1e-7)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    window=st.sampled_from([1, 2, 3, 7, 20]),
)
def test_the_band_is_the_loop_over_the_pairs(lengths: list[int], window: int) -> None:
    lines = [line for line, length in enumerate(lengths) for _ in range(length)]
    padding = range(-1, -2 * window - BLOCK, -1)  # each of a line of its own
    size = -(-len(lines) // BLOCK) * BLOCK
    filled = lines + list(padding[: size - len(lines)])
    around = torch.tensor([-500 - n for n in range(2 * window)])
    band = band_weights(
        torch.cat([around[:window], torch.tensor(filled), around[window:]]),
        window,
        radius_weights(window, CPU),
    )
    assert band.shape == (size // BLOCK, BLOCK, BLOCK + 2 * window)
    pairs = torch.zeros(size, size)
    for t in range(size):
        for d in range(-window, window + 1):
            if d and 0 <= t + d < size and filled[t] == filled[t + d]:
                pairs[t, t + d] = (window - abs(d) + 1) / window
    # Word t of the text is row t - R b of block b, and word s its column s - R b + w.
    found = torch.zeros(size, size)
    for b, block in enumerate(band):
        for r, row in enumerate(block):
            for c in row.nonzero()[:, 0].tolist():
                found[b * BLOCK + r, b * BLOCK + c - window] = row[c]
    torch.testing.assert_close(found, pairs)


@given(blocks=st.integers(1, 4), window=st.integers(1, 9))
def test_blocks_and_windows_are_views_of_the_rows(blocks: int, window: int) -> None:
    size = blocks * BLOCK
    rows = torch.arange(2 * (size + 2 * window)).view(-1, 2)
    windows, inner = in_windows(rows, window), in_blocks(rows[window : window + size])
    assert windows.shape == (blocks, BLOCK + 2 * window, 2)
    for b in range(blocks):
        start = b * BLOCK
        assert torch.equal(windows[b], rows[start : start + BLOCK + 2 * window])
        assert torch.equal(inner[b], rows[start + window : start + window + BLOCK])
    assert windows.data_ptr() == rows.data_ptr()
