"""Noise is a function of (seed, number, position), uniform, and independent in all three."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqlm.decoding.sampling_noise import Noise, splitmix
from seqlm.models.tree import select


def test_splitmix_gives_the_published_sequence() -> None:
    # The test vector of Vigna's splitmix64.c for seed 1234567.
    outputs = splitmix(np.full(5, 1234567, np.uint64), np.arange(5, dtype=np.uint64))
    assert outputs.tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(
    seed=st.integers(-(2**63), 2**64), number=st.integers(0, 2**62), position=st.integers(0, 10**9)
)
def test_a_draw_depends_on_nothing_but_seed_number_and_position(
    seed: int, number: int, position: int
) -> None:
    alone = Noise.of(seed, [number]).uniform(position)
    among = Noise.of(seed, [7, number, 0]).uniform(position)
    assert alone[0] == among[1]
    assert 0 <= alone[0] < 1
    assert alone.dtype == np.float64


def test_the_offset_counts_the_tokens_of_the_prompt() -> None:
    numbers = range(5)
    np.testing.assert_array_equal(
        Noise.of(3, numbers, 4).uniform(2), Noise.of(3, numbers).uniform(6)
    )


def test_rows_are_selected_as_those_of_any_state() -> None:
    noise, rows = Noise.of(3, [5, 6, 7]), np.array([2, 0])
    np.testing.assert_array_equal(select(noise, rows).uniform(9), noise.uniform(9)[rows])


def test_draws_are_uniform_and_uncorrelated_along_every_axis() -> None:
    draws = np.array(
        [[Noise.of(seed, range(100)).uniform(t) for t in range(100)] for seed in range(3)]
    )  # (seed, position, number)
    counts, _ = np.histogram(draws, 100, (0, 1))
    expected = draws.size / 100
    assert ((counts - expected) ** 2 / expected).sum() < 160  # chi-square, 99 degrees: p = 1e-4
    for axis in range(3):
        length = draws.shape[axis] - 1
        a, b = draws.take(range(length), axis), draws.take(range(1, length + 1), axis)
        correlation = np.corrcoef(a.ravel(), b.ravel())[0, 1]
        assert abs(correlation) < 4 / a.size**0.5
