"""A run folder: what a model is, how it came to be, and its checkpoints.

    config.yaml      the resolved configuration           metrics.jsonl   one object per validation
    tokenizer.json   text <-> ids                         README.md       the command, for people
    labels.json      labels, of a labeler
    steps/<step>/    weights, training state, manifest    latest, best    the name of a checkpoint
    lock             held by the process that writes

Small files are replaced whole or not at all, whatever happens in between.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from seqlm.errors import ModelError, SeqlmError, UsageError, fault_of
from seqlm.runs.durable_files import DRAFT, draft_name, exchange, sync_folder, write_text
from seqlm.runs.own_files import LOCK, is_own_name, remove_run_files
from seqlm.runs.readme import readme
from seqlm.runs.run_config import RunConfig
from seqlm.runs.untrusted.packed_vocabulary import cut_out_words
from seqlm.runs.untrusted.plain_files import parse_json, read_bytes, read_text
from seqlm.text.pretrained_tokenizer import tokenizer_from_json
from seqlm.text.reading import STDOUT
from seqlm.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from seqlm.text.labeled.label_vocabulary import LabelVocabulary

MAX_TOKENIZER_BYTES = MAX_METRICS_BYTES = 1 << 30
RUNS = Path("checkpoints")
"""The folder in which new runs are made, and found by their names."""


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._replaced: RunFolder | None = None
        """The run whose place this one takes when it is whole; see `publish`."""

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def final_path(self) -> Path:
        """Where the run is, or will be."""
        return self._replaced.path if self._replaced else self.path

    # -- creating one

    @classmethod
    def create(cls, path: Path | None = None, overwrite: bool = False, name: str = "run") -> Self:
        """An empty, locked run at `path`, or at the first of checkpoints/`name`,
        checkpoints/`name`-2, … that does not exist. Two processes never get the same.

        Where `path` holds another run, that is kept there until `publish` puts the new one in its
        place. As a context, the run is unlocked at the end, and removed after an error that leaves
        nothing in it to be loaded.
        Errors: those of `check_free`; UsageError where another process writes the run; SeqlmError
        where the disk refuses.
        """
        if path is None:
            return cls.create_unnamed(name)
        cls.check_free(path, overwrite)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SeqlmError(f"{path} cannot be made: {error.strerror}") from None
        run = cls(path)
        run.lock()
        try:
            cls.check_free(path, overwrite)  # of a run that was made before the lock was taken
            remove_what_is_left(path)
            if run.exists():
                return cls.replacement(run)
            with as_seqlm_error(path):
                remove_run_files(path, keep=[LOCK])  # of a run that was killed before it was one
        except BaseException:
            run.unlock()
            raise
        return run

    @classmethod
    def create_unnamed(cls, name: str) -> Self:
        with as_seqlm_error(RUNS):
            RUNS.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                run = cls(RUNS / (name if number == 1 else f"{name}-{number}"))
                with suppress(FileExistsError):
                    run.path.mkdir()
                with suppress(UsageError):  # another process writes it
                    if run.path.is_dir() and run.is_vacant():
                        run.lock()
                        if run.is_vacant():  # still
                            remove_run_files(run.path, keep=[LOCK])  # of one that was killed
                            return run
                        run.unlock()
        raise AssertionError("there is a number for every run")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        is_whole = self.exists() and (self / "latest").is_file() and self._replaced is None
        if error is not None and not is_whole:
            with suppress(OSError):
                remove_run_files(self.path)
        self.unlock()

    @classmethod
    def replacement(cls, replaced: RunFolder) -> Self:
        """A new, locked run beside the one that it is to replace, which is locked."""
        path = replaced.path.resolve()
        with as_seqlm_error(replaced.path):
            draft = path.with_name(draft_name(path.name))
            draft.mkdir()
        run = cls(draft)
        run.lock()
        run._replaced = replaced
        return run

    def publish(self) -> None:
        """Puts the run, which is whole, in the place of the one that it replaces, if it does.

        What is in that one's folder and not from seqlm moves to the new folder.
        Errors: SeqlmError where the disk refuses.
        """
        if self._replaced is None:
            return
        replaced, draft = self._replaced, self.path
        with as_seqlm_error(replaced.path):
            exchange(draft, replaced.path.resolve())
        self.path, self._replaced = replaced.path, None
        with suppress(OSError):  # what is left is removed by the next one
            remove_replaced(draft, self.path)
        replaced.unlock()
        with as_seqlm_error(self.path):
            sync_folder(self.path.resolve().parent)

    @classmethod
    def check_free(cls, path: Path | None, overwrite: bool = False) -> None:
        """Refuses, before any work is done, a `path` that `create` would refuse.

        Errors: UsageError where it holds a run (unless `overwrite`) or something else, or cannot be
        written to.
        """
        target = (RUNS / "run" if path is None else path).absolute()
        parent = next(folder for folder in target.parents if folder.exists())
        if parent.is_dir() and not os.access(parent, os.W_OK | os.X_OK):
            raise UsageError(f"{path or RUNS} cannot be made: {parent} cannot be written to")
        if path is None:
            return
        if str(path) == STDOUT:
            raise UsageError(f"`output` is {path}, and a run is a folder: name one")
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

    def exists(self) -> bool:
        return (self / "config.yaml").is_file()

    def is_vacant(self) -> bool:
        """True for an empty folder, and for what a run leaves that is killed before it writes its
        configuration."""
        names = {path.name for path in self.path.iterdir()}
        is_left = LOCK in names and all(map(is_own_name, names))
        return not names or (is_left and not self.exists())

    # -- one writer at a time

    def lock(self) -> None:
        """Takes the lock until `unlock`, or until the process ends, however it ends.

        Errors: UsageError where another process holds it; SeqlmError where it cannot be made.
        """
        for pause in (0.0, 0.1, 0.3):  # `is_locked` of another process takes it for an instant
            time.sleep(pause)
            with as_seqlm_error(self.path):
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
                handle = os.open(self / LOCK, flags, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Meanwhile, the folder of this lock may have been replaced by another one.
                if os.path.samestat(os.fstat(handle), (self / LOCK).stat()):
                    self._lock = handle
                    return
            except (BlockingIOError, FileNotFoundError):
                pass
            except OSError as error:  # a disk without locks
                os.close(handle)
                raise SeqlmError(f"{self / LOCK} cannot be locked: {error.strerror}") from None
            os.close(handle)
        raise UsageError(f"{self.path} is being written by another run")

    def unlock(self) -> None:
        if self._replaced is not None:
            self._replaced.unlock()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def is_locked(self) -> bool:
        """Whether a process is writing the run."""
        try:
            with (self / LOCK).open() as lock:
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
        write_text(self / "README.md", readme(config, self.final_path))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the text, or of a translator's target. Errors: ModelError."""
        return self.read_tokenizer("tokenizer.json")

    @cached_property
    def source_tokenizer(self) -> Tokenizer | None:
        """The tokenizer of a translator's source where it is another one. Errors: ModelError."""
        name = "source-tokenizer.json"
        return self.read_tokenizer(name) if os.path.lexists(self / name) else None

    @cached_property
    def labels(self) -> LabelVocabulary | None:
        """The labels of a labeler, and what it reads beside words. Errors: ModelError."""
        from seqlm.text.labeled.label_vocabulary import LabelVocabulary

        path = self / "labels.json"
        if not os.path.lexists(path):
            return None
        text = read_text(path, MAX_TOKENIZER_BYTES)
        try:
            return LabelVocabulary.from_values(parse_json(text, str(path)))
        except ModelError as error:
            raise ModelError(f"{path} cannot be read: {error}") from None

    def read_tokenizer(self, name: str) -> Tokenizer:
        try:
            data = read_bytes(self / name, MAX_TOKENIZER_BYTES)
        except FileNotFoundError:
            raise ModelError(f"{self.path} has no {name}") from None
        cut = cut_out_words(data)
        try:
            tokenizer = tokenizer_from_json((cut.rest if cut else data).decode())
        except (ModelError, UnicodeDecodeError) as error:
            raise ModelError(f"{self / name} cannot be read{fault_of(error)}") from None
        return tokenizer.with_words(cut.words) if cut else tokenizer

    def write_tokenizer(self, tokenizer: Tokenizer, source: Tokenizer | None = None) -> None:
        """`source` is the tokenizer of a translator's source where it is another one."""
        write_text(self / "tokenizer.json", tokenizer.to_json())
        if source is not None:
            write_text(self / "source-tokenizer.json", source.to_json())

    def write_labels(self, labels: LabelVocabulary) -> None:
        write_text(self / "labels.json", labels.to_json())

    def append_metrics(self, rows: Iterable[dict[str, Any]]) -> None:
        """Writes all of the rows, or none. Errors: SeqlmError where the disk refuses."""
        path, text = self / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows)
        with as_seqlm_error(path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            with os.fdopen(os.open(path, flags, 0o666), "ab", buffering=0) as file:
                size = file.tell()
                try:
                    if file.write(text.encode()) != len(text.encode()):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    file.truncate(size)
                    raise

    def read_metrics(self) -> list[dict[str, Any]]:
        """What every validation measured; the last line may be cut short.

        Errors: ModelError where a line is no object with a `step`, or a figure is no number.
        """
        path = self / "metrics.jsonl"
        try:
            *lines, _ = read_text(path, MAX_METRICS_BYTES).split("\n")
        except FileNotFoundError:
            return []
        rows = [parse_json(line, f"{path}, line {n}") for n, line in enumerate(lines, 1)]
        for number, row in enumerate(rows, 1):
            is_row = isinstance(row, dict) and type(row.get("step")) is int
            if not is_row or not all(is_figure(value) for value in row.values()):
                raise ModelError(f"{path}, line {number} does not hold the figures of a step")
        return rows

    def truncate_metrics(self, step: int) -> None:
        """Drops what was measured after `step`: a run resumed there will measure it again.

        Errors: those of `read_metrics`; SeqlmError where the disk refuses.
        """
        path = self / "metrics.jsonl"
        if path.exists():
            kept = [row for row in self.read_metrics() if row["step"] <= step]
            write_text(path, "".join(json.dumps(row) + "\n" for row in kept))


def is_figure(value: Any) -> bool:
    """Whether `value` is a number, as all are in a row of metrics.jsonl."""
    return type(value) in (int, float)


def remove_what_is_left(path: Path) -> None:
    """Removes what is beside `path` of processes that died while they replaced the run there: a new
    run that was not whole, or the old one. The run is locked, so that no such process lives."""
    folder = path.absolute().parent
    for draft in folder.iterdir() if folder.is_dir() else ():
        match = DRAFT.fullmatch(draft.name)
        if match and match["name"] == path.name and draft.is_dir():
            with suppress(OSError):
                draft.rmdir()  # where it is empty
            if (draft / LOCK).is_file():
                remove_replaced(draft, path)


def remove_replaced(folder: Path, path: Path) -> None:
    """Removes the run in `folder`, whose place the run at `path` has taken. What is not from seqlm
    moves there; what cannot, since its name is taken, stays. Errors: OSError."""
    if folder.is_symlink():
        return
    for entry in list(folder.iterdir()):
        if not is_own_name(entry.name) and not os.path.lexists(path / entry.name):
            entry.rename(path / entry.name)
    remove_run_files(folder)


@contextmanager
def as_seqlm_error(path: Path) -> Iterator[None]:
    """Turns what the disk refuses into a SeqlmError that names `path`."""
    try:
        yield
    except OSError as error:
        raise SeqlmError(f"{path} cannot be written: {error.strerror or error}") from None


def now() -> str:
    """The time in UTC, as config.yaml holds it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
