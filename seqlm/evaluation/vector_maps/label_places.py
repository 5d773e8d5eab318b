"""Places of labels beside their points, none of which overlap.

A label may stand right of its point, left of it, above, below or in between, close by or farther
away (Christensen, Marks & Shieber 1995, "An Empirical Study of Algorithms for Point-Feature Label
Placement"). The labels are placed one after the other, each at its first position that is inside of
the map, overlaps no label before it, and is not so near to another point that it could be taken for
that one's. The line that joins it to its point crosses no label. A label without such a position
has no place.

    N points · P positions of a label · S steps of a line · x runs right and y runs up, in any unit
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DIRECTIONS = np.array(
    [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, 1], [1, -1], [-1, -1]], np.float64
)
"""From the point to its label, the best first."""
STEPS = np.linspace(0, 1, 12)[:, None, None]
"""(S, 1, 1), how far a point of a line is on the way to its end."""


def place_labels(
    points: np.ndarray,
    sizes: np.ndarray,
    bounds: tuple[float, float],
    gaps: Sequence[float],
    obstacles: np.ndarray | None = None,
) -> np.ndarray:
    """(N, 2) the centers of the labels, NaN of those without a place.

    `points` are (N, 2), `sizes` the widths and heights of the labels (N, 2), `bounds` those of the
    map, and `gaps` the distances of a label from its point, of which the first are preferred.
    `obstacles` (M, 2) are further points that no label may come near to.
    """
    centers = np.full(points.shape, np.nan)
    placed = np.empty((0, 4))  # left, bottom, right and top of each label
    further = np.empty((0, 2)) if obstacles is None else obstacles
    for number, (point, size) in enumerate(zip(points, sizes)):
        tried = np.concatenate([point + DIRECTIONS * (size / 2 + gap) for gap in gaps])  # (P, 2)
        boxes = np.concatenate([tried - size / 2, tried + size / 2], 1)  # (P, 4)
        lines = point + STEPS * (np.clip(point, boxes[:, :2], boxes[:, 2:]) - point)  # (S, P, 2)
        others = np.concatenate([np.delete(points, number, 0), further])
        is_free = (
            is_inside(boxes, bounds)
            & ~overlaps(boxes, placed).any(1)
            & ~covers(placed, lines).any((0, 2))
            & (distances(boxes, others) > gaps[0]).all(1)
        )
        if is_free.any():
            first = int(is_free.argmax())
            centers[number] = tried[first]
            placed = np.append(placed, boxes[first : first + 1], 0)
            further = further if first < len(DIRECTIONS) else np.append(further, lines[:, first], 0)
    return centers


def is_inside(boxes: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """(P,) whether each of the boxes (P, 4) lies between 0 and `bounds`."""
    return np.asarray((boxes[:, :2] >= 0).all(1) & (boxes[:, 2:] <= bounds).all(1))


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(P, M) whether each of the boxes (P, 4) overlaps each of the others (M, 4)."""
    apart = (boxes[:, None, :2] >= others[:, 2:]) | (others[:, :2] >= boxes[:, None, 2:])
    return np.asarray(~apart.any(2))


def covers(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(S, P, M) whether each of the boxes (M, 4) has each of the points (S, P, 2) inside."""
    points = points[:, :, None]
    inside = (boxes[:, :2] < points) & (points < boxes[:, 2:])  # (S, P, M, 2)
    return np.asarray(inside.all(3))


def distances(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(P, M) the distance of each of the points (M, 2) from each of the boxes (P, 4)."""
    nearest = np.clip(points, boxes[:, None, :2], boxes[:, None, 2:])  # (P, M, 2)
    return np.asarray(np.linalg.norm(points - nearest, axis=2))
