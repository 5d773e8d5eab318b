"""The listing of the folders is the syllabus: it stays readable."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "seqlm"
FOLDERS = [
    PACKAGE,
    *(path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__"),
]


def files(folder: Path) -> list[Path]:
    """The entries of a listing; `__init__.py` is its title."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return [path for path in files if path.name != "__init__.py"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_folder_has_at_most_12_files(folder: Path) -> None:
    assert len(files(folder)) <= 12


def test_no_two_files_share_a_name() -> None:
    stems = Counter(path.stem for path in PACKAGE.rglob("*.py") if path.stem != "__init__")
    assert [stem for stem, times in stems.items() if times > 1] == []


def test_every_module_opens_with_its_idea() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.read_text().startswith(('"""', 'r"""')), path
