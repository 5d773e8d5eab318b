"""Every `$ command` of the README and of the pages runs, in the order of its page.

Trainings are cut to a few steps; what a command prints is not compared with the page, but it must
not be an error. Pipelines, `<` and `>` are taken apart here, so that `seqlm` runs in this process.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import seqlm_inside
from tests.conftest import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "docs" / "quickstart.md",
    *sorted((REPOSITORY / "docs" / "howto").glob("*.md")),
]
FEW = {"SEQLM_STEPS": "4", "SEQLM_NUM_THREADS": "1"}
"""Variables that make every training short."""
TOOLS = ("cat", "echo", "head", "printf", "tail")


def commands(page: Path) -> Iterator[str]:
    """The commands of a page: lines of code that begin with `$`, with their continuations."""
    lines = iter(page.read_text().splitlines())
    for line in lines:
        if line.startswith("    $ "):
            command = line.removeprefix("    $ ")
            while command.endswith("\\"):
                command = command[:-1] + next(lines)
            yield command


def run(command: str) -> None:
    """Runs a pipeline. `seqlm` runs in this process, the tools of TOOLS in theirs."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|<>")
    lexer.whitespace_split = True
    words = list(lexer)
    data, stage, output = b"", [], None
    stages: list[list[str]] = []
    position = 0
    while position < len(words):
        if words[position] == "|":
            stages.append(stage)
            stage = []
        elif words[position] == "<":
            position += 1
            data = Path(words[position]).read_bytes()
        elif words[position] == ">":
            position += 1
            output = Path(words[position])
        else:
            stage.append(words[position])
        position += 1
    for name, *arguments in [*stages, stage]:
        if name == "seqlm":
            result = seqlm_inside(*arguments, stdin=data, env=FEW)
            assert result.code == 0, f"{command}\n{result.err}"
            data = result.out.encode()
        else:
            assert name in TOOLS, f"{command}: {name} is not a tool that every machine has"
            done = subprocess.run([name, *arguments], input=data, capture_output=True, check=True)
            data = done.stdout
    if output is not None:
        output.write_bytes(data)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpora").symlink_to(REPOSITORY / "corpora")
    for command in commands(page):
        run(command)


def test_a_page_shows_its_commands() -> None:
    """The pages above have commands, except for the one about corpora too large to ship."""
    without = {page.stem for page in PAGES if not list(commands(page))}
    assert without == {"count-large-corpora"}
