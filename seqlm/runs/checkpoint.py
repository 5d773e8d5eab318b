"""A checkpoint: one instant of a run on disk, whole or not there.

    steps/<step>/model.safetensors      the model's tensors
                 training.safetensors   optimizer moments, carried state, random state
                 training.json          everything else that resuming needs
                 manifest.json          digest and size of each, and of the run's tokenizers;
                                        of tables of n-grams, the digest of each block as well

A checkpoint is written to a draft folder, synced, and renamed; then `latest` (and `best`) name it;
then older ones are deleted. A kill at any instant leaves the checkpoint before it loadable. Nothing
is unpickled.
"""

from __future__ import annotations

import json
import os
import re
import stat
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seqlm.errors import ModelError, SeqlmError, shown
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.runs.durable_files import draft_name, exchange, sync_folder, write_text
from seqlm.runs.own_files import (
    CHECKPOINT_FILES,
    STEPS,
    VOCABULARY_FILES,
    checkpoint_folders,
    remove_checkpoint,
    remove_draft_checkpoints,
    remove_folder,
)
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.tensor_files import read_tensors, write_tensors
from seqlm.runs.untrusted.file_digest import BLOCK, digest, piece_digests, root_digest
from seqlm.runs.untrusted.plain_files import read_json, read_text

if TYPE_CHECKING:
    from torch import Tensor

    from seqlm.models.stored_model import StoredModel


class TrainingState(NamedTuple):
    """What resuming needs besides the model."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


# ---------------------------------------------------------------------------------------- writing


def write_checkpoint(
    run: RunFolder,
    step: int,
    model: StoredModel | NGramModel,
    training: TrainingState | None = None,
    best: bool = False,
    memory: Memory = IN_MEMORY,
) -> None:
    """Writes the checkpoint of `step`, and deletes those that are neither latest nor best.

    `best` makes it the best one so far; `memory` is where the model's tensors or arrays are.
    Errors: SeqlmError where the disk refuses; the run's earlier checkpoints are left as they were.
    """
    steps, name = run / STEPS, f"{step:08d}"
    draft, folder = steps / draft_name(name), steps / name
    if steps.is_symlink():
        raise SeqlmError(f"{steps} is a symbolic link, through which nothing is written")
    try:
        # A run that is interrupted twice at one step has written this before. A folder that is not
        # the latest may stem from another phase of training, and one with another state from before
        # the validation of this step: these are written anew.
        is_latest = read_pointer(run, "latest") == name and check_checkpoint(run, folder) is None
        if is_latest and (training is None or stored_values(folder) == training.values):
            update_pointers(run, name, best)
            return
        steps.mkdir(exist_ok=True)
        remove_draft_checkpoints(run.path)  # they may be large
        draft.mkdir()
        is_ngram = isinstance(model, NGramModel)
        weights = model.arrays() if isinstance(model, NGramModel) else model.state_dict()
        write_tensors(draft / "model.safetensors", weights, memory)
        if training is not None:
            write_tensors(draft / "training.safetensors", training.tensors)
            (draft / "training.json").write_text(json.dumps(training.values, indent=1))
        tokenizers = [run / name for name in VOCABULARY_FILES if (run / name).exists()]
        files = [*sorted(draft.iterdir()), *tokenizers]
        manifest = {
            file.name: manifest_entry(file, is_ngram and file.name == "model.safetensors")
            for file in files
        }
        (draft / "manifest.json").write_text(json.dumps(manifest, indent=1))
        for file in draft.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        sync_folder(draft)
        if folder.exists():
            exchange(draft, folder)
            remove_folder(draft, CHECKPOINT_FILES)  # which is the old one now
        else:
            draft.rename(folder)
        sync_folder(steps)
        update_pointers(run, name, best)
    except OSError as error:
        with suppress(OSError):
            remove_folder(draft, CHECKPOINT_FILES)
        reason = error.strerror or error
        raise SeqlmError(f"{run.final_path}: step {step} could not be saved: {reason}") from None


def manifest_entry(file: Path, in_blocks: bool) -> dict[str, Any]:
    """The digest and the size of a file, and where it is `in_blocks` the digests of its blocks."""
    if not in_blocks:
        return {"sha256": digest(file), "bytes": file.stat().st_size}
    blocks = piece_digests(file, BLOCK)
    return {"sha256": root_digest(blocks), "bytes": file.stat().st_size, "blocks": blocks}


def stored_values(checkpoint: Path) -> Any:
    """The plain values of the training state of a checkpoint, None where it has none."""
    path = checkpoint / "training.json"
    return read_json(path) if path.exists() else None


def update_pointers(run: RunFolder, name: str, best: bool) -> None:
    """Makes `latest` name a new checkpoint, and `best` too if it is, and deletes the unnamed ones.

    `best` is written first: a run killed between the two resumes from the checkpoint before, and
    writes this one again.
    """
    if best:
        write_text(run / "best", name + "\n")
    write_text(run / "latest", name + "\n")
    named = {name, read_pointer(run, "best")}
    for folder in checkpoint_folders(run.path):
        if folder.name not in named:
            remove_checkpoint(folder)
    remove_draft_checkpoints(run.path)


# ---------------------------------------------------------------------------------------- reading


def load_training(run: RunFolder) -> tuple[dict[str, Tensor], TrainingState]:
    """The model's tensors and the training state of the latest intact checkpoint.

    Errors: ModelError where it has no training state, as a counted model has none.
    """
    folder = find_checkpoint(run, read_pointer(run, "latest"))
    if not (folder / "training.json").exists():
        raise ModelError(
            f"{run.path} holds nothing to resume: `seqlm runs slim` removes what that needs"
        )
    values = read_json(folder / "training.json")
    tensors = read_tensors(folder / "training.safetensors")
    return read_tensors(folder / "model.safetensors"), TrainingState(tensors, values)


def load_best(run: RunFolder) -> tuple[dict[str, Tensor], int]:
    """The model's tensors at the best checkpoint, or at the latest where none is best; its step."""
    folder = find_checkpoint(run, read_pointer(run, "best") or read_pointer(run, "latest"))
    return read_tensors(folder / "model.safetensors"), int(folder.name)


