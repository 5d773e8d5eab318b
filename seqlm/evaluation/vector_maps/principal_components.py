"""Principal components: the plane in which points are spread most (Pearson 1901).

    X - mean(X) = U S V^T        singular values s_1 >= s_2 >= ..
    y_i         = (x_i - mean(X)) [v_1 v_2]
    s_k^2 / sum_j s_j^2          the share of the variance that lies along v_k

A component has no sign of its own: it is turned so that its largest number is positive.

    N points · D numbers of a point
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Plane(NamedTuple):
    """The first two principal components."""

    center: np.ndarray  # (D,) mean(X)
    axes: np.ndarray  # (D, 2) v_1 and v_2; zeros where the points have no second direction
    shares: tuple[float, float]
    """The share of the variance along each; 0 where there is none."""

    def places(self, x: np.ndarray) -> np.ndarray:
        """(N, 2), y of the points x (N, D), which may be others than those that span the plane."""
        return np.asarray((x - self.center) @ self.axes)


def principal_plane(x: np.ndarray) -> Plane:
    """The plane of the points `x` (N, D)."""
    center = x.mean(0, dtype=np.float64)
    _, s, v = np.linalg.svd(x - center, full_matrices=False)  # (r,), (r, D)
    s, v = np.append(s, [0, 0])[:2], np.append(v, np.zeros((2, x.shape[1])), 0)[:2]
    largest = v[[0, 1], np.abs(v).argmax(1)]
    axes = np.where(largest < 0, -1, 1)[:, None] * v * (s > 0)[:, None]
    variance = max(float(((x - center) ** 2).sum()), np.finfo(np.float64).tiny)
    first, second = (s**2 / variance).tolist()
    return Plane(center, axes.T, (first, second))
