"""The plane of principal components, beside the eigenvectors of the covariance."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.evaluation.vector_maps.principal_components import principal_plane


@pytest.mark.parametrize("size", [(50, 7), (3, 20), (2, 5), (9, 2)])
def test_axes_are_the_first_eigenvectors(size: tuple[int, int]) -> None:
    x = np.random.default_rng(1).normal(size=size) * np.arange(1, size[1] + 1)
    plane = principal_plane(x)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    for axis in range(min(2, size[0] - 1)):
        v = vectors[:, -1 - axis]
        v = v if v[np.abs(v).argmax()] > 0 else -v
        np.testing.assert_allclose(plane.axes[:, axis], v, atol=1e-9)
        assert plane.shares[axis] == pytest.approx(values[-1 - axis] / values.sum())
        places = plane.places(x)[:, axis]
        np.testing.assert_allclose(places, [(row - x.mean(0)) @ v for row in x], atol=1e-9)


def test_points_on_a_line_have_no_second_direction() -> None:
    x = np.outer([1.0, 2, 4, 8], [3.0, 4])
    plane = principal_plane(x)
    assert plane.shares[0] == pytest.approx(1)
    assert plane.shares[1] == pytest.approx(0, abs=1e-12)
    distances = np.abs(np.diff(plane.places(x)[:, 0]))
    np.testing.assert_allclose(distances, [5, 10, 20])
    np.testing.assert_allclose(plane.places(x)[:, 1], 0, atol=1e-9)


def test_equal_points_are_at_one_place() -> None:
    plane = principal_plane(np.ones((4, 3)))
    assert plane.shares == (0, 0)
    assert not plane.places(np.ones((4, 3))).any()


def test_one_number_a_vector() -> None:
    plane = principal_plane(np.array([[1.0], [3.0]]))
    assert plane.shares == pytest.approx((1, 0))
    assert plane.places(np.array([[1.0], [3.0]])).tolist() == [[-1, 0], [1, 0]]
