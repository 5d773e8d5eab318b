r"""What the name of a model means: a run, a checkpoint of it, an ARPA file, word vectors, a Hugging
Face folder.

    None                      SEQLM_MODEL, else the run in ./checkpoints that finished last
    path/to/RUN               a run folder
    NAME                      the run folder ./checkpoints/NAME
    path/to/RUN/steps/STEP    a checkpoint of a run; the path may begin in ./checkpoints
    path/to/FILE              an ARPA file, in which a line is \data\, or a file of word vectors
    path/to/FOLDER            a folder of the library `transformers`, which has a config.json

A name is looked up once, and what it means is passed on as a `ModelPath`. Nothing here imports
torch, so that a mistyped name is reported at once.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from seqlm.errors import DataError, ModelError, SeqlmError, UsageError, nearest, shown
from seqlm.runs.own_files import STEPS
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RUNS, RunFolder
from seqlm.runs.untrusted.plain_files import kind_of_file
from seqlm.text.reading import reason, where_link_leads

MODEL_KINDS = {
    "lm": "language model",
    "translation": "translator",
    "tagging": "tagger",
    "classification": "classifier",
    "vectors": "set of word vectors",
}
"""What a model of each task is called in messages."""
Tasks = str | tuple[str, ...]
"""A task, or several of which one is needed."""


@dataclass(frozen=True, kw_only=True)
class ModelPath:
    """Where a model is: a run, maybe one checkpoint of it, or else an ARPA file, a file of word
    vectors or a folder of Hugging Face."""

    config: RunConfig
    """Of a file or folder that is no run, only what holds for all of its kind: its `model` is
    empty."""
    run: RunFolder | None = None
    checkpoint: str | None = None
    """The name of a folder in steps/; None is the best checkpoint, or else the latest."""
    arpa: Path | None = None
    vectors: Path | None = None
    huggingface: Path | None = None
    is_default: bool = False
    """True for the latest run, which is taken where no model is named."""

    @property
    def path(self) -> Path:
        """The run folder, the checkpoint folder or the file, as messages name it."""
        if self.run is None:
            path = self.arpa or self.vectors or self.huggingface
            assert path is not None
            return path
        return self.run / STEPS / self.checkpoint if self.checkpoint else self.run.path


def locate(name: str | Path | ModelPath | None = None, task: Tasks | None = None) -> ModelPath:
    """The model that `name` means, for a command that needs one of `task`, or of several. A model
    that is located already is checked for its task alone.

    Errors: ModelError where there is none, its config.yaml cannot be read, or it does another task;
    UsageError where none is named and the latest run does another task, or there is none.
    """
    if name == "":  # as where a variable of the shell is not set
        raise UsageError("the name of a model is empty")
    name = name or os.environ.get("SEQLM_MODEL")
    if not name:
        return latest_run(task)
    model = name if isinstance(name, ModelPath) else model_at(Path(name))
    if task is not None and model.config.task not in tasks_in(task):
        if model.is_default:
            return latest_run(task)  # which says what there is instead
        raise WrongTask(model.path, model.config.task, task)
    return model


def model_at(path: Path) -> ModelPath:
    """The model at `path`, or at that path in ./checkpoints. Errors: ModelError."""
    try:
        return find_model(path)
    except (OSError, ValueError) as error:  # a name that is too long, a folder that is not ours
        if isinstance(error, SeqlmError):
            raise
        raise ModelError(f"no model {shown(str(path))}: {reason(error)}") from None


def find_model(path: Path) -> ModelPath:
    """`model_at`. Errors: those, OSError and ValueError."""
    if path.is_file():
        return model_in_file(path)
    for folder in (path, RUNS / path):
        if (run := RunFolder(folder)).exists():
            return ModelPath(config=run.read_config(), run=run)
        if folder.parent.name == STEPS and (run := RunFolder(folder.parent.parent)).exists():
            return ModelPath(config=run.read_config(), run=run, checkpoint=folder.name)
    if (path / "config.json").is_file():  # a folder of the transformers library
        from seqlm.runs.huggingface.import_huggingface import read_library_config

        config = RunConfig(
            task="lm", arch=read_library_config(path).kind.arch, context="sentence", model={}
        )
        return ModelPath(config=config, huggingface=path)
    if not path.exists():
        if path.is_symlink():
            raise ModelError(f"{path} {where_link_leads(path)}")
        raise ModelError(f"no model {path}{nearest(path.name, neighbors(path))}")
    if not path.is_dir():
        raise ModelError(f"{path} is {kind_of_file(path.stat().st_mode)}, not a model")
    return ModelPath(config=RunFolder(path).read_config())  # which fails, and says why


ARPA_CONFIG = RunConfig(task="lm", arch="ngram", context="sentence", model={})
VECTORS_CONFIG = RunConfig(task="vectors", arch="file", context="sentence", model={})
ARPA_MARKER = re.compile(rb"^\\data\\\s*$", re.MULTILINE)


def model_in_file(path: Path) -> ModelPath:
    """The model in a file, which is recognized by its first bytes.

    Errors: ModelError where it is none, or cannot be read.
    """
    from seqlm.runs.vector_files.read_vectors import check_readable, first_bytes, is_vectors

    try:
        start = first_bytes(path)
        check_readable(start, str(path))
    except DataError as error:
        raise ModelError(error.marked) from None
    if ARPA_MARKER.search(start):
        return ModelPath(config=ARPA_CONFIG, arpa=path)
    if is_vectors(start):
        return ModelPath(config=VECTORS_CONFIG, vectors=path)
    if not start:
        raise ModelError(f"{path} is empty, and no model")
    first_line = shown(start[:99].decode(errors="replace").split("\n")[0])
    raise ModelError(
        f"{path} is no model: neither an ARPA file, which has a line \\data\\, nor word vectors of"
        f" word2vec, GloVe or fastText, whose text has spaces between a word and its numbers; it"
        f" begins with {first_line}"
    )


def neighbors(path: Path) -> Iterator[str]:
    """The names beside `path` and in ./checkpoints."""
    for folder in {path.parent, RUNS}:
        if folder.is_dir():
            yield from (entry.name for entry in folder.iterdir())


class WrongTask(ModelError):
    """A model that does another task than is needed."""

    def __init__(self, path: Path, task: str, needed: Tasks) -> None:
        super().__init__(f"{path} is {wrong_task(task, needed)}")
        self.task = task


def wrong_task(task: str, needed: Tasks) -> str:
    """'a translator, and this needs a language model', the end of a message."""
    return f"a {MODEL_KINDS.get(task, task)}, and this needs {kinds(needed)}"


def kinds(needed: Tasks) -> str:
    """'a tagger or a classifier'."""
    return " or ".join(f"a {MODEL_KINDS.get(task, task)}" for task in tasks_in(needed))


def tasks_in(needed: Tasks) -> tuple[str, ...]:
    return (needed,) if isinstance(needed, str) else needed


# ----------------------------------------------------------------------------------- ./checkpoints


def latest_run(task: Tasks | None = None) -> ModelPath:
    """The run in ./checkpoints that finished last.

    Errors: UsageError where there is none, or where it does not do `task`.
    """
    runs = finished_runs()
    if not runs:
        raise UsageError("no `model` is named, and ./checkpoints holds no finished run")
    latest = replace(runs[-1], is_default=True)
    if task is None or latest.config.task in tasks_in(task):
        return latest
    others = [run for run in runs if run.config.task in tasks_in(task)]
    newest = f"no run there is {kinds(task)}"
    if others:
        newest = f"the newest {MODEL_KINDS[others[-1].config.task]} is {others[-1].path}"
    raise UsageError(
        f"the latest run, {latest.path}, is {wrong_task(latest.config.task, task)}; {newest}"
    )


def finished_runs() -> list[ModelPath]:
    """Those in ./checkpoints, in the order in which they finished.

    A run whose config.yaml cannot be read is skipped with a warning; a run still being written is
    skipped without one.
    """
    finished = []
    for path in RUNS.iterdir() if RUNS.is_dir() else ():
        run = RunFolder(path)
        if run.exists() and not run.is_locked:
            try:
                config = run.read_config()
            except ModelError as error:
                warnings.warn(f"{error}; it is passed over", stacklevel=2)
                continue
            if config.finished:
                finished.append(ModelPath(config=config, run=run))
    return sorted(finished, key=lambda model: model.config.finished or "")


def run_named(name: str) -> RunFolder | None:
    """The run folder `name`, or the run of that name in ./checkpoints."""
    runs = (RunFolder(folder) for folder in (Path(name), RUNS / name))
    return next((run for run in runs if run.exists()), None)
