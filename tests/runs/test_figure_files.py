"""Pictures as files: which names they may have, and what is said where they cannot be written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from seqlm.errors import SeqlmError, UsageError
from seqlm.runs.figure_files import check_figure_path, escape_dollars, save_figure


def test_what_cannot_be_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UsageError, match=r"it\.doc: the name of a plot ends in \.png, \.svg, \.pdf"
    ):
        check_figure_path("it.doc")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"it\.png needs a library: pip install 'seqlm\[plots\]'$"):
        check_figure_path("it.png")


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    figure.add_subplot().set_title(escape_dollars("$5 and $6"))
    save_figure(figure, str(tmp_path / "it.PNG"))
    assert [path.name for path in tmp_path.iterdir()] == ["it.PNG"]
    with pytest.raises(SeqlmError, match="cannot be written: No such file"):
        save_figure(figure, str(tmp_path / "none" / "it.png"))
