"""Checkpoints: what goes in comes out, and neither damage nor a crash loses the last good one."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from seqlm.errors import ModelError, SeqlmError
from seqlm.models.config.recurrent_config import LSTMConfig
from seqlm.models.language.recurrent import LSTM
from seqlm.runs import checkpoint as checkpoint_module
from seqlm.runs.checkpoint import TrainingState, load_training, write_checkpoint
from seqlm.runs.loading import load_model as load_model_module
from seqlm.runs.loading.load_model import LoadedModel, load_model
from seqlm.runs.loading.locate import locate
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.tensor_files import write_tensors
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import RESERVED
from tests.command import environment


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes die here, not machines."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


TYPES = [*RESERVED, b"a", b"b"]
FILES = ["model.safetensors", "training.safetensors", "training.json", "manifest.json"]


def network(value: float, width: int = 3) -> LSTM:
    """A network all of whose weights are `value`."""
    model = LSTM(LSTMConfig(len(TYPES), width=width, layers=1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def training(value: float) -> TrainingState:
    return TrainingState({"moments": torch.full((3,), value)}, {"progress": value})


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    """A run with a configuration and no checkpoint yet."""
    folder = RunFolder.create(tmp_path / "run")
    folder.write_tokenizer(Tokenizer("word", TYPES))
    model = network(0).settings()
    folder.write_config(RunConfig(task="lm", arch="lstm", context="carried", model=model))
    yield folder
    folder.unlock()


def load(run: RunFolder, name: str | None = None) -> LoadedModel:
    return load_model(locate(run / "steps" / name if name else run.path))


def save(run: RunFolder, step: int, best: bool = False) -> None:
    """Writes checkpoint number `step`, whose every number is `step`."""
    write_checkpoint(run, step, network(step), training(step), best)


def value(run: RunFolder, name: str | None = None) -> float:
    """The number that all weights of the loaded checkpoint have."""
    (number,) = {x for p in load(run, name).model.parameters() for x in p.flatten().tolist()}
    return number


def steps(run: RunFolder) -> list[str]:
    return sorted(path.name for path in (run / "steps").iterdir())


# ------------------------------------------------------------------------------------- what is kept


def test_a_checkpoint_gives_everything_back(run):
    save(run, 7)
    assert value(run) == 7
    weights, state = load_training(run)
    assert state.values == {"progress": 7}
    assert state.tensors["moments"].tolist() == [7, 7, 7]
    assert all((tensor == 7).all() for tensor in weights.values())
    assert not load(run).model.training


def test_a_checkpoint_without_training_state_cannot_be_resumed(run):
    write_checkpoint(run, 1, network(1))
    assert value(run) == 1
    with pytest.raises(ModelError, match="nothing to resume"):
        load_training(run)


def test_only_the_best_and_the_latest_are_kept(run):
    for step, best in {1: True, 2: False, 3: True, 4: False, 5: False}.items():
        save(run, step, best)
    assert steps(run) == ["00000003", "00000005"]
    assert value(run) == 3  # the best answers
    assert load_training(run)[1].values == {"progress": 5}  # the latest goes on


def test_a_checkpoint_can_be_named(run):
    save(run, 1, best=True)
    save(run, 2)
    assert value(run, "00000002") == 2
    with pytest.raises(ModelError, match="holds no checkpoint 00000009"):
        load(run, "00000009")


def test_a_run_without_a_checkpoint_says_so(run):
    with pytest.raises(ModelError, match="holds no checkpoint"):
        load(run)


def test_writing_the_same_step_again_changes_nothing(run):
    save(run, 1)
    before = (run / "steps" / "00000001" / "model.safetensors").stat()
    save(run, 1, best=True)
    assert (run / "steps" / "00000001" / "model.safetensors").stat().st_ino == before.st_ino
    assert value(run) == 1


def test_a_checkpoint_of_another_course_that_nothing_names_is_replaced(run):
    """Killed after checkpoint 2 is renamed and before it is named, then resumed at another rate."""
    save(run, 1)
    shutil.copytree(run / "steps" / "00000001", run / "steps" / "00000002")
    save(run, 2)
    assert value(run) == 2


# ------------------------------------------------------------------------------------------- damage


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def truncate(path: Path, tmp_path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def remove(path: Path, tmp_path: Path) -> None:
    path.unlink()


def pickled(path: Path, tmp_path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))


def pickled_by_torch(path: Path, tmp_path: Path) -> None:
    torch.save({"weights": Bomb(tmp_path / "exploded")}, path)


def folder(path: Path, tmp_path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = [truncate, empty, flip, remove, pickled, pickled_by_torch, folder]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_the_only_checkpoint_is_an_error_and_nothing_is_run(name, damage, run, tmp_path):
    save(run, 1)
    damage(run / "steps" / "00000001" / name, tmp_path)
    for read in (load, load_training):
        with pytest.raises(ModelError, match=r"00000001.* is damaged"):
            read(run)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_aloud(name, damage, run, tmp_path):
    save(run, 1, best=True)
    save(run, 2)
    damage(run / "steps" / "00000002" / name, tmp_path)
    with pytest.warns(UserWarning, match=r"00000002.* is damaged.*back to checkpoint 00000001"):
        assert load_training(run)[1].values == {"progress": 1}
    with pytest.raises(ModelError, match=r"00000002.* is damaged"):
        load(run, "00000002")  # asked for by name, there is no other
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("damage", [pickled, pickled_by_torch, empty])
@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors"])
def test_a_forged_manifest_makes_no_pickle_run(name, damage, run, tmp_path):
    save(run, 1)
    checkpoint = run / "steps" / "00000001"
    damage(checkpoint / name, tmp_path)
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest[name] = {
        "sha256": checkpoint_module.digest(checkpoint / name),
        "bytes": (checkpoint / name).stat().st_size,
    }
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="is not a safetensors file"):
        load_training(run)
    assert not (tmp_path / "exploded").exists()


def test_a_missing_best_is_missed_aloud(run):
    save(run, 1, best=True)
    save(run, 2)
    shutil.rmtree(run / "steps" / "00000001")
    with pytest.warns(UserWarning, match="00000001 is missing; going back to checkpoint 00000002"):
        assert value(run) == 2


@pytest.mark.parametrize("text", ["", "../../etc", "2", "99999999", "\x80"])
def test_a_damaged_pointer_does_not_lose_the_checkpoint(text, run):
    save(run, 1)
    (run / "latest").write_bytes(text.encode("latin-1"))
    with pytest.warns(UserWarning, match="missing") if text.isdigit() else no_warning():
        assert value(run) == 1


@contextmanager
def no_warning() -> Iterator[None]:
    yield


# ------------------------------------------------------------------------------------------ misfits


def test_weights_of_another_size_are_refused_with_both_sizes(run):
    write_checkpoint(run, 1, network(1, width=5))
    with pytest.raises(ModelError, match=r"do not fit config\.yaml.*5\D.*3\D"):
        load(run)


def test_weights_of_another_architecture_are_refused(run):
    save(run, 1)
    config = run.read_config()
    model = {k: v for k, v in config.model.items() if k not in ("peephole", "coupled_gates")}
    run.write_config(replace(config, arch="gru", model=model))
    with pytest.raises(ModelError, match=r"do not fit config\.yaml"):
        load(run)


@pytest.mark.parametrize(
    "change",
    [
        {"arch": "lstn"}, {"arch": None}, {"task": "dance"}, {"model": None}, {"model": {}},
        {"model": {"vocab_size": "4"}}, {"model": {"vocab_size": 4, "width": -3}},
        {"model": {"vocab_size": 4, "no_such_option": 3}},
    ],
)  # fmt: skip
def test_a_configuration_that_makes_no_model_is_the_models_fault(change, run):
    save(run, 1)
    config = run.read_config().to_mapping() | change
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ModelError, match=re.escape(str(run.path))):
        load(run)


def test_a_vocabulary_of_another_size_is_refused_with_both_sizes(run):
    save(run, 1)
    run.write_tokenizer(Tokenizer("word", TYPES[:-1]))
    with pytest.raises(ModelError, match=r"vocab_size is 4, and the tokenizer has 3 types"):
        load(run)


# ------------------------------------------------------------------------------------------ crashes


class Crash(BaseException):
    """The process dies here."""


DISK = [
    (os, "fsync"), (os, "rename"), (os, "replace"), (os, "mkdir"), (os, "rmdir"), (os, "unlink"),
    (os, "open"), (io, "open"), (checkpoint_module, "write_tensors"),
]  # fmt: skip
"""Everything through which a checkpoint touches the disk."""


@contextmanager
def failing(at: int, error: BaseException) -> Iterator[list[int]]:
    """Raises `error` at access number `at` to the disk; yields the number of accesses so far.

    A file being written is left half written.
    """
    count = [0]

    def step(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == at:
                if original is write_tensors:
                    original(*arguments, **options)
                    os.truncate(arguments[0], 50)
                raise error
            return original(*arguments, **options)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        for module, name in DISK:
            patch.setattr(module, name, step(getattr(module, name)))
        yield count


def writes_of_a_checkpoint(run: RunFolder) -> int:
    save(run, 1, best=True)
    save(run, 2)
    with failing(-1, Crash()) as count:
        save(run, 3, best=True)
    return count[0]


def test_the_writes_of_a_checkpoint_are_all_watched(run):
    assert writes_of_a_checkpoint(run) > 30


def test_a_crash_at_any_step_of_a_checkpoint_leaves_one_that_loads(run, tmp_path):
    save(run, 1, best=True)
    save(run, 2)
    shutil.copytree(run.path, tmp_path / "before")
    at, crashed = 0, True
    while crashed:
        at += 1
        shutil.rmtree(run.path)
        shutil.copytree(tmp_path / "before", run.path)
        with failing(at, Crash()) as count:
            try:
                save(run, 3, best=True)
                crashed = False
            except Crash:
                crashed = True
        assert value(run) in (1, 3), at
        assert load_training(run)[1].values["progress"] in (2, 3), at
        # And the next one, by the process that resumes, finds nothing in its way.
        save(run, 3, best=True)
        assert value(run) == 3
        assert load_training(run)[1].values["progress"] == 3
        assert steps(run) == ["00000003"]
    assert at == count[0] + 1 > 20


def test_a_full_disk_at_any_step_keeps_the_checkpoint_before(run):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    save(run, 1, best=True)
    save(run, 2)
    step, refused = 2, 0
    for at in range(1, writes_of_a_checkpoint(run) + 10):
        with failing(at, full):
            message = None
            try:
                save(run, step + 1)
            except SeqlmError as error:
                message, refused = str(error), refused + 1
        assert message is None or re.match(rf"{run.path}.* (could not|cannot) be ", message), at
        assert value(run) == 3, at
        saved = load_training(run)[1].values["progress"]
        assert saved == step + 1 if message is None else saved in (step, step + 1), at
        step = saved
    assert refused > 10
    save(run, step + 1)
    assert load_training(run)[1].values["progress"] == step + 1


def test_a_tensor_file_that_cannot_be_written_keeps_the_checkpoint_before(run, monkeypatch):
    save(run, 1)

    def full(path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint_module, "write_tensors", full)
    with pytest.raises(SeqlmError, match=r"step 2 could not be saved: .*No space left") as caught:
        save(run, 2)
    assert caught.value.exit_code == 1
    assert steps(run) == ["00000001"]
    assert value(run) == 1


KILLED = """
    import os, random, signal, sys, time
    from pathlib import Path
    sys.path.insert(0, {repository!r})
    from tests.runs.test_checkpoint import save, value, load_training
    from seqlm.runs.run_folder import RunFolder

    run, rng, last = RunFolder(Path({path!r})), random.Random(1), 3  # the step that is there
    for kill in range(25):
        child = os.fork()
        if child == 0:
            for step in range(last + 1, 10**6):
                save(run, step, best=step % 3 == 0)
        time.sleep(rng.uniform(0.001, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        step = load_training(run)[1].values["progress"]
        assert last <= step, (last, step)
        best = value(run)  # step itself, where a best one that was not named yet is written anew
        assert best in (step - step % 3, step, step + 1), (best, step)
        last = step
    print(last)
"""


def test_kill_9_in_the_midst_of_writing_leaves_a_checkpoint_that_loads(run):
    save(run, 3, best=True)
    script = textwrap.dedent(KILLED).format(
        repository=str(Path(__file__).parents[2]), path=str(run.path)
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 3


def test_a_run_in_a_path_that_is_not_utf_8_is_read_again(run):
    run.path = run.path.rename(os.fsdecode(os.fsencode(run.path) + b"\xff\xfe"))
    save(run, 1, best=True)
    assert value(run) == 1
    assert load_training(run)[1].values["progress"] == 1


@pytest.mark.parametrize("moment", ["read_tensors", "read_manifest"])
def test_a_checkpoint_that_is_deleted_while_it_is_read_is_followed_by_the_next(
    run, moment, monkeypatch
):
    save(run, 1, best=True)
    original = getattr(load_model_module, moment)

    def late(path: Path) -> Any:
        monkeypatch.setattr(load_model_module, moment, original)
        save(run, 2, best=True)  # by the process that trains, which deletes the first
        return original(path)

    monkeypatch.setattr(load_model_module, moment, late)
    assert value(run) == 2


def test_a_checkpoint_that_was_asked_for_by_name_is_missed(run):
    save(run, 1, best=True)
    asked = replace(locate(run.path), checkpoint="00000001")
    save(run, 2, best=True)
    with pytest.raises(ModelError, match="holds no checkpoint 00000001"):
        load_model(asked)
