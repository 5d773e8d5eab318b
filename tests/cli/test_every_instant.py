"""Kills and failing disks at every instant: the next start finds the old state whole, or the new.

Every command that writes is run in a process of its own, which ends, as by kill -9, before the
first access that changes the disk, then before the second, and so on to the last. After each, the
old result or the new one is there, and the same command, given once more, comes to its end and
leaves nothing else behind. The same with a disk that refuses one access, instead of a kill.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from seqlm.errors import ModelError
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.runs import checkpoint, durable_files
from seqlm.runs.loading.load_model import load_model
from seqlm.runs.loading.locate import locate
from tests.command import Result, seqlm_inside
from tests.conftest import Toy

ACCESSES = [
    *((os, name) for name in ("fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "open")),
    (io, "open"),
    (checkpoint, "write_tensors"),
    (durable_files, "exchange_at_once"),
]
"""Everything through which files are made, renamed, synced and removed."""


def changes_the_disk(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether a call does; to open a file for reading does not."""
    if name != "open":
        return True
    if isinstance(arguments[0], int):
        return False
    mode = arguments[1] if len(arguments) > 1 else options.get("mode", "r")
    if isinstance(mode, int):
        return bool(mode & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return any(letter in mode for letter in "wax+")


@contextmanager
def at_access(number: int, what: Callable[[], None]) -> Iterator[list[int]]:
    """Calls `what` instead of access `number` to the disk; yields the number of accesses so far."""
    count = [0]

    def watch(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            if changes_the_disk(name, arguments, options):
                count[0] += 1
                if count[0] == number:
                    what()
            return original(*arguments, **options)

        return watched

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ACCESSES:
            patch.setattr(module, name, watch(name, getattr(module, name)))
        yield count


def killed_at(number: int, command: list[Any]) -> bool:
    """Runs a command that is killed before access `number`, and returns whether it came so far."""
    child = os.fork()
    if child == 0:
        code = 9
        try:
            with at_access(number, lambda: os._exit(99)):
                code = seqlm_inside(*command).code
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 99), code
    return code == 99


def refuse() -> None:
    raise OSError(28, "No space left on device")


# ------------------------------------------------------------------------------------- the commands


class Case(NamedTuple):
    """A command that changes something."""

    before: list[list[Any]]
    """The commands that make the old state."""
    command: list[Any]
    result: Callable[[Path], Any]
    """What is there, in a form that can be compared, or None where nothing is."""
    again: int = 0
    """The exit status of the command where it has been done."""


def model(path: Path) -> Any:
    """All tensors and types of the run `path`, None where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a damaged checkpoint another is loaded
        try:
            loaded = load_model(locate(path))
        except ModelError:
            return None
    is_ngram = isinstance(loaded.model, NGramModel)
    tensors = loaded.model.arrays() if is_ngram else loaded.model.state_dict()
    return loaded.tokenizer.types, {name: tensor.tolist() for name, tensor in tensors.items()}


def content(path: Path) -> Any:
    return path.read_text() if path.exists() else None


SMALL = ["--width", 4, "--layers", 1, "--valid", "TEXT", "--valid-every", 2, "-q"]
COUNT = ["count", "TEXT", "-q", "--smoothing", "witten-bell"]
CASES = {
    "count": Case([], [*COUNT, "-n", 2, "-o", "run"], model, again=2),
    "count in pieces": Case(
        [], [*COUNT, "-n", 2, "--memory", "400M", "-o", "run"], model, again=2
    ),
    "count over a run": Case(
        [[*COUNT, "-n", 1, "-o", "run"]], [*COUNT, "-n", 2, "-o", "run", "--overwrite"], model
    ),
    "count without a name": Case([], [*COUNT, "-n", 2], lambda _: model(Path("2gram-TEXT"))),
    "export over a run": Case(
        [[*COUNT, "-n", 1, "-o", "run"], [*COUNT, "-n", 2, "-o", "other"]],
        ["export", "-m", "other", "--to", "run", "-o", "run", "--overwrite", "-q"],
        model,
    ),
    "export to a file": Case(
        [[*COUNT, "-n", 2, "-o", "other"], ["export", "-m", "other", "--to", "arpa", "-o", "run",
                                            "--prune-to", 90, "-q"]],
        ["export", "-m", "other", "--to", "arpa", "-o", "run", "--overwrite", "-q"],
        content,
    ),
    "train": Case([], ["train", "TEXT", *SMALL, "--steps", 2, "-o", "run"], model, again=2),
    "train over a run": Case(
        [[*COUNT, "-n", 1, "-o", "run"]],
        ["train", "TEXT", *SMALL, "--steps", 2, "-o", "run", "--overwrite"],
        model,
    ),
    "resume": Case(
        [["train", "TEXT", *SMALL, "--steps", 2, "-o", "run"]],
        ["train", "--resume", "run", "--steps", 4, "--lr", 0.01, "-q"],
        model,
        again=2,
    ),
    "slim": Case(
        [["train", "TEXT", *SMALL, "--steps", 2, "-o", "run"]], ["runs", "slim", "run"], model
    ),
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, workplace: Path, toy: Toy) -> Case:
    lines = toy.train.read_text().splitlines()[:15]
    (workplace / "TEXT").write_text("\n".join(lines) + "\n")
    chosen = CASES[request.param]
    for command in chosen.before:
        assert seqlm_inside(*command).code == 0
    return chosen


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def picture(folder: Path) -> frozenset[tuple[str, int]]:
    """The names and sizes of all files, without the random part of drafts' names."""
    return frozenset(
        (re.sub(r"\.[0-9a-f]{8}\.tmp", ".tmp", str(path.relative_to(folder))), path.lstat().st_size)
        for path in folder.rglob("*")
    )


def check_each(case: Case, workplace: Path, fail: Callable[[int], bool]) -> int:
    """Calls `fail` with 1, 2, … until it returns False, each time from the old state. Returns the
    last number. Of instants that leave the same files, the first is looked at."""
    saved = workplace.with_name(f"{workplace.name}-saved")
    shutil.copytree(workplace, saved)
    old = case.result(Path("run"))
    done = seqlm_inside(*case.command)
    assert done.code == 0, done.err
    new, files = case.result(Path("run")), names(workplace)
    number, failed = 0, True
    pictures = set()
    while failed:
        number += 1
        for entry in workplace.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.copytree(saved, workplace, dirs_exist_ok=True)
        failed = fail(number)
        if picture(workplace) in pictures:
            continue
        pictures.add(picture(workplace))
        found = case.result(Path("run"))
        assert found in (old, new), number
        again: Result = seqlm_inside(*case.command)
        if again.code != 0 and found is None:  # what is left of a training says what to do
            assert "--overwrite" in again.err, again.err
            again = seqlm_inside(*case.command, "--overwrite")
        assert again.code in ((0, case.again) if found == new else (0,)), (number, again.err)
        assert case.result(Path("run")) == new, number
        assert names(workplace) == files, number
    return number


def test_a_kill_at_every_instant(case: Case, workplace: Path) -> None:
    kills = check_each(case, workplace, lambda number: killed_at(number, case.command))
    assert kills >= 5


def test_a_disk_that_refuses_every_access_once(case: Case, workplace: Path) -> None:
    def refused_at(number: int) -> bool:
        with at_access(number, refuse) as count:
            result = seqlm_inside(*case.command)
        assert "internal error" not in result.err, (number, result.err)
        assert result.code in (0, 1), (number, result.err)
        return count[0] >= number

    assert check_each(case, workplace, refused_at) >= 5
