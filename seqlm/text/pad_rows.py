"""Pieces of a text of different lengths as the rows of one array."""

from __future__ import annotations

import numpy as np


def pad_rows(
    ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(B, T) int64 rows ids[start : start + length] padded with 0, and (B, T) bool, False there."""
    columns = np.arange(lengths.max())
    is_real = columns < lengths[:, None]
    positions = np.where(is_real, starts[:, None] + columns, 0)
    return np.where(is_real, ids[positions], 0).astype(np.int64), is_real
