"""Pictures of an alignment: what each target token looked at while it was written.

    a_ts   attention of target token t on source token s; every row sums to 1

Rows are the target, columns the source, as in Bahdanau et al. 2015, figure 3: a darker square is
more attention, and words that change places leave the diagonal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from seqlm.errors import SeqlmError, UsageError

FORMATS = (".png", ".svg", ".pdf")
SHADES = " ░▒▓█"
BLACK, WHITE = 232, 255
"""The greys of a terminal of 256 colours."""


def labels(pieces: Sequence[bytes]) -> list[str]:
    """Tokens as a picture names them: the text they add, without the space around it."""
    texts = [piece.decode(errors="replace") for piece in pieces]
    return [text.strip() or "·" if text else "</s>" for text in texts]


# ------------------------------------------------------------------------------------------- files


def check(path: str) -> None:
    """Errors: UsageError where no picture can be drawn into `path`."""
    if Path(path).suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: a picture ends in {', '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError(
            f"{path} needs a library: pip install 'seqlm[plots]'; - draws with characters instead"
        ) from None


def draw(path: str, attention: Tensor, source: Sequence[str], target: Sequence[str]) -> None:
    """A file of `attention` (T, S) between the labels of both sides.

    Errors: UsageError as `check`; SeqlmError where the file cannot be written.
    """
    check(path)
    from matplotlib.figure import Figure

    size = 1.5 + 0.35 * len(source), 1.0 + 0.3 * len(target)  # inches
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(attention.numpy(), cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), map(plain, source), rotation=90)
    axes.set_yticks(range(len(target)), map(plain, target))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xticks([at - 0.5 for at in range(1, len(source))], minor=True)
    axes.set_yticks([at - 0.5 for at in range(1, len(target))], minor=True)
    axes.grid(which="minor", color="0.9", linewidth=0.5)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise SeqlmError(f"{path} cannot be written: {error.strerror or error}") from None


def plain(label: str) -> str:
    """A dollar sign begins no formula."""
    return label.replace("$", r"\$")


# --------------------------------------------------------------------------------------- terminals


def in_characters(
    attention: Tensor, source: Sequence[str], target: Sequence[str], colour: bool = False
) -> str:
    """Lines of text: the source's labels run downwards, every square is two columns wide.

    `colour` paints with the greys of a terminal, else with characters.
    """
    margin = max(map(columns, target)) + 1
    height = max(map(len, source))
    letters = [label.rjust(height) for label in source]
    lines = []
    for at in range(height):
        row = "".join(label[at] + " " * (2 - columns(label[at])) for label in letters)
        lines.append(" " * margin + row.rstrip())
    for label, weights in zip(target, attention.tolist(), strict=True):
        row = "".join(square(weight, colour) for weight in weights)
        lines.append(label + " " * (margin - columns(label)) + row.rstrip())
    return "".join(line.rstrip() + "\n" for line in lines)


def square(weight: float, colour: bool) -> str:
    """Attention from 0 to 1."""
    if colour:
        grey = BLACK + round(weight * (WHITE - BLACK))
        return f"\x1b[48;5;{grey}m  \x1b[0m"
    return 2 * SHADES[round(weight * (len(SHADES) - 1))]


def columns(text: str) -> int:
    """How wide a terminal writes it."""
    wide = (unicodedata.east_asian_width(letter) in "WF" for letter in text)
    combining = sum(unicodedata.combining(letter) > 0 for letter in text)
    return len(text) + sum(wide) - combining
