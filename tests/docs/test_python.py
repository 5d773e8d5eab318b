"""The snippets of docs/python.md and of the README run, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


def snippets(page: Path) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def test_the_snippets_of_python_md_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpora").symlink_to(REPOSITORY / "corpora")
    blocks = snippets(REPOSITORY / "docs" / "python.md")
    assert len(blocks) > 8
    names: dict[str, object] = {"__name__": "snippets"}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    # The README asks the model that was trained here.
    [block] = snippets(REPOSITORY / "README.md")
    exec(compile(block, "README.md", "exec"), {"__name__": "snippets"})
