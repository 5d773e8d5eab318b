"""Pictures of word maps: a dot for each word, and labels where there is room for them.

An analogy is drawn as its parallelogram: two arrows that were equal if the analogy were exact, and
a ring at b - a + c, where the fourth word would be then.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqlm.evaluation.vector_maps.label_places import place_labels
from seqlm.evaluation.vector_maps.word_map import AnalogyMap, WordMap
from seqlm.runs.figure_files import escape_dollars, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOT, INK, GRAY, LINE = "#3b6ea8", "#222222", "#777777", "#bbbbbb"
FONT_SIZE = 9.0
MOST_LABELS = 500
GAPS = (3.0, 8.0, 14.0, 22.0)
"""Points, 1/72 inch, between a dot and its label; a farther label has a line to its dot."""
BETWEEN = (3.0, 0.0)
"""Points between two labels, side by side and one above the other."""
SMALLEST, LARGEST = 6.0, 16.0
"""Inches of a side."""
MARGIN, MARGIN_OF_FEW = 0.08, 0.15
"""Empty share on each side of the places."""
STEPS_OF_LINE = np.linspace(0, 1, 60)[:, None]


def draw_map(path: str, made: WordMap) -> int:
    """Writes a picture of a map, and returns how many words have no label for lack of room.

    Errors: UsageError where `path` cannot be a picture; SeqlmError where it cannot be written.
    """
    side = float(np.clip(4 + 0.4 * len(made.words) ** 0.5, SMALLEST, LARGEST))
    figure, axes = new_axes(side, made.places, made.shares)
    axes.scatter(made.places[:, 0], made.places[:, 1], s=12, color=DOT, linewidths=0)
    unlabeled = draw_labels(figure, axes, made.places, made.words)
    save_figure(figure, path)
    return unlabeled


def draw_analogy(path: str, made: AnalogyMap) -> None:
    """Writes a picture of an analogy. Errors: as `draw_map`."""
    (a, b, c, d), target = made.places, made.target
    places = np.vstack([made.places, target])
    figure, axes = new_axes(SMALLEST, places, made.shares)
    for start, end, style in ((a, c, "--"), (b, d, "--"), (d, target, ":")):
        axes.plot(*zip(start, end), color=LINE, linewidth=1, linestyle=style, zorder=1)
    for start, end in ((a, b), (c, d)):
        arrow = {"arrowstyle": "-|>", "color": DOT, "shrinkA": 5, "shrinkB": 5, "linewidth": 1.5}
        axes.annotate("", end, start, arrowprops=arrow)
    axes.scatter(target[0], target[1], s=45, facecolors="white", edgecolors=GRAY, zorder=3)
    axes.scatter(made.places[:, 0], made.places[:, 1], s=22, color=DOT, linewidths=0, zorder=3)
    first, second, third, _ = made.words
    labels = [*made.words, f"{second} − {first} + {third}"]
    pairs = ((a, b), (c, d), (a, c), (b, d))
    sides = [start + STEPS_OF_LINE * (end - start) for start, end in pairs]
    draw_labels(figure, axes, places, labels, 11, np.concatenate(sides))
    save_figure(figure, path)


def new_axes(
    side: float, places: np.ndarray, shares: tuple[float, float] | None
) -> tuple[Figure, Axes]:
    """A figure as large as a square of `side` inches, in the proportions of the `places` (N, 2);
    the axes name the components, if they are some."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = np.maximum(np.ptp(places, 0), 1e-9)
    stretch = float(np.clip(height / width, 0.5, 2)) ** 0.5
    figure = Figure(figsize=(side / stretch, side * stretch), layout="constrained")
    FigureCanvasAgg(figure)  # which measures the labels
    axes = figure.add_subplot()
    axes.set_aspect("equal", "datalim")
    axes.margins(MARGIN if len(places) > 5 else MARGIN_OF_FEW)
    for spine in axes.spines.values():
        spine.set_color(LINE)
    if shares is None:
        axes.set(xticks=[], yticks=[])
        return figure, axes
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(color=LINE, labelcolor=GRAY, labelsize=FONT_SIZE - 1)
    names = [f"{name} component ({share:.0%} of the variance)"
             for name, share in zip(("first", "second"), shares)]  # fmt: skip
    axes.set_xlabel(names[0], color=GRAY, fontsize=FONT_SIZE)
    axes.set_ylabel(names[1], color=GRAY, fontsize=FONT_SIZE)
    return figure, axes


def draw_labels(
    figure: Figure,
    axes: Axes,
    places: np.ndarray,
    words: Sequence[str],
    size: float = FONT_SIZE,
    obstacles: np.ndarray | None = None,
) -> int:
    """Writes the labels of the places (N, 2) that have room, and returns how many have not.

    Only the first MOST_LABELS are tried: few more would have room, and each is compared with all.
    `obstacles` (M, 2) are places that stay free.
    """
    if len(words) > MOST_LABELS:
        further = places[MOST_LABELS:]
        obstacles = further if obstacles is None else np.concatenate([obstacles, further])
        left = len(words) - MOST_LABELS
        places, words = places[:MOST_LABELS], words[:MOST_LABELS]
        return left + draw_labels(figure, axes, places, words, size, obstacles)
    labels = [escape_dollars(word) for word in words]
    texts = [axes.annotate(label, place, fontsize=size) for label, place in zip(labels, places)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font lacks, of which saving warns
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in texts]
    frame, unit = axes.get_window_extent(), figure.dpi / 72  # pixels of a point
    corner = np.array([frame.x0, frame.y0])
    points = (axes.transData.transform(places) - corner) / unit  # (N, 2)
    others = None if obstacles is None else (axes.transData.transform(obstacles) - corner) / unit
    sizes = np.array([[box.width, box.height] for box in boxes]) / unit + BETWEEN
    bounds = frame.width / unit, frame.height / unit
    centers = place_labels(points, sizes, bounds, GAPS, others)
    for text in texts:
        text.remove()
    for label, place, offset, box in zip(labels, places, centers - points, sizes):
        if not np.isnan(offset).any():
            is_far = (np.abs(offset) > box / 2 + 1.01 * GAPS[0]).any()
            line = {"arrowstyle": "-", "color": LINE, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2}
            axes.annotate(
                label, place, offset, textcoords="offset points", ha="center", va="center",
                color=INK, fontsize=size, arrowprops=line if is_far else None,
            )  # fmt: skip
    return int(np.isnan(centers).any(1).sum())
