"""Labels that overlap nothing, beside a check of every pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.evaluation.vector_maps.label_places import (
    STEPS,
    covers,
    distances,
    overlaps,
    place_labels,
)

SIZE = np.array([[30.0, 10.0]])
GAPS = (3.0, 10.0)


def box_of(center: np.ndarray, size: np.ndarray) -> tuple[float, float, float, float]:
    (x, y), (width, height) = center, size
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


@pytest.mark.parametrize(
    ("point", "center"),
    [
        ((50, 50), (68, 50)),  # right
        ((90, 50), (72, 50)),  # left, where the map ends on the right
        ((20, 2), (20, 10)),  # above, where it ends below
        ((20, 98), (20, 90)),  # below
        ((2, 2), (20, 10)),  # above and right, in the corner
    ],
)
def test_the_first_free_position_is_taken(
    point: tuple[float, float], center: tuple[float, float]
) -> None:
    found = place_labels(np.array([point], float), SIZE, (100, 100), GAPS)
    np.testing.assert_allclose(found, [center])


def test_a_point_that_is_near_keeps_a_label_away() -> None:
    points = np.array([[50.0, 50], [62, 50]])
    found = place_labels(points, np.repeat(SIZE, 2, 0), (100, 100), GAPS)
    np.testing.assert_allclose(found, [[32, 50], [80, 50]])
    shut = place_labels(points[:1], SIZE, (100, 100), GAPS, obstacles=points[1:])
    np.testing.assert_allclose(shut, [[32, 50]])


def test_a_label_without_room_has_no_place() -> None:
    assert np.isnan(place_labels(np.array([[10.0, 5]]), SIZE, (25, 25), GAPS)).all()


@given(
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 90)), min_size=1, max_size=25),
    st.integers(1, 40),
    st.integers(1, 12),
)
def test_no_label_overlaps_a_label_or_is_near_to_another_point(
    places: list[tuple[int, int]], width: int, height: int
) -> None:
    points = np.array(places, float)
    sizes = np.array([[width + number % 5, height] for number in range(len(points))], float)
    centers = place_labels(points, sizes, (120, 90), GAPS)
    placed = [number for number, center in enumerate(centers) if not np.isnan(center).any()]
    for number in placed:
        left, bottom, right, top = box_of(centers[number], sizes[number])
        assert 0 <= left <= right <= 120
        assert 0 <= bottom <= top <= 90
        for other, (x, y) in enumerate(points):
            dx, dy = max(left - x, 0, x - right), max(bottom - y, 0, y - top)
            assert other == number or np.hypot(dx, dy) > GAPS[0]
        line = points[number] + STEPS[:, 0] * (
            np.clip(points[number], (left, bottom), (right, top)) - points[number]
        )
        for other in placed:
            if other != number:
                assert not covers(
                    np.array([box_of(centers[other], sizes[other])]), line[:, None]
                ).any()
                l, b, r, t = box_of(centers[other], sizes[other])  # noqa: E741
                assert r <= left or right <= l or t <= bottom or top <= b


def test_boxes_and_points() -> None:
    boxes = np.array([[0.0, 0, 2, 2], [2, 0, 4, 2]])
    assert overlaps(boxes, np.array([[1.0, 1, 3, 3]])).tolist() == [[True], [True]]
    assert overlaps(boxes[:1], boxes[1:]).tolist() == [[False]]
    assert distances(boxes, np.array([[1.0, 1], [5, 6]])).tolist() == [
        [0, 5],
        [1, pytest.approx(17**0.5)],
    ]
