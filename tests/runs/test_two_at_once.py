"""Every pair of commands at one run, the second one in the midst of the first.

The first command stops before an access to the disk, and the second runs from its beginning to its
end. What they leave has to be what they leave one after the other, or what one of them leaves alone
where the other was refused. Nothing is left of what is half done.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from seqlm.runs.loading import load_model
from seqlm.runs.run_folder import RunFolder
from tests.cli.test_every_instant import at_access, model, names
from tests.command import Result, seqlm_inside
from tests.conftest import Toy

SMALL = ["--width", 4, "--layers", 1, "--valid", "TEXT", "--valid-every", 2, "-q"]
COUNT = ["count", "TEXT", "-q", "--smoothing", "witten-bell", "-o", "run"]
TRAIN = ["train", "TEXT", *SMALL, "-o", "run"]
WRITERS: dict[str, list[Any]] = {
    "count": [*COUNT, "-n", 2],
    "count --overwrite": [*COUNT, "-n", 3, "--overwrite"],
    "train": [*TRAIN, "--steps", 3],
    "train --overwrite": [*TRAIN, "--steps", 1, "--overwrite"],
    "train --resume": ["train", "--resume", "run", "--steps", 4, "-q"],
    "export --to run": ["export", "-m", "other", "--to", "run", "-o", "run", "--overwrite", "-q"],
    "runs slim": ["runs", "slim", "run", "-q"],
    "runs rm": ["runs", "rm", "run", "-q"],
}
READERS: dict[str, list[Any]] = {
    "eval": ["eval", "-m", "run", "TEXT", "-q"],
    "sample": ["sample", "-m", "run", "-n", 2, "--seed", 1, "-q"],
    "export --to arpa": ["export", "-m", "run", "--to", "arpa", "-o", "x.arpa", "-q"],
}
COMMANDS = WRITERS | READERS
STATES: dict[str, list[list[Any]]] = {
    "no run": [],
    "a trained run": [[*TRAIN, "--steps", 2]],
}
MOMENTS = (0.5,)
"""Shares of the accesses of the first command after which the second comes."""


class Place:
    """The working folder, which can be as it was at first again."""

    def __init__(self, folder: Path, saved: Path) -> None:
        self.folder, self.saved = folder, saved
        shutil.copytree(folder, saved)

    def restore(self) -> None:
        for entry in self.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.copytree(self.saved, self.folder, dirs_exist_ok=True)


@pytest.fixture(params=STATES)
def place(request: pytest.FixtureRequest, workplace: Path, toy: Toy) -> Place:
    lines = toy.train.read_text().splitlines()[:8]
    (workplace / "TEXT").write_text("\n".join(lines) + "\n")
    other = ["count", "TEXT", "-q", "--smoothing", "add-k", "-n", 2, "-o", "other"]
    for command in [other, *STATES[request.param]]:
        done = seqlm_inside(*command)
        assert done.code == 0, done.err
    return Place(workplace, workplace.with_name(f"{workplace.name}-saved"))


def outcome() -> Any:
    """What can be compared of the run, and of the file that is exported."""
    file = Path("x.arpa")
    return model(Path("run")), file.read_text() if file.exists() else None


@contextmanager
def before_reading(name: str, what: Callable[[], None]) -> Iterator[None]:
    """Calls `what` once, before the vocabulary or the weights of a run are read."""
    owner: Any = {"read_tokenizer": RunFolder, "read_tensors": load_model}[name]
    original, waiting = getattr(owner, name), [what]

    def watched(*arguments: Any) -> Any:
        while waiting:
            waiting.pop()()
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, watched)
        yield


def check_result(result: Result) -> None:
    """A command did all, or said in one line why it did nothing."""
    assert "internal error" not in result.err
    assert result.err.count("seqlm: error: ") == (0 if result.code == 0 else 1), result.err


@pytest.mark.parametrize("first", COMMANDS)
def test_every_second_command_in_the_midst_of(first: str, place: Place) -> None:
    with at_access(-1, lambda: None) as accesses:
        alone = seqlm_inside(*COMMANDS[first])
    after_first, end = outcome(), accesses[0]
    moments: set[Any] = {max(1, round(share * end)) for share in MOMENTS if end}
    if alone.code == 0:
        moments |= {"read_tokenizer", "read_tensors"} if first in READERS else set()
    for second, command in COMMANDS.items():
        place.restore()
        before = outcome()
        early = seqlm_inside(*command)
        after_second = outcome()
        late = seqlm_inside(*COMMANDS[first])
        second_first = outcome()
        place.restore()
        seqlm_inside(*COMMANDS[first])
        whole = seqlm_inside(*command)
        first_second = outcome()
        for moment in moments:
            place.restore()
            inner: list[Result] = []

            def interpose(command: list[Any] = command, inner: list[Result] = inner) -> None:
                inner.append(seqlm_inside(*command))

            if isinstance(moment, str):
                with before_reading(moment, interpose):
                    outer = seqlm_inside(*COMMANDS[first])
            else:
                with at_access(moment, interpose):
                    outer = seqlm_inside(*COMMANDS[first])
            assert len(inner) == 1
            where = (first, second, moment, outer, inner[0], whole.code)
            check_result(outer)
            check_result(inner[0])
            allowed = {
                (True, True): [first_second, second_first],
                (True, False): [after_first],
                (False, True): [after_second],
                (False, False): [before],
            }[outer.code == 0, inner[0].code == 0]
            assert outcome() in allowed, where
            if outer.code == 0 and first in READERS:
                assert outer.out in (alone.out, late.out), where
            # During a training, its checkpoints are read too.
            if inner[0].code == 0 and second in READERS and not first.startswith("train"):
                assert inner[0].out in (early.out, whole.out), where
            kept = {"TEXT", "other", "x.arpa", "run"}
            assert names(place.folder) <= kept, where
