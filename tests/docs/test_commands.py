"""Every `$ command` of the README and of the pages runs, in the order of its page.

Trainings are cut to a few steps; what a command prints is not compared with the page, but it must
not be an error. The Python of a guide runs after its commands, on what they have made. Pipelines,
`<` and `>` are taken apart here, so that `seqlm` runs in this process.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import run_pipeline
from tests.conftest import REPOSITORY
from tests.docs.test_python import snippets

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "docs" / "quickstart.md",
    *sorted((REPOSITORY / "docs" / "howto").glob("*.md")),
]


def commands(page: Path) -> Iterator[str]:
    """The commands of a page: lines of code that begin with `$`, with their continuations."""
    lines = iter(page.read_text().splitlines())
    for line in lines:
        if line.startswith("    $ "):
            command = line.removeprefix("    $ ")
            while command.endswith("\\"):
                command = command[:-1] + next(lines)
            yield command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpora").symlink_to(REPOSITORY / "corpora")
    for command in commands(page):
        run_pipeline(command)
    names: dict[str, object] = {"__name__": "snippets"}
    for block in snippets(page) if page.parent.name == "howto" else ():
        exec(compile(block, page.name, "exec"), names)


def test_a_page_shows_its_commands() -> None:
    """The pages above have commands, except for the one about corpora too large to ship."""
    without = {page.stem for page in PAGES if not list(commands(page))}
    assert without == {"count-large-corpora"}
