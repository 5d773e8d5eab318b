"""What seqlm writes in a run, and how it is removed: no other file, and nothing through a link."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from seqlm.runs.durable_files import DRAFT, draft_name, remove_dead_draft

STEPS = "steps"
"""The folder of a run that holds its checkpoints."""
VOCABULARY_FILES = ("tokenizer.json", "source-tokenizer.json", "labels.json")
RUN_FILES = (
    *VOCABULARY_FILES,
    "metrics.jsonl",
    "README.md",
    "latest",
    "best",
    "corpus.safetensors",
    "config.yaml",
)
"""The configuration is the last: without it, the rest is no run."""
CHECKPOINT_FILES = (
    "manifest.json",
    "model.safetensors",
    "training.safetensors",
    "training.json",
)
"""The manifest is the first: without it, the rest is no checkpoint."""
TENSORBOARD = "tensorboard"
LANGUAGE_MODELS = "language-models"
"""The folder of a labeler's run that holds the language models it reads features from."""
LOCK = "lock"


def is_own_name(name: str) -> bool:
    """Whether a run has, or had for a while, something called `name` in its folder."""
    match = DRAFT.fullmatch(name)
    return (match["name"] if match else name) in (
        *RUN_FILES, STEPS, TENSORBOARD, LANGUAGE_MODELS, LOCK,
    )  # fmt: skip


def checkpoint_folders(run: Path) -> list[Path]:
    """The folders of the checkpoints of a run, the newest first."""
    steps = run / STEPS
    if steps.is_symlink() or not steps.is_dir():
        return []
    names = [path.name for path in steps.iterdir() if path.name.isascii()]
    folders = [steps / name for name in names if name.isdigit() and name == f"{int(name):08d}"]
    return sorted(folders, key=lambda folder: int(folder.name), reverse=True)


# ---------------------------------------------------------------------------------------- removal


def remove_run_files(run: Path, keep: Iterable[str] = ()) -> None:
    """Removes all that seqlm wrote in the folder `run`, but the files `keep`, and the folder itself
    where nothing else is in it. The configuration goes last, so that an interrupted removal can be
    repeated. Errors: OSError.
    """
    if run.is_symlink():
        return
    for folder in checkpoint_folders(run):
        remove_checkpoint(folder)
    remove_draft_checkpoints(run)
    remove_folder(run / STEPS, ())
    models = run / LANGUAGE_MODELS
    if not models.is_symlink() and models.is_dir():
        for model in models.iterdir():
            remove_run_files(model)
        remove_folder(models, ())
    logs = run / TENSORBOARD
    if not logs.is_symlink():
        remove_folder(logs, [log.name for log in logs.glob("events.out.tfevents.*")])
    for path in run.iterdir() if run.is_dir() else ():
        match = DRAFT.fullmatch(path.name)
        if match and match["name"] in RUN_FILES:
            remove_dead_draft(path)
    kept = set(keep)
    remove_folder(run, [name for name in (*RUN_FILES, LOCK) if name not in kept])


def remove_checkpoint(folder: Path) -> None:
    """Removes the files of a checkpoint, and its folder where nothing else is in it.

    A folder without a manifest is no checkpoint.
    """
    if folder.is_symlink() or not (folder / "manifest.json").is_file():
        return
    if all(file.name in CHECKPOINT_FILES for file in folder.iterdir()):
        # So that what a kill leaves is known for what it is.
        folder = folder.rename(folder.with_name(draft_name(folder.name)))
    remove_folder(folder, CHECKPOINT_FILES)


def remove_draft_checkpoints(run: Path) -> None:
    """Removes the checkpoints that were being written when a process died. The run is locked."""
    steps = run / STEPS
    if not steps.is_symlink() and steps.is_dir():
        for folder in steps.iterdir():
            match = DRAFT.fullmatch(folder.name)
            if match and match["name"].isdigit():
                remove_folder(folder, CHECKPOINT_FILES)


def remove_folder(folder: Path, names: Iterable[str]) -> None:
    """Removes the files `names` of a folder, and the folder where nothing else is in it."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for name in names:
        with suppress(FileNotFoundError):
            if stat.S_ISREG((folder / name).lstat().st_mode):
                (folder / name).unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
