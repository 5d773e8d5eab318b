"""Run folders: made once, written by one process, and found again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seqlm.errors import ModelError, SeqlmError, UsageError
from seqlm.runs.run_folder import RunFolder
from tests.command import environment


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ------------------------------------------------------------------------------------- creating one


def test_a_run_is_not_overwritten_unless_told(finished):
    run = finished("one", "2026")
    before = contents(run.path)
    with pytest.raises(UsageError, match=f"{run.path} holds a run already; set overwrite"):
        RunFolder.create(run.path)
    assert contents(run.path) == before
    with RunFolder.create(run.path, overwrite=True) as new:
        assert contents(run.path) == before
        new.write_config(run.read_config())
        new.publish()
    assert contents(run.path).keys() == {"lock", "config.yaml"}
    assert [path.name for path in run.path.parent.iterdir()] == [run.path.name]


def test_overwriting_leaves_what_is_not_ours(finished):
    run = finished("one", "2026")
    (run / "notes.txt").write_text("mine")
    (run / "steps" / "keep-me").mkdir(parents=True)
    with RunFolder.create(run.path, overwrite=True) as new:
        new.publish()
    assert contents(run.path) == {"lock": b"", "notes.txt": b"mine"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["thesis.tex", "README.md", "config.json", "tokenizer.json"])
def test_a_folder_with_other_things_is_left_alone(name, overwrite, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="other things in it"):
        RunFolder.create(tmp_path, overwrite)
    assert contents(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize("name", ["tokenizer.json", ".config.yaml.0123abcd.tmp", "steps"])
def test_a_run_killed_before_its_configuration_is_begun_anew(name, tmp_path):
    run = RunFolder.create(tmp_path / "run")
    run.unlock()
    (run / name).mkdir() if name == "steps" else (run / name).write_text("half")
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
    for expected in ("lstm-toy", "lstm-toy-2", "lstm-toy-3"):
        with RunFolder.create(name="lstm-toy") as run:
            assert run.path == Path("checkpoints") / expected
            (run / "config.yaml").touch()


def test_the_name_of_what_was_killed_before_it_was_a_run_is_free(workplace):
    with RunFolder.create(name="lstm-toy") as run:
        (run / "tokenizer.json").touch()
    with RunFolder.create(name="lstm-toy") as again:
        assert again.path == run.path


# --------------------------------------------------------------------------------------- one writer


def test_a_run_is_written_by_one_process(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    assert run.is_locked
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="is being written by another run"):
            RunFolder.create(run.path, overwrite)
    run.unlock()
    assert not run.is_locked
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
        assert run.is_locked
        with pytest.raises(UsageError, match="being written"):
            run.lock()
        other.kill()
        other.wait()
        assert not run.is_locked
        run.lock()
        run.unlock()


# ---------------------------------------------------------------------------------------- its files


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
        run.append_metrics([{"step": step}])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": ')
    run.truncate_metrics(2)
    assert (run / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'
