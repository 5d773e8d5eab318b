"""Pictures of an alignment: the source tokens that each target token attended to.

    a_ts   attention of target token t on source token s; every row sums to 1

Rows are the target, columns the source, as in Bahdanau et al. 2015, figure 3: a darker square is
more attention, and words that change places leave the diagonal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from torch import Tensor

from seqlm.runs.figure_files import check_figure_path, escape_dollars, save_figure

SHADES = " ░▒▓█"
BLACK, WHITE = 232, 255
"""The grays of a terminal of 256 colors."""


def token_labels(pieces: Sequence[bytes]) -> list[str]:
    """The labels of tokens: the text they add, without the white space around it."""
    texts = [piece.decode(errors="replace") for piece in pieces]
    return [text.strip() or "·" if text else "</s>" for text in texts]


# ------------------------------------------------------------------------------------------- files


def check_plot_path(path: str) -> None:
    """Errors: UsageError where no plot can be written to `path`."""
    check_figure_path(path, instead="; - draws with characters instead")


def write_plot(path: str, attention: Tensor, source: Sequence[str], target: Sequence[str]) -> None:
    """Writes a plot of `attention` (T, S), with the labels of both sides.

    Errors: UsageError as `check_plot_path`; SeqlmError where the file cannot be written.
    """
    check_plot_path(path)
    from matplotlib.figure import Figure

    size = 1.5 + 0.35 * len(source), 1.0 + 0.3 * len(target)  # inches
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(attention.numpy(), cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), map(escape_dollars, source), rotation=90)
    axes.set_yticks(range(len(target)), map(escape_dollars, target))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xticks([at - 0.5 for at in range(1, len(source))], minor=True)
    axes.set_yticks([at - 0.5 for at in range(1, len(target))], minor=True)
    axes.grid(which="minor", color="0.9", linewidth=0.5)
    save_figure(figure, path)


# --------------------------------------------------------------------------------------- terminals


def text_plot(
    attention: Tensor, source: Sequence[str], target: Sequence[str], color: bool = False
) -> str:
    """A plot of `attention` (T, S) as lines of text: the labels of the source run downwards, and
    every cell is two columns wide.

    With `color` the cells are painted in the grays of a terminal, otherwise drawn with characters.
    """
    margin = max(map(display_width, target)) + 1
    height = max(map(len, source))
    letters = [label.rjust(height) for label in source]
    lines = []
    for at in range(height):
        row = "".join(label[at] + " " * (2 - display_width(label[at])) for label in letters)
        lines.append(" " * margin + row.rstrip())
    for label, weights in zip(target, attention.tolist(), strict=True):
        row = "".join(cell(weight, color) for weight in weights)
        lines.append(label + " " * (margin - display_width(label)) + row.rstrip())
    return "".join(line.rstrip() + "\n" for line in lines)


def cell(weight: float, color: bool) -> str:
    """One cell of a text plot, for a weight from 0 to 1."""
    if color:
        gray = BLACK + round(weight * (WHITE - BLACK))
        return f"\x1b[48;5;{gray}m  \x1b[0m"
    return 2 * SHADES[round(weight * (len(SHADES) - 1))]


def display_width(text: str) -> int:
    """The number of columns that a terminal gives a text."""
    wide = (unicodedata.east_asian_width(letter) in "WF" for letter in text)
    combining = sum(unicodedata.combining(letter) > 0 for letter in text)
    return len(text) + sum(wide) - combining
