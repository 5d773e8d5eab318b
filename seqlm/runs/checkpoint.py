"""A checkpoint: one instant of a run on disk, whole or not there.

    steps/<step>/model.safetensors      the model's tensors
                 training.safetensors   optimizer moments, carried state, random state
                 training.json          everything else that resuming needs
                 manifest.json          digest and size of each, and of the run's tokenizers

A checkpoint is written to a draft folder, synced, and renamed; then `latest` (and `best`) name it;
then older ones are deleted. A kill at any instant leaves the checkpoint before it loadable. Nothing
is unpickled.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqlm.errors import ModelError, SeqlmError, shown
from seqlm.memory import IN_MEMORY, Memory
from seqlm.models.stored_model import StoredModel
from seqlm.runs.durable_files import draft_name, exchange, replacing, sync_folder, write_text
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
from seqlm.runs.untrusted.file_digest import digest
from seqlm.runs.untrusted.plain_files import read_json, read_text


class TrainingState(NamedTuple):
    """What resuming needs besides the model."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


# ---------------------------------------------------------------------------------------- writing


def write_checkpoint(
    run: RunFolder,
    step: int,
    model: StoredModel,
    training: TrainingState | None = None,
    best: bool = False,
    memory: Memory = IN_MEMORY,
) -> None:
    """Writes the checkpoint of `step`, and deletes those that are neither latest nor best.

    `best` makes it the best one so far; `memory` is where the model's tensors are.
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
        write_tensors(draft / "model.safetensors", model.state_dict(), memory)
        if training is not None:
            write_tensors(draft / "training.safetensors", training.tensors)
            (draft / "training.json").write_text(json.dumps(training.values, indent=1))
        tokenizers = [run / name for name in VOCABULARY_FILES if (run / name).exists()]
        files = [*sorted(draft.iterdir()), *tokenizers]
        manifest = {f.name: {"sha256": digest(f), "bytes": f.stat().st_size} for f in files}
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
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            remove_folder(draft, CHECKPOINT_FILES)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SeqlmError(f"{run.final_path}: step {step} could not be saved: {reason}") from None


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


def replace_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file that replaces `path` in one step. Errors: SeqlmError."""
    with replacing(path) as file:
        write_tensors(Path(file.name), tensors)


LARGE = 1 << 26
"""Bytes from which a file is written piece by piece."""
DTYPES = {
    **{torch.int64: "I64", torch.float64: "F64", torch.float32: "F32", torch.int32: "I32"},
    **{torch.bfloat16: "BF16", torch.float16: "F16", torch.uint8: "U8", torch.bool: "BOOL"},
}
"""The names of types in safetensors, in the order in which its library writes them."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], memory: Memory = IN_MEMORY) -> None:
    """A safetensors file, written piece by piece where it is large or `memory` is limited."""
    on_cpu = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    if memory.limit is not None or sum(t.nbytes for t in on_cpu.values()) > LARGE:
        stream_tensors(path, on_cpu, memory)
        return
    path.touch()  # a file that the library makes could be read by its owner alone
    mode = path.stat().st_mode
    save_file(on_cpu, path)
    path.chmod(mode)


def stream_tensors(path: Path, tensors: Mapping[str, Tensor], memory: Memory) -> None:
    """Writes the file that `save_file` writes, which would hold all of it in memory once more."""
    order = list(DTYPES)
    ordered = sorted(tensors.items(), key=lambda item: (order.index(item[1].dtype), item[0]))
    layout, end = {}, 0
    for name, tensor in ordered:
        start, end = end, end + tensor.nbytes
        layout[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": [*tensor.shape],
            "data_offsets": [start, end],
        }
    header = json.dumps(layout, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _, tensor in ordered:
            for part in tensor.reshape(-1).view(torch.uint8).split(1 << 24):
                file.write(part.numpy().data)
                memory.release_pages()


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
    """What is wrong with a checkpoint, or None. All of its files are read."""
    try:
        manifest = read_manifest(folder)
        for name in VOCABULARY_FILES:
            if name not in manifest and os.path.lexists(run / name):
                return f"{folder} is damaged: its manifest does not name {name}"
        for name, expected in manifest.items():
            path = run / name if name in VOCABULARY_FILES else folder / name
            size = path.stat().st_size
            if size != expected["bytes"]:
                return f"{path} is damaged: {size} bytes of {shown(expected['bytes'])}"
            if digest(path) != expected["sha256"]:
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


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Memory-mapped. Errors: ModelError where it is no safetensors file (a pickle is never run)."""
    try:
        with readable_name(path) as name:
            return load_file(name)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file: {error}") from None


@contextmanager
def readable_name(path: Path) -> Iterator[str]:
    """A name of the file for the library safetensors, which takes UTF-8 only."""
    try:
        str(path).encode()
        yield str(path)
    except UnicodeEncodeError:
        with path.open("rb") as file:
            yield f"/dev/fd/{file.fileno()}"


def read_pointer(run: RunFolder, name: str) -> str | None:
    """The checkpoint that the file `latest` or `best` names."""
    try:
        text = read_text(run / name, 100).strip()
    except (OSError, ModelError):
        return None
    return text if re.fullmatch(r"[0-9]+", text) else None
