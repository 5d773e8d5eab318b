"""A run folder: what a model is, how it came to be, and its saves.

    config.yaml      the resolved configuration           metrics.jsonl   one object a validation
    tokenizer.json   text <-> ids                         README.md       the command, for people
    saves/<step>/    weights, training state, manifest    latest, best    the name of a save
    lock             held by the process that writes

Small files are replaced whole or not at all, whatever happens in between.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO, Self

import yaml

from seqlm.errors import ModelError, SeqlmError, UsageError, nearest
from seqlm.text.tokenizer import Tokenizer
from seqlm.threads import prefetch_map

CHECKPOINTS = Path("checkpoints")
OURS = (
    "config.yaml",
    "tokenizer.json",
    "source-tokenizer.json",
    "metrics.jsonl",
    "README.md",
    "latest",
    "best",
    "corpus.safetensors",
)
NEEDED = {"task", "arch", "context", "model"}
"""Keys of config.yaml without which nothing can be loaded."""


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    # -- making one

    @classmethod
    def create(cls, path: Path, overwrite: bool = False) -> Self:
        """An empty, locked run at `path`. Errors: those of `check_free`."""
        cls.check_free(path, overwrite)
        run = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SeqlmError(f"{path} cannot be made: {error.strerror}") from None
        run.lock()
        for name in OURS:  # the configuration first: without it, the rest is no run
            (run / name).unlink(missing_ok=True)
        for folder in ("saves", "tensorboard"):
            shutil.rmtree(run / folder, ignore_errors=True)
        return run

    @classmethod
    def check_free(cls, path: Path, overwrite: bool = False) -> None:
        """Refuses, before any work is done, a `path` that `create` would refuse.

        Errors: UsageError where it holds a run (unless `overwrite`) or something else.
        """
        run = cls(path)
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file, not a folder for a run")
        if run.exists() and not overwrite:
            raise UsageError(
                f"{path} holds a run already; --overwrite replaces it, -o names another"
            )
        if path.is_dir() and not run.exists() and not run.begun():
            raise UsageError(f"{path} is a folder with other things in it; -o names another")

    @classmethod
    def fresh(cls, name: str) -> Path:
        """The first path checkpoints/`name`, checkpoints/`name`-2, … that is free."""
        numbered = (name if n == 1 else f"{name}-{n}" for n in range(1, 1_000_000))
        return next(CHECKPOINTS / n for n in numbered if not (CHECKPOINTS / n).exists())

    def exists(self) -> bool:
        return (self / "config.yaml").is_file()

    def begun(self) -> bool:
        """Holds no more than a run that was killed before its configuration was written."""
        there = {path.name for path in self.path.iterdir()}
        ours = {"lock", "saves", "tensorboard", *OURS, *(draft(self / name).name for name in OURS)}
        return not there or ("lock" in there and there <= ours)

    # -- one writer at a time

    def lock(self) -> None:
        """Held until the process ends, however it ends. Errors: UsageError where another has it."""
        self._lock = os.open(self / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        for pause in (0.0, 0.1, 0.3):  # `locked`, asked elsewhere, takes it for an instant
            time.sleep(pause)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                continue
        self.unlock()
        raise UsageError(f"{self.path} is being written by another run")

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def locked(self) -> bool:
        try:
            with (self / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except FileNotFoundError:
            return False
        except OSError:
            return True

    # -- what is in it

    def read_config(self) -> dict[str, Any]:
        """Errors: ModelError where it is missing, no YAML mapping, or holds a tagged object."""
        try:
            config = yaml.safe_load((self / "config.yaml").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise ModelError(f"{self.path} is not a run: it has no config.yaml") from None
        except (yaml.YAMLError, ValueError) as error:  # a ValueError: no UTF-8, or no such date
            reason = " ".join(str(error).split())
            raise ModelError(f"{self / 'config.yaml'} cannot be read: {reason}") from None
        if not isinstance(config, dict) or not config.keys() >= NEEDED:
            raise ModelError(f"{self / 'config.yaml'} is not the configuration of a run")
        return config

    def write_config(self, config: dict[str, Any]) -> None:
        write_text(
            self / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        )

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Of the text; of a translation, of its target. Errors: ModelError."""
        return self.read_tokenizer("tokenizer.json")

    @cached_property
    def source_tokenizer(self) -> Tokenizer | None:
        """Of the source of a translation, where that has its own. Errors: ModelError."""
        name = "source-tokenizer.json"
        return self.read_tokenizer(name) if (self / name).exists() else None

    def read_tokenizer(self, name: str) -> Tokenizer:
        try:
            return Tokenizer.from_json((self / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ModelError(f"{self.path} has no {name}") from None
        except (ModelError, UnicodeDecodeError) as error:
            raise ModelError(f"{self / name} cannot be read: {error}") from None

    def write_tokenizer(self, tokenizer: Tokenizer, source: Tokenizer | None = None) -> None:
        """`source` where a translation reads its source by another."""
        write_text(self / "tokenizer.json", tokenizer.to_json())
        if source is not None:
            write_text(self / "source-tokenizer.json", source.to_json())

    def append_metrics(self, row: dict[str, Any]) -> None:
        with (self / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in (self / "metrics.jsonl").read_text().splitlines()]

    def truncate_metrics(self, step: int) -> None:
        """Forgets what was measured after `step`, as a run resumed there will measure it again."""
        path = self / "metrics.jsonl"
        if path.exists():
            rows = path.read_text().splitlines(keepends=True)
            whole = [row for row in rows if row.endswith("\n")]  # the last may have been cut short
            write_text(path, "".join(row for row in whole if json.loads(row)["step"] <= step))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


# ------------------------------------------------------------------------------- finding a run


CALLED = {"lm": "a language model", "translation": "a translator"}
"""What a model of each task is called."""


def find_model(model: str | None, task: str | None = None) -> Path:
    """What `-m` names: the folder of a run, a save in it, or a file.

    Without `-m`: SEQLM_MODEL, else the run in ./checkpoints that finished last.
    Errors: those of `find_run`; where it does not do `task`, ModelError, or UsageError if nobody
    named it.
    """
    model = model or os.environ.get("SEQLM_MODEL")
    if model is not None and Path(model).is_file():
        path, does = Path(model), "lm"  # ARPA
    else:
        run, save = find_run(model)
        path, does = run / "saves" / save if save else run.path, run.read_config()["task"]
    if task is None or does == task:
        return path
    told = f"is {CALLED.get(does, does)}, and this needs {CALLED[task]}"
    if model is not None:
        raise ModelError(f"{path} {told}")
    able = [run for run in finished_runs() if run.read_config()["task"] == task]
    newest = f"-m {able[-1].path} is the newest" if able else "./checkpoints holds none"
    raise UsageError(f"the latest run, {path}, {told}; {newest}")


def find_run(model: str | None) -> tuple[RunFolder, str | None]:
    """The run `-m` names, and the save if it names one.

    Without `-m`: SEQLM_MODEL, else the run in ./checkpoints that finished last.
    Errors: ModelError, UsageError.
    """
    model = model or os.environ.get("SEQLM_MODEL")
    if model is None:
        return latest_run(), None
    path = Path(model)
    if path.parent.name == "saves" and (path.parent.parent / "config.yaml").is_file():
        return RunFolder(path.parent.parent), path.name
    for place in (path, CHECKPOINTS / path):
        if RunFolder(place).exists():
            return RunFolder(place), None
    if not path.exists():
        raise ModelError(f"no model {model}{nearest(path.name, [p.name for p in siblings(path)])}")
    return RunFolder(path), None  # whose missing config.yaml will be named


def siblings(path: Path) -> Iterator[Path]:
    for folder in {path.parent, CHECKPOINTS}:
        if folder.is_dir():
            yield from folder.iterdir()


def latest_run() -> RunFolder:
    """Errors: UsageError where there is none: nothing was trained here yet."""
    finished = finished_runs()
    if not finished:
        raise UsageError("no model: -m names one; ./checkpoints holds no finished run")
    return finished[-1]


def finished_runs() -> list[RunFolder]:
    """Those in ./checkpoints, the last one last; what is no run is passed over with a warning."""
    finished: dict[str, RunFolder] = {}
    for path in CHECKPOINTS.iterdir() if CHECKPOINTS.is_dir() else ():
        run = RunFolder(path)
        if run.exists() and not run.locked:
            try:
                when = run.read_config().get("finished")
            except ModelError as error:
                warnings.warn(f"{error}; it is passed over", stacklevel=2)
            else:
                finished |= {str(when): run} if when else {}
    return [finished[when] for when in sorted(finished)]


# ------------------------------------------------------------------------------- durable files


def write_text(path: Path, text: str) -> None:
    """Replaces `path` in one step that survives a crash."""
    with replacing(path) as file:
        file.write(text.encode(errors="surrogateescape"))  # a file name in it may be any bytes


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """A file of `pieces`, compressed where its name ends in .gz, written whole or not at all.

    Errors: SeqlmError where the disk refuses.
    """
    if path.suffix == ".gz":
        # A file may have many gzip members, so that they can be made in threads.
        packed = prefetch_map(partial(gzip.compress, compresslevel=6, mtime=0), pieces)
        pieces = (member for _, member in packed)
    with replacing(path) as file:
        file.writelines(pieces)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once it is whole and on disk. Errors: SeqlmError."""
    # What is no file, as a pipe, has no content to replace.
    whole = not path.exists() or path.is_file()
    place = draft(path) if whole else path
    try:
        with place.open("wb") as file:
            yield file
            if whole:
                file.flush()
                os.fsync(file.fileno())
        if whole:
            place.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise SeqlmError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        if whole:
            with suppress(OSError):
                place.unlink()


def draft(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.tmp")


def sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
