"""Pictures by matplotlib, which is an extra of the package, as files that are written whole."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from seqlm.errors import UsageError
from seqlm.runs.durable_files import check_writable, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
UNDATED = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Metadata to leave out, so that the same picture is the same file."""
DOTS_PER_INCH = 150


def check_figure_path(path: str, instead: str = "") -> None:
    """Errors: UsageError where no picture can be written to `path`; it says what works `instead`
    where the library is missing."""
    if Path(path).suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: the name of a plot ends in {', '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError(f"{path} needs a library: pip install 'seqlm[plots]'{instead}") from None


def check_new_figure(path: str, overwrite: bool) -> None:
    """Errors: UsageError as `check_figure_path`, or where a file may not be overwritten."""
    check_figure_path(path)
    check_writable(Path(path), overwrite)


def save_figure(figure: Figure, path: str) -> None:
    """Writes a picture. A warning says where the font lacks letters.

    Errors: UsageError as `check_figure_path`; SeqlmError where the file cannot be written.
    """
    import matplotlib

    suffix, drawn = Path(path).suffix.lower(), BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with matplotlib.rc_context({"svg.hashsalt": "seqlm"}):
            figure.savefig(drawn, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=UNDATED[suffix])
    if any("Glyph" in str(each.message) for each in caught):
        warnings.warn(
            f"{path}: the font lacks some letters, which are drawn as boxes", stacklevel=2
        )
    with replacing(Path(path)) as file:
        file.write(drawn.getvalue())


def escape_dollars(label: str) -> str:
    """The label as matplotlib needs it, which takes a dollar sign for the start of a formula."""
    return label.replace("$", r"\$")
