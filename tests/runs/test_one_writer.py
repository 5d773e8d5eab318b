"""Several processes at one run or file: one whole result or one refused, and nothing of others."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqlm.errors import SeqlmError, UsageError
from seqlm.runs.durable_files import DRAFT, draft_name, exchange, replacing, write_text
from seqlm.runs.run_folder import RunFolder
from tests.command import COMMAND, Result, environment
from tests.conftest import Toy

Command = Callable[..., Result]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def together(*commands: list[Any], cwd: Path) -> list[tuple[int, str, str]]:
    """Runs commands at the same time: exit status, stdout and stderr of each."""
    processes = [
        subprocess.Popen(
            [*COMMAND, *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=environment(),
        )
        for command in commands
    ]  # fmt: skip
    results = [process.communicate() for process in processes]
    return [(p.returncode, out, err) for p, (out, err) in zip(processes, results)]


# ------------------------------------------------------------------------------------- one process


def test_a_run_that_is_counted_is_locked_from_the_beginning(toy: Toy, seqlm: Command) -> None:
    with RunFolder.create(Path("run")):
        for command in (["count", toy.train], ["train", toy.train, "--steps", 1]):
            result = seqlm(*command, "-o", "run")
            assert (result.code, "is being written" in result.error) == (2, True)


@pytest.mark.parametrize("command", ["count", "train"])
def test_a_new_name_is_never_given_twice(command: str, toy: Toy, seqlm: Command) -> None:
    flags = {"count": ["-n", 2], "train": ["--steps", 1, "--width", 8, "--layers", 1]}[command]
    paths = [seqlm(command, toy.train, *flags, "-q").out for _ in range(3)]
    assert len(set(paths)) == 3


def test_a_lock_of_a_folder_that_was_replaced_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "run"
    old = RunFolder.create(path)
    path.rename(tmp_path / "old")
    path.mkdir()
    new = RunFolder(path)
    new.lock()  # the file `lock` is another one
    with pytest.raises(UsageError, match="being written"):
        RunFolder(path).lock()
    old.unlock()
    new.unlock()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_run_that_is_made_before_the_lock_is_taken_is_kept(
    overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock = tmp_path / "run", RunFolder.lock

    def late(run: RunFolder) -> None:
        monkeypatch.setattr(RunFolder, "lock", lock)
        with RunFolder.create(path) as other:  # of another process, from its begin to its end
            write_text(other / "config.yaml", "other")
            write_text(other / "latest", "1")
        lock(run)

    monkeypatch.setattr(RunFolder, "lock", late)
    if overwrite:
        RunFolder.create(path, overwrite=True).unlock()
    else:
        with pytest.raises(UsageError, match="holds a run already"):
            RunFolder.create(path)
    assert (path / "config.yaml").read_text() == "other"


def test_a_disk_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqlm.runs import run_folder

    def refuse(*arguments: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(run_folder.fcntl, "flock", refuse)
    with pytest.raises(SeqlmError, match="cannot be locked: No locks available"):
        RunFolder.create(tmp_path / "run")


# ------------------------------------------------------------------------------------- overwriting


@pytest.mark.parametrize("command", ["count", "train", "export"])
def test_a_failure_keeps_the_run_that_was_to_be_replaced(
    command: str, toy: Toy, ngram: Path, seqlm: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqlm.runs import checkpoint

    assert seqlm("count", toy.train, "-n", 2, "-o", "run").code == 0
    before = seqlm("eval", "-m", "run", toy.test).out
    arguments = {
        "count": ["count", toy.train, "-n", 3],
        "train": ["train", toy.train, "--steps", 2, "--width", 8, "--layers", 1],
        "export": ["export", "-m", ngram, "--to", "run"],
    }[command]

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_tensors", full)
        assert seqlm(*arguments, "-o", "run", "--overwrite").code == 1
    assert seqlm("eval", "-m", "run", toy.test).out == before
    assert names(Path()) == {"run"}
    assert seqlm(*arguments, "-o", "run", "--overwrite").code == 0
    assert seqlm("eval", "-m", "run", toy.test).out != before
    assert names(Path()) == {"run"}


def test_what_a_killed_replacement_leaves_is_cleared_away(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunFolder.create(path) as run:
        write_text(run / "config.yaml", "old")
    new = RunFolder.create(path, overwrite=True)
    write_text(new / "config.yaml", "new")
    new.unlock()  # as a kill does
    assert len(names(tmp_path)) == 2
    other = RunFolder.create(path, overwrite=True)
    assert names(tmp_path) == {"run", other.path.name}
    with other:
        write_text(other / "config.yaml", "newer")
        other.publish()
    assert (path / "config.yaml").read_text() == "newer"
    assert names(tmp_path) == {"run"}


def test_what_a_kill_leaves_of_the_old_run_goes_to_the_new_one(tmp_path: Path) -> None:
    path, old = tmp_path / "run", tmp_path / draft_name("run")
    for folder in (path, old):
        with RunFolder.create(folder) as run:
            write_text(run / "config.yaml", folder.name)
    (old / "notes.txt").write_text("mine")  # not moved yet when the process was killed
    with pytest.raises(UsageError, match="holds a run already"):
        RunFolder.create(path)
    RunFolder.create(path, overwrite=True).unlock()
    assert (path / "notes.txt").read_text() == "mine"
    assert (path / "config.yaml").read_text() == "run"


def test_two_folders_change_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqlm.runs import durable_files

    for at_once in (True, False):
        if not at_once:
            monkeypatch.setattr(durable_files, "exchange_at_once", lambda *paths: False)
        for name in "ab":
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "name").write_text(name)
        exchange(tmp_path / "a", tmp_path / "b")
        assert [(tmp_path / name / "name").read_text() for name in "ab"] == ["b", "a"]
        assert names(tmp_path) == {"a", "b"}


# ------------------------------------------------------------------- files that are not from seqlm


@pytest.fixture
def trained(workplace: Path, toy: Toy, seqlm: Command) -> Path:
    arguments = ["--width", 8, "--layers", 1, "--batch-size", 8]
    made = seqlm("train", toy.train, "--valid", toy.valid, *arguments, "--steps", 4, "-o", "run")
    assert made.code == 0
    return workplace / "run"


def test_nothing_is_written_through_a_link(trained: Path, seqlm: Command) -> None:
    victim = trained.parent / "victim"
    victim.write_text("precious")
    (trained / ".config.yaml.tmp").symlink_to(victim)
    for name in ("README.md", "best", "latest"):
        (trained / name).rename(trained.parent / name)
        (trained / name).symlink_to(trained.parent / name)
    kept = {name: (trained.parent / name).read_text() for name in ("README.md", "best", "latest")}
    assert seqlm("train", "--resume", "run", "--steps", 8).code == 0
    assert victim.read_text() == "precious"
    assert {name: (trained.parent / name).read_text() for name in kept} == kept


@pytest.mark.parametrize("name", ["metrics.jsonl", "lock", "steps"])
def test_nothing_is_added_through_a_link(name: str, trained: Path, seqlm: Command) -> None:
    moved = trained.parent / name
    (trained / name).rename(moved)
    before = moved.read_text() if moved.is_file() else names(moved)
    (trained / name).symlink_to(moved)
    result = seqlm("train", "--resume", "run", "--steps", 8)
    assert (result.code == 0) == (name == "metrics.jsonl")  # which is replaced, as a whole
    assert "internal error" not in result.err
    assert (moved.read_text() if moved.is_file() else names(moved)) == before


def test_only_checkpoints_are_removed_from_steps(trained: Path, seqlm: Command) -> None:
    (trained / "steps" / "keep-me").mkdir()
    (trained / "steps" / "keep-me" / "weights").write_text("mine")
    (trained / "steps" / "00000001").mkdir()
    (trained / "steps" / "00000001" / "model.safetensors").write_text("mine")
    shutil.copytree(trained / "steps" / "00000004", trained / "steps" / "4")
    outside = trained.parent / "outside"
    outside.mkdir()
    (outside / "manifest.json").write_text("mine")
    (trained / "steps" / "00000002").symlink_to(outside)
    assert seqlm("train", "--resume", "run", "--steps", 8).code == 0
    left = names(trained / "steps")
    assert {"keep-me", "00000001", "00000002", "4"} < left
    assert (trained / "steps" / "4" / "manifest.json").exists()
    assert (trained / "steps" / "keep-me" / "weights").read_text() == "mine"
    assert (trained / "steps" / "00000001" / "model.safetensors").read_text() == "mine"
    assert (outside / "manifest.json").read_text() == "mine"


def test_a_file_that_is_written_twice_at_once_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as first, replacing(path) as second:
        for part in range(3):
            first.write(b"first")
            second.write(b"second")
            assert len([name for name in names(tmp_path) if DRAFT.fullmatch(name)]) == 2, part
    assert path.read_bytes() == b"first" * 3  # which was renamed last
    assert names(tmp_path) == {"file"}


def test_drafts_of_dead_processes_are_removed_and_no_others(tmp_path: Path) -> None:
    dead, other = tmp_path / draft_name("file"), tmp_path / draft_name("another")
    victim, link = tmp_path / "victim", tmp_path / draft_name("file")
    for path in (dead, other, victim):
        path.write_text("half")
    link.symlink_to(victim)
    (folder := tmp_path / draft_name("file")).mkdir()
    write_text(tmp_path / "file", "whole")
    assert names(tmp_path) == {"file", other.name, "victim", link.name, folder.name}


def test_a_device_is_written_to_directly() -> None:
    write_text(Path("/dev/null"), "text")
    with pytest.raises(SeqlmError, match="cannot be written"):
        write_text(Path("/dev/full"), "text")


# ---------------------------------------------------------------------------------- real processes


def test_two_counts_at_once(tmp_path: Path, toy: Toy) -> None:
    count = ["count", toy.train, "-n", 2, "-q"]
    for flags, accepted in ((["-o", "run"], {1}), ([], {2})):
        results = together([*count, *flags], [*count, *flags], cwd=tmp_path)
        done = [out for code, out, _ in results if code == 0]
        # Both may come through one after the other, and then the second finds a run.
        assert len(done) in accepted | {1} if flags else len(done) == 2, results
        assert len(set(done)) == len(done)
        assert all(code in (0, 2) for code, _, _ in results)
        for out in done:
            scored = subprocess.run(
                [*COMMAND, "eval", "-m", out.strip(), str(toy.test)],
                capture_output=True, cwd=tmp_path, env=environment(), check=False,
            )  # fmt: skip
            assert scored.returncode == 0, scored.stderr


def test_two_writers_of_one_arpa_file(tmp_path: Path, toy: Toy) -> None:
    flags = ["--arpa", "x.arpa", "--overwrite"]
    commands = [["count", toy.train, "-n", n, *flags, "-o", f"run{n}"] for n in (1, 3)]
    assert all(code == 0 for code, _, _ in together(*commands, cwd=tmp_path))
    text = (tmp_path / "x.arpa").read_text()
    assert text.startswith("\\data\\\n")
    assert text.rstrip().endswith("\\end\\")
    assert text.count("\\data\\") == 1
    sections = text.count("-grams:")
    assert text.count("ngram ") == sections
    assert names(tmp_path) == {"x.arpa", "run1", "run3"}
