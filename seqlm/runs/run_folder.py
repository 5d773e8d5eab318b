"""A run folder: what a model is, how it came to be, and its checkpoints.

    config.yaml      the resolved configuration           metrics.jsonl   one object per validation
    tokenizer.json   text <-> ids                         README.md       the command, for people
    steps/<step>/    weights, training state, manifest    latest, best    the name of a checkpoint
    lock             held by the process that writes

Small files are replaced whole or not at all, whatever happens in between.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from seqlm.errors import ModelError, SeqlmError, UsageError
from seqlm.runs.durable_files import draft_path, write_text
from seqlm.runs.readme import readme
from seqlm.runs.run_config import RunConfig
from seqlm.text.pretrained_tokenizer import tokenizer_from_json
from seqlm.text.tokenizer import Tokenizer

RUNS = Path("checkpoints")
"""The folder in which new runs are made, and found by their names."""

STEPS = "steps"
"""The folder of a run that holds its checkpoints."""

RUN_FILES = (
    "config.yaml",
    "tokenizer.json",
    "source-tokenizer.json",
    "metrics.jsonl",
    "README.md",
    "latest",
    "best",
    "corpus.safetensors",
)
RUN_FOLDERS = (STEPS, "tensorboard")


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    # -- creating one

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
        for name in RUN_FILES:  # the configuration first: without it, the rest is no run
            (run / name).unlink(missing_ok=True)
        for folder in RUN_FOLDERS:
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
                f"{path} holds a run already;"
                " set `overwrite` to replace it, or name another `output`"
            )
        if path.is_dir() and not run.exists() and not run.is_vacant():
            raise UsageError(f"{path} is a folder with other things in it; name another `output`")

    @classmethod
    def unused_path(cls, name: str) -> Path:
        """The first of checkpoints/`name`, checkpoints/`name`-2, … that does not exist."""
        numbered = (name if n == 1 else f"{name}-{n}" for n in range(1, 1_000_000))
        return next(RUNS / n for n in numbered if not (RUNS / n).exists())

    def exists(self) -> bool:
        return (self / "config.yaml").is_file()

    def is_vacant(self) -> bool:
        """True for an empty folder, and for what a run leaves that is killed before it writes its
        configuration."""
        names = {path.name for path in self.path.iterdir()}
        drafts = {draft_path(self / name).name for name in RUN_FILES}
        return not names or (
            "lock" in names and names <= {"lock", *RUN_FILES, *RUN_FOLDERS, *drafts}
        )

    # -- one writer at a time

    def lock(self) -> None:
        """Takes the lock until `unlock`, or until the process ends, however it ends.

        Errors: UsageError where another process holds it.
        """
        self._lock = os.open(self / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        for pause in (0.0, 0.1, 0.3):  # `is_locked` of another process takes it for an instant
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
    def is_locked(self) -> bool:
        """Whether a process is writing the run."""
        try:
            with (self / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except FileNotFoundError:
            return False
        except OSError:
            return True

    # -- its files

    def read_config(self) -> RunConfig:
        """Errors: ModelError where it is missing, or is not what a run wrote."""
        return RunConfig.read(self / "config.yaml")

    def write_config(self, config: RunConfig) -> None:
        """Errors: SeqlmError where the disk refuses."""
        config.write(self / "config.yaml")

    def write_readme(self, config: RunConfig) -> None:
        """Errors: SeqlmError where the disk refuses."""
        write_text(self / "README.md", readme(config, self.path))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the text, or of a translator's target. Errors: ModelError."""
        return self.read_tokenizer("tokenizer.json")

    @cached_property
    def source_tokenizer(self) -> Tokenizer | None:
        """The tokenizer of a translator's source where it is another one. Errors: ModelError."""
        name = "source-tokenizer.json"
        return self.read_tokenizer(name) if (self / name).exists() else None

    def read_tokenizer(self, name: str) -> Tokenizer:
        try:
            return tokenizer_from_json((self / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ModelError(f"{self.path} has no {name}") from None
        except (ModelError, UnicodeDecodeError) as error:
            raise ModelError(f"{self / name} cannot be read: {error}") from None

    def write_tokenizer(self, tokenizer: Tokenizer, source: Tokenizer | None = None) -> None:
        """`source` is the tokenizer of a translator's source where it is another one."""
        write_text(self / "tokenizer.json", tokenizer.to_json())
        if source is not None:
            write_text(self / "source-tokenizer.json", source.to_json())

    def append_metrics(self, row: dict[str, Any]) -> None:
        with (self / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in (self / "metrics.jsonl").read_text().splitlines()]

    def truncate_metrics(self, step: int) -> None:
        """Drops what was measured after `step`: a run resumed there will measure it again."""
        path = self / "metrics.jsonl"
        if path.exists():
            rows = path.read_text().splitlines(keepends=True)
            complete = [row for row in rows if row.endswith("\n")]  # the last may be cut short
            write_text(path, "".join(row for row in complete if json.loads(row)["step"] <= step))


def now() -> str:
    """The time in UTC, as config.yaml holds it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
