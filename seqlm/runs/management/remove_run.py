"""A run removed: every file that seqlm wrote in its folder, and no other."""

from __future__ import annotations

from seqlm.errors import UsageError
from seqlm.runs.own_files import remove_run_files
from seqlm.runs.run_folder import RunFolder, as_seqlm_error


def remove_run(run: RunFolder) -> list[str]:
    """Removes a run, and returns the names of what is left in its folder, as seqlm did not write
    it. Without such, the folder is removed too.

    Errors: UsageError where the folder is a symbolic link, or a process is writing the run;
    SeqlmError where the disk refuses.
    """
    if run.path.is_symlink():
        raise UsageError(f"{run.path} is a symbolic link; name the run that it leads to")
    run.lock()
    try:
        with as_seqlm_error(run.path):
            remove_run_files(run.path)
            return sorted(path.name for path in run.path.iterdir()) if run.path.exists() else []
    finally:
        run.unlock()
