"""The architecture of docs/CONTRIBUTING.md is added to a copy of the package, step by step."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "CONTRIBUTING.md"
BLOCK = re.compile(r'^```(python|diff) title="([^"]+)"\n(.*?)^```$', re.M | re.S)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and its contract tests with the blocks of the page put in."""
    folder = tmp_path_factory.mktemp("contributing")
    for name in ("seqlm", "tests", "pyproject.toml", "corpora"):
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder)
    blocks = BLOCK.findall(PAGE.read_text())
    assert [language for language, _, _ in blocks] == ["python", "python", "diff", "diff"]
    for language, name, code in blocks:
        file = folder / name
        if language == "python":
            assert not file.exists()
            file.write_text(code)
        else:  # a line that is there, and the line after it that is new
            before, after = (line[1:] for line in code.splitlines(keepends=True))
            text = file.read_text()
            assert text.count(before) == 1, f"{name} has not the line {before!r}"
            file.write_text(text.replace(before, before + after))
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True, text=True, cwd=folder, env=environment,
    )  # fmt: skip


def test_the_contract_holds_it(copy: Path) -> None:
    done = run(copy, "pytest", "tests/contract", "-k", "qrnn", "-p", "no:cacheprovider", "-vv")
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"(\w+)\[qrnn[^\]]*\] PASSED", done.stdout)
    assert {"test_score_is_the_slow_loop", "test_every_weight_is_trained"} <= set(passed), passed


def test_the_command_has_it(copy: Path) -> None:
    page = run(copy, "seqlm", "train", "--help")
    assert "--zoneout" in page.stdout
    corpora = ("corpora/prose.train.txt", "--valid", "corpora/prose.valid.txt")
    short = ("--width", "16", "--steps", "4", "--zoneout", "0.1", "-o", "run", "-q")
    done = run(copy, "seqlm", "train", "--arch", "qrnn", *corpora, *short)
    assert done.returncode == 0, done.stderr
    assert run(copy, "seqlm", "sample", "-m", "run", "-n", "1", "-q").stdout
    done = run(copy, "seqlm", "train", "--arch", "qrnn", "--zoneout", "7", *corpora)
    assert (done.returncode, "--zoneout is 7" in done.stderr) == (2, True), done.stderr


def test_the_code_of_the_page_is_in_our_style(copy: Path) -> None:
    files = ["seqlm/models/config/qrnn_config.py", "seqlm/models/language/qrnn.py"]
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        done = run(copy, *command, *files)
        assert done.returncode == 0, done.stdout
