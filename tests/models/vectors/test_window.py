"""The words around each word, against a loop over the pairs and a sum over all radii."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.vectors.window import SMALLEST_BLOCK, Window

CPU = torch.device("cpu")
WINDOWS = [1, 2, 5, 16, 17, 40]


def share_of_radii(distance: int, window: int) -> Fraction:
    """Of the radii 1, ..., w, those that reach a word at this distance."""
    return Fraction(sum(radius >= distance for radius in range(1, window + 1)), window)


@pytest.mark.parametrize("size", WINDOWS)
def test_weights_are_the_expectation_of_random_radii(size: int) -> None:
    window = Window(size)
    weights = window.radius_weights(CPU)
    assert weights.shape == (window.block, window.columns) == window.distances(CPU).shape
    assert window.block >= max(size, SMALLEST_BLOCK)
    for r, row in enumerate(weights.tolist()):
        for c, a in enumerate(row):
            distance = abs(c - size - r)
            assert window.distances(CPU)[r, c] == distance
            share = share_of_radii(distance, size) if distance else 0
            assert a == pytest.approx(float(share), abs=1e-7)


@given(lengths=st.lists(st.integers(1, 25), min_size=1, max_size=5), size=st.sampled_from(WINDOWS))
def test_the_band_is_the_loop_over_the_pairs(lengths: list[int], size: int) -> None:
    window = Window(size)
    lines = [line for line, length in enumerate(lengths) for _ in range(length)]
    lines += range(-1, len(lines) % -window.block - 1, -1)  # each of a line of its own
    outside = torch.arange(-1000, -1000 + 2 * size)
    around = torch.cat([outside[:size], torch.tensor(lines), outside[size:]])
    band = window.of_one_line(around) * window.radius_weights(CPU)  # (B, R, C)
    words = len(lines)
    pairs = torch.zeros(words, words)
    for t in range(words):
        for s in range(max(0, t - size), min(words, t + size + 1)):
            if s != t and lines[s] == lines[t]:
                pairs[t, s] = (size - abs(s - t) + 1) / size
    # Word t is row t - R b of block b, and word s its column s - R b + w.
    found = torch.zeros(words, words)
    for b, r, c in band.nonzero().tolist():
        found[b * window.block + r, b * window.block + c - size] = band[b, r, c]
    torch.testing.assert_close(found, pairs)


@given(blocks=st.integers(1, 4), size=st.sampled_from(WINDOWS))
def test_columns_are_the_words_around_a_block(blocks: int, size: int) -> None:
    window = Window(size)
    words, block = blocks * window.block, window.block
    rows = torch.arange(2 * (words + 2 * size)).view(-1, 2)
    around, inner = window.around(rows), window.blocks(rows[size : size + words])
    assert around.shape == (blocks, window.columns, 2)
    for b in range(blocks):
        start = b * block
        assert torch.equal(around[b], rows[start : start + window.columns])
        assert torch.equal(inner[b], rows[start + size : start + size + block])
    places = window.own_places(words, CPU)
    assert torch.equal(around.flatten(0, 1)[places], rows)


@given(blocks=st.integers(1, 4), size=st.sampled_from(WINDOWS))
def test_what_a_word_gets_as_a_column_of_any_block_is_added_up(blocks: int, size: int) -> None:
    window = Window(size)
    words = blocks * window.block
    columns = torch.randn(blocks, window.columns, 3, dtype=torch.float64)
    expected = torch.zeros(words + 2 * size, 3, dtype=torch.float64)
    for b in range(blocks):
        for c in range(window.columns):
            expected[b * window.block + c] += columns[b, c]
    folded = window.fold(columns)
    torch.testing.assert_close(folded.flatten(0, 1), expected[size : size + words])
    places = window.own_places(words, CPU)
    torch.testing.assert_close(columns.flatten(0, 1)[places][size:-size], expected[size:-size])
