"""Pictures of alignments: files where there is a library, characters everywhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from seqlm.decoding.translation import attention_plot
from seqlm.errors import SeqlmError, UsageError

ATTENTION = torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.5, 0.25], [0.0, 0.0, 1.0]])
SOURCE, TARGET = ["das", "$Haus", "</s>"], ["the", "maison", "</s>"]


def test_labels_are_the_text_of_tokens() -> None:
    assert attention_plot.token_labels([b"the", b" ho", b"use", b" ", b"\xff", b""]) == [
        "the", "ho", "use", "·", "\ufffd", "</s>",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["it.png", "it.SVG", "it.pdf"])
def test_a_file_is_drawn(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / name
    attention_plot.write_plot(str(path), ATTENTION, SOURCE, TARGET)
    magic = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[path.suffix.lower()]
    assert path.read_bytes().startswith(magic)


def test_a_file_holds_the_words(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "it.svg"
    attention_plot.write_plot(str(path), ATTENTION, SOURCE, TARGET)
    text = path.read_text()
    for word in ("das", "$Haus", "maison"):
        assert word in text.replace("\\$", "$")


def test_what_cannot_be_drawn_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"it\.doc: the name of a plot ends in \.png"):
        attention_plot.check_plot_path("it.doc")
    pytest.importorskip("matplotlib")
    with pytest.raises(SeqlmError, match="cannot be written: No such file"):
        attention_plot.write_plot(str(tmp_path / "none" / "it.png"), ATTENTION, SOURCE, TARGET)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'seqlm\[plots\]'; - draws with characters"):
        attention_plot.check_plot_path("it.png")


def test_characters_are_darker_where_there_is_more() -> None:
    assert attention_plot.text_plot(ATTENTION, SOURCE, TARGET) == (
        "         $\n"
        "         H <\n"
        "       d a /\n"
        "       a u s\n"
        "       s s >\n"
        "the    ██\n"
        "maison ░░▒▒░░\n"
        "</s>       ██\n"
    )


def test_a_terminal_with_colors_is_painted() -> None:
    painted = attention_plot.text_plot(ATTENTION, SOURCE, TARGET, color=True)
    assert painted.splitlines()[-1] == "</s>   " + 2 * square(232) + square(255)
    assert painted.splitlines()[-3] == "the    " + square(255) + 2 * square(232)


def square(gray: int) -> str:
    return f"\x1b[48;5;{gray}m  \x1b[0m"


def test_wide_letters_keep_the_columns() -> None:
    lines = attention_plot.text_plot(torch.eye(2), ["猫", "e\u0301"], ["犬", "a"]).splitlines()
    assert lines[-2:] == ["犬 ██", "a    ██"]
    assert attention_plot.display_width("猫e\u0301") == 3