def find_checkpoint(run: RunFolder, wanted: str | None, exact: bool = False) -> Path:
    """The folder of the wanted checkpoint, or of the newest intact one where that is damaged.

    `exact` allows no other one. Errors: ModelError where there is none that can be read.
    """
    steps, names = run / STEPS, [folder.name for folder in checkpoint_folders(run.path)]
    if wanted in names:
        names.remove(wanted)
        names.insert(0, wanted)
    elif exact:
        raise ModelError(f"{steps} holds no checkpoint {wanted}")
    if not names:
        raise ModelError(
            f"{run.path} holds no checkpoint yet; set `overwrite` to start its training again"
        )
    first_problem = f"{steps / wanted} is missing" if wanted and wanted not in names else None
    for name in names[:1] if exact else names:
        problem = check_checkpoint(run, steps / name)
        if problem is None:
            if first_problem:
                warnings.warn(f"{first_problem}; going back to checkpoint {name}", stacklevel=2)
            return steps / name
        first_problem = first_problem or problem
    raise ModelError(str(first_problem))


def check_checkpoint(run: RunFolder, folder: Path) -> str | None:
    """What is wrong with a checkpoint, or None. All of its files are read, but for those in blocks:
    a block is verified when it is first used."""
    try:
        manifest = read_manifest(folder)
        for name in VOCABULARY_FILES:
            if name not in manifest and os.path.lexists(run / name):
                return f"{folder} is damaged: its manifest does not name {name}"
        for name, expected in manifest.items():
            path = run / name if name in VOCABULARY_FILES else folder / name
            status = path.stat()
            if status.st_size != expected["bytes"]:
                return f"{path} is damaged: {status.st_size} bytes of {shown(expected['bytes'])}"
            in_blocks = "blocks" in expected and stat.S_ISREG(status.st_mode)
            if in_blocks and len(expected["blocks"]) != -(-status.st_size // BLOCK):
                return f"{folder} is damaged: its manifest does not have all blocks of {name}"
            found = root_digest(expected["blocks"]) if in_blocks else digest(path)
            if found != expected["sha256"]:
                return f"{path} is damaged: its digest is not the one in {folder}/manifest.json"
    except (OSError, ValueError, KeyError, TypeError) as error:
        missing = "its manifest or a file of it is missing"
        return f"{folder} is damaged: {error if isinstance(error, ModelError) else missing}"
    return None


def read_manifest(folder: Path) -> dict[str, Any]:
    """The size and digest of each file. Errors: OSError, ModelError where it is no manifest."""
    path = folder / "manifest.json"
    manifest = read_json(path)
    if not isinstance(manifest, dict) or "model.safetensors" not in manifest:
        raise ModelError(f"{path} does not name model.safetensors")
    if unknown := manifest.keys() - {*CHECKPOINT_FILES, *VOCABULARY_FILES}:
        raise ModelError(f"{path} names {shown(min(unknown))}")
    return manifest


def read_pointer(run: RunFolder, name: str) -> str | None:
    """The checkpoint that the file `latest` or `best` names."""
    try:
        text = read_text(run / name, 100).strip()
    except (OSError, ModelError):
        return None
    return text if re.fullmatch(r"[0-9]+", text) else None
