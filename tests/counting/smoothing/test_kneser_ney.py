"""Discounts of Kneser-Ney smoothing, and the counts that have none."""

import pytest

from seqlm.counting.smoothing.kneser_ney import (
    kneser_ney_discount,
    modified_kneser_ney_discounts,
)
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.errors import DataError

FALLBACK = (0.5, 1.0, 1.5)


def test_discounts_of_a_known_example() -> None:
    n = [0, 10, 5, 3, 2, 0, 0, 0, 0, 1]
    y = 10 / 20
    expected = [0, 1 - 2 * y * 5 / 10, 2 - 3 * y * 3 / 5, 3 - 4 * y * 2 / 3]
    assert modified_kneser_ney_discounts(n, 2, Smoothing(), 9) == pytest.approx(expected)
    assert kneser_ney_discount(n, 2, Smoothing(), 9) == [0, y, y, y]


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_an_error_names_the_order_the_count_and_the_remedy(missing: int) -> None:
    n = [0, *(0 if j == missing else 4 - j for j in (1, 2, 3)), *[0] * 6]
    for constants, needs, fallback in (
        (modified_kneser_ney_discounts, (1, 2, 3), [0, *FALLBACK]),
        (kneser_ney_discount, (1, 2), [0, 0.5, 0.5, 0.5]),
    ):
        if missing not in needs:
            continue
        with pytest.raises(DataError, match=f"no 4-gram has the count {missing}") as error:
            constants(n, 4, Smoothing(), 9)
        for remedy in ("discount_fallback", "order 3", "smoothing witten-bell"):
            assert remedy in str(error.value)
        assert "\n" not in str(error.value)
        assert constants(n, 4, Smoothing(discount_fallback=FALLBACK), 9) == fallback


def test_a_discount_out_of_range_is_an_error() -> None:
    with pytest.raises(DataError, match="D2 of the 3-grams would be -"):
        modified_kneser_ney_discounts([0, 2, 1, 5, 0, 0, 0, 0, 0, 0], 3, Smoothing(), 9)


def test_as_backoff_a_discount_of_the_whole_count_is_out_of_range() -> None:
    """A word seen three times must not become impossible."""
    n = [0, 5, 2, 1, 0, 0, 0, 0, 0, 0]
    assert modified_kneser_ney_discounts(n, 3, Smoothing(), 9)[3] == 3
    with pytest.raises(DataError, match="D3 of the 3-grams would be 3"):
        modified_kneser_ney_discounts(n, 3, Smoothing(backoff=True), 9)
