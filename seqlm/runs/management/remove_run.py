"""A run removed: every file that seqlm wrote in its folder, and no other."""

from __future__ import annotations

from pathlib import Path

from seqlm.errors import SeqlmError, UsageError
from seqlm.runs.management.run_summary import checkpoints_of
from seqlm.runs.run_folder import RUN_FILES, STEPS, RunFolder

CHECKPOINT_FILES = (
    "model.safetensors",
    "training.safetensors",
    "training.json",
    "manifest.json",
)


def remove_run(run: RunFolder) -> list[str]:
    """Removes a run, and returns the names of what is left in its folder, as seqlm did not write
    it. Without such, the folder is removed too.

    The configuration goes last, so that a removal that is interrupted can be repeated. Symbolic
    links are not followed.
    Errors: UsageError where the folder is a symbolic link, or a process is writing the run;
    SeqlmError where the disk refuses.
    """
    if run.path.is_symlink():
        raise UsageError(f"{run.path} is a symbolic link; name the run that it leads to")
    run.lock()
    try:
        if not (run / STEPS).is_symlink():
            for checkpoint in checkpoints_of(run):
                remove_files(checkpoint, CHECKPOINT_FILES)
            remove_files(run / STEPS, ())
        for log in sorted((run / "tensorboard").glob("events.out.tfevents.*")):
            log.unlink()
        remove_files(run / "tensorboard", ())
        names = [name for name in RUN_FILES if name != "config.yaml"]
        remove_files(run.path, [*names, "config.yaml", "lock"])
        return sorted(path.name for path in run.path.iterdir()) if run.path.exists() else []
    except OSError as error:
        raise SeqlmError(f"{run.path} cannot be removed: {error.strerror or error}") from None
    finally:
        run.unlock()


def remove_files(folder: Path, names: tuple[str, ...] | list[str]) -> None:
    """Removes the files `names` of a folder, and the folder where nothing else is in it."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for name in names:
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
