"""Katz's ratios, and the counts that have none."""

import pytest

from seqlm.counting.smoothing.good_turing import katz_ratios
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.errors import DataError


def test_ratios_of_a_known_example() -> None:
    n = [0, 10, 4, 1, 0, 0, 0, 0, 0, 0]  # counts up to 2 can be discounted, not up to 3
    above = 3 * 1 / 10
    ratios = [(2 * 4 / 10 - above) / (1 - above), (3 * 1 / 4 / 2 - above) / (1 - above)]
    assert katz_ratios(n, 2, Smoothing(), 9) == pytest.approx([0, *ratios, 1])


def test_counts_up_to_seven_are_discounted() -> None:
    n = [0, *(5040 // (r * (r + 1)) for r in range(1, 10))]
    above = 8 * 70 / 2520
    ratios = [((r + 1) / (r + 2) - above) / (1 - above) for r in range(1, 8)]
    assert katz_ratios(n, 2, Smoothing(), 9) == pytest.approx([0, *ratios, 1])


def test_ratios_that_are_none_are_explained_but_single_words_keep_their_counts() -> None:
    n = [0, 3, 5, 1, 0, 0, 0, 0, 0, 0]
    assert katz_ratios(n, 1, Smoothing(), 9) == [0, 1]
    with pytest.raises(DataError, match=r"3, 5, 1, 0 … 2-grams have .* smoothing witten-bell"):
        katz_ratios(n, 2, Smoothing(), 9)
