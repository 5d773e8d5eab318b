"""A run made smaller: what only the resuming of its training needs is removed.

What is left are the best checkpoint's weights, the vocabulary, the configuration and the figures.
Each step leaves a run that loads, so that it can be interrupted at any instant: the manifest is
replaced first, and then what it does not name is removed.
"""

from __future__ import annotations

import json

from seqlm.errors import ModelError
from seqlm.runs.checkpoint import find_checkpoint, read_manifest, read_pointer, update_pointers
from seqlm.runs.durable_files import write_text
from seqlm.runs.management.run_summary import files_of
from seqlm.runs.run_folder import RunFolder

TRAINING_FILES = ("training.safetensors", "training.json")
"""The files of a checkpoint that only resuming needs."""


def slim(run: RunFolder) -> int:
    """Removes what only resuming needs, and returns the number of bytes that this frees.

    Errors: UsageError where the run is being written; ModelError where it has no checkpoint that
    can be read, or its training has not ended.
    """
    if not run.read_config().finished:
        raise ModelError(f"{run.path} has not finished its training: to resume it needs all it has")
    before = size_of(run)
    run.lock()
    try:
        best = find_checkpoint(run, read_pointer(run, "best") or read_pointer(run, "latest"))
        kept = {
            name: entry for name, entry in read_manifest(best).items() if name not in TRAINING_FILES
        }
        write_text(best / "manifest.json", json.dumps(kept, indent=1))
        for name in TRAINING_FILES:
            (best / name).unlink(missing_ok=True)
        update_pointers(run, best.name, best=True)  # which deletes the other checkpoints
        (run / "corpus.safetensors").unlink(missing_ok=True)
    finally:
        run.unlock()
    return before - size_of(run)


def size_of(run: RunFolder) -> int:
    """The bytes of all its files."""
    return sum(size for _, size in files_of(run.path))
