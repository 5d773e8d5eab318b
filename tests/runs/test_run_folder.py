"""Run folders: made once, written by one process, and found again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqlm.errors import ModelError, SeqlmError, UsageError
from seqlm.runs.run_folder import RunFolder, find_run, latest_run, write_text
from tests.command import environment

CONFIG = {"task": "lm", "arch": "lstm", "context": "carried", "model": {"vocab_size": 3}}


@pytest.fixture
def finished(workplace: Path) -> Callable[..., RunFolder]:
    """Makes a run in ./checkpoints with the finish time given."""

    def make(name: str, time: str | None, **config: Any) -> RunFolder:
        run = RunFolder.create(workplace / "checkpoints" / name)
        run.write_config(CONFIG | {"finished": time} | config)
        run.unlock()
        return run

    return make


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --------------------------------------------------------------------------------------- making one


def test_a_run_is_not_overwritten_unless_told(finished):
    run = finished("one", "2026")
    before = contents(run.path)
    with pytest.raises(UsageError, match=f"{run.path} holds a run already; --overwrite"):
        RunFolder.create(run.path)
    assert contents(run.path) == before
    new = RunFolder.create(run.path, overwrite=True)
    assert contents(new.path) == {"lock": b""}
    new.unlock()


def test_overwriting_leaves_what_is_not_ours(finished):
    run = finished("one", "2026")
    (run / "notes.txt").write_text("mine")
    RunFolder.create(run.path, overwrite=True).unlock()
    assert contents(run.path) == {"lock": b"", "notes.txt": b"mine"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["thesis.tex", "README.md", "config.json", "tokenizer.json"])
def test_a_folder_with_other_things_is_left_alone(name, overwrite, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="other things in it"):
        RunFolder.create(tmp_path, overwrite)
    assert contents(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize("name", ["tokenizer.json", ".config.yaml.tmp", "saves"])
def test_a_run_killed_before_its_configuration_is_begun_anew(name, tmp_path):
    run = RunFolder.create(tmp_path / "run")
    run.unlock()
    (run / name).mkdir() if name == "saves" else (run / name).write_text("half")
    RunFolder.create(tmp_path / "run").unlock()


def test_an_empty_folder_becomes_a_run(tmp_path):
    RunFolder.create(tmp_path).unlock()


def test_a_file_is_no_place_for_a_run(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        RunFolder.create(tmp_path / "file")
    with pytest.raises(SeqlmError, match="cannot be made"):
        RunFolder.create(tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "mine"


def test_new_runs_get_names_that_are_free(finished):
    assert RunFolder.fresh("lstm-toy") == Path("checkpoints/lstm-toy")
    finished("lstm-toy", None)
    finished("lstm-toy-2", None)
    assert RunFolder.fresh("lstm-toy") == Path("checkpoints/lstm-toy-3")


# --------------------------------------------------------------------------------------- one writer


def test_a_run_is_written_by_one_process(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    assert run.locked
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="is being written by another run"):
            RunFolder.create(run.path, overwrite)
    run.unlock()
    assert not run.locked
    RunFolder.create(run.path).unlock()


def test_a_lock_ends_with_its_process(tmp_path):
    script = (
        "import sys; from pathlib import Path; from seqlm.runs.run_folder import RunFolder\n"
        f"RunFolder.create(Path({str(tmp_path / 'run')!r})); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
    ) as other:  # fmt: skip
        assert other.stdout is not None
        other.stdout.readline()
        run = RunFolder(tmp_path / "run")
        assert run.locked
        with pytest.raises(UsageError, match="being written"):
            run.lock()
        other.kill()
        other.wait()
        assert not run.locked
        run.lock()
        run.unlock()


# ------------------------------------------------------------------------------------ configuration


def test_a_tagged_object_is_refused_and_not_made(finished, tmp_path):
    run = finished("one", "2026")
    text = f"task: !!python/object/apply:os.mkdir [{tmp_path / 'made'}]\n"
    (run / "config.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"config\.yaml cannot be read: .*python/object"):
        run.read_config()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[1, 2]", b"just words", b"task: lm\n", b"a: [1", b"\x80\x04\x95", b"\0\0\0",
        b"finished: 2026-99-99\n", b"task: lm\narch: lstm\nmodel: {}\n",
    ],
)  # fmt: skip
def test_what_is_no_configuration_of_a_run_is_refused_by_name(text, finished):
    run = finished("one", "2026")
    (run / "config.yaml").write_bytes(text)
    with pytest.raises(ModelError, match=r"config\.yaml"):
        run.read_config()


@pytest.mark.parametrize("text", [b"", b"\x80\x04\x95", b"{}", b"[" * 9, b'{"model": 3}'])
def test_what_is_no_tokenizer_is_refused_by_name(text, finished):
    run = finished("one", "2026")
    (run / "tokenizer.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        _ = run.tokenizer
    (run / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        _ = run.tokenizer


def test_metrics_after_a_step_are_forgotten_and_a_broken_end_too(tmp_path):
    run = RunFolder(tmp_path)
    for step in (1, 2, 3):
        run.append_metrics({"step": step})
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": ')
    run.truncate_metrics(2)
    assert (run / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'


def test_a_small_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "latest"
    write_text(path, "old")

    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SeqlmError, match="latest cannot be written: No space left"):
        write_text(path, "new")
    assert contents(tmp_path) == {"latest": b"old"}


# -------------------------------------------------------------------------------------- finding one


def test_the_run_that_finished_last_is_chosen(finished):
    finished("b", "2026-01-02T00:00:00+00:00")
    finished("a", "2026-01-03T00:00:00+00:00")
    finished("z-unfinished", None)
    assert latest_run().path.name == "a"


def test_a_run_being_written_is_not_chosen(finished):
    finished("old", "2026-01-01")
    busy = finished("new", "2026-01-02")
    busy.lock()
    assert latest_run().path.name == "old"
    busy.unlock()
    assert latest_run().path.name == "new"


def test_a_folder_that_is_no_run_is_passed_over_aloud(finished, workplace):
    finished("good", "2026-01-01")
    (workplace / "checkpoints" / "other").mkdir()
    (workplace / "checkpoints" / "other" / "config.yaml").write_text("hidden_size: 3")
    (workplace / "checkpoints" / "file").write_text("")
    with pytest.warns(UserWarning, match=r"other/config\.yaml is not .* passed over"):
        assert latest_run().path.name == "good"


def test_without_a_finished_run_there_is_no_model(finished):
    with pytest.raises(UsageError, match="-m names one"):
        latest_run()
    finished("unfinished", None)
    with pytest.raises(UsageError, match="-m names one"):
        find_run(None)


def test_a_run_is_found_by_its_path_its_name_and_its_saves(finished, workplace):
    run = finished("one", None)
    save = run / "saves" / "00000005"
    save.mkdir(parents=True)
    assert find_run(str(run.path))[0].path == run.path
    assert find_run("one")[0].path == Path("checkpoints/one")
    found, name = find_run(str(save))
    assert (found.path, name) == (run.path, "00000005")


def test_the_variable_names_a_run_and_the_flag_goes_before_it(finished, monkeypatch):
    finished("one", "2026-01-02")
    finished("two", "2026-01-01")
    monkeypatch.setenv("SEQLM_MODEL", "two")
    assert find_run(None)[0].path.name == "two"
    assert find_run("one")[0].path.name == "one"


def test_a_model_that_is_not_there_is_named_with_the_nearest(finished):
    finished("lstm-toy", "2026")
    with pytest.raises(ModelError, match="no model lstm-toi; did you mean 'lstm-toy'"):
        find_run("lstm-toi")


def test_a_folder_without_a_configuration_is_no_run(tmp_path):
    run, _ = find_run(str(tmp_path))
    with pytest.raises(ModelError, match=r"is not a run: it has no config\.yaml"):
        run.read_config()
