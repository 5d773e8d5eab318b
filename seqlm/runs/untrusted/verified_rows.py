"""Rows of n-grams that are verified in units of some thousands, when one of a unit is first read.

A look-up of a few words reads a few units, and a long text almost all of them: where more rows of
an order are asked for at once than it has units, all units from the lowest row to the highest are
verified at once, in threads.

    U n-grams of an order · N units · Q rows that are about to be read
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seqlm.machine.threads import parallel_map

UNIT, UNIGRAMS = 1 << 12, 1 << 6
"""Rows of a unit; few of unigrams, as they are verified with the words that continue them, and a
few have most of those."""
TOGETHER = 1 << 18
"""Rows of neighboring units that are verified by one call, at most."""
FEW = 8
"""Calls that are not worth threads."""


class VerifiedRows:
    """The units of all orders, and which of them are known to hold what n-grams do."""

    def __init__(self, sizes: Sequence[int], verify: Callable[[int, int, int], None]) -> None:
        """`sizes` are the U of orders 1 … n. `verify` is called with an order k, and with rows of
        it from one up to, and without, another; it raises an error where they are damaged."""
        self.sizes, self.verify = sizes, verify
        self.units = [UNIGRAMS, *[UNIT] * (len(sizes) - 1)]  # rows of one
        self.is_verified = [
            np.zeros(size // unit + 1, np.bool_) for size, unit in zip(sizes, self.units)
        ]  # (N,) each

    def __call__(self, k: int, rows: np.ndarray | None) -> None:
        """Verifies the units of `rows` (Q,) of order k, which are from 0 to U, or all.

        Errors: those of `verify`.
        """
        is_verified, unit = self.is_verified[k - 1], self.units[k - 1]
        if is_verified.all():
            return
        wanted = np.zeros_like(is_verified)
        if rows is None:
            wanted[:] = True
        elif len(rows) > len(wanted):
            wanted[rows.min() // unit : rows.max() // unit + 1] = True
        else:
            wanted[rows // unit] = True
        parts = stretches(np.flatnonzero(wanted & ~is_verified), TOGETHER // unit)
        if len(parts) > FEW:
            parallel_map(lambda part: self.verify_units(k, part), parts)
        else:
            for part in parts:
                self.verify_units(k, part)

    def verify_units(self, k: int, units: slice) -> None:
        unit = self.units[k - 1]
        self.verify(k, units.start * unit, min(units.stop * unit, self.sizes[k - 1]))
        self.is_verified[k - 1][units] = True


def stretches(units: np.ndarray, together: int) -> list[slice]:
    """`units` (N,), which rise, as stretches of at most so many neighbors.

    >>> stretches(np.array([2, 3, 4, 7]), 100)
    [slice(2, 5, None), slice(7, 8, None)]
    """
    if len(units) == 0:
        return []
    begins = (np.diff(units) > 1) | (units[1:] % together == 0)
    parts = np.split(units, np.flatnonzero(begins) + 1)
    return [slice(int(part[0]), int(part[-1]) + 1) for part in parts]
