"""A save: one instant of a run on disk, whole or not there.

    saves/<step>/model.safetensors      the model's tensors
                 training.safetensors   optimiser moments, carried state, random state
                 training.json          everything else that resuming needs
                 manifest.json          SHA-256 and size of each

A save is written beside its place, synced, and renamed into it; then `latest` (and `best`) name it;
then older ones go. A kill at any instant leaves the save before it loadable. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqlm.errors import ModelError, SeqlmError
from seqlm.memory import IN_MEMORY, Memory
from seqlm.models import model_class
from seqlm.models.base import SequenceModel
from seqlm.runs.run_folder import RunFolder, sync_folder, write_text
from seqlm.text.tokenizer import Tokenizer

ALWAYS_DIGESTED = 1 << 26
"""Files up to 64 MB are compared with their digest at every load, larger ones by size alone: a
5-gram of 50 M n-grams should open by memory map in milliseconds."""


class TrainingState(NamedTuple):
    tensors: dict[str, Tensor]
    values: dict[str, Any]


class Loaded(NamedTuple):
    """A model ready to be asked, and what it came with."""

    model: SequenceModel
    tokenizer: Tokenizer
    config: dict[str, Any]
    path: Path
    """The run folder, or the file."""
    weights: str
    """First 12 digits of the weights' SHA-256."""
    source_tokenizer: Tokenizer | None = None
    """What a translator reads its source by, where that is not `tokenizer`."""


# ---------------------------------------------------------------------------------------- writing


def write_save(
    run: RunFolder,
    step: int,
    model: SequenceModel,
    training: TrainingState | None = None,
    best: bool = False,
    memory: Memory = IN_MEMORY,
) -> None:
    """`memory` is where the model's tensors are.

    Errors: SeqlmError where the disk refuses; the run's earlier saves are left as they were.
    """
    saves = run / "saves"
    draft, name = saves / f".tmp-{step:08d}", f"{step:08d}"
    place = saves / name
    try:
        # Saved already, when it was interrupted. One that nothing names may be of another course.
        if pointer(run, "latest") == name and damage(place) is None:
            point(run, name, best)
            return
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        write_tensors(draft / "model.safetensors", model.state_dict(), memory)
        if training is not None:
            write_tensors(draft / "training.safetensors", training.tensors)
            (draft / "training.json").write_text(json.dumps(training.values, indent=1))
        files = sorted(draft.iterdir())
        manifest = {f.name: {"sha256": digest(f), "bytes": f.stat().st_size} for f in files}
        (draft / "manifest.json").write_text(json.dumps(manifest, indent=1))
        for file in draft.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        sync_folder(draft)
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
        sync_folder(saves)
        point(run, name, best)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise SeqlmError(f"{run.path}: step {step} could not be saved: {error}") from None


def point(run: RunFolder, name: str, best: bool) -> None:
    """Names the new save, then drops those that nothing names any more.

    `best` comes first: a run killed between the two goes on from before it and names it again.
    """
    if best:
        write_text(run / "best", name + "\n")
    write_text(run / "latest", name + "\n")
    kept = {name, pointer(run, "best")}
    for save in (run / "saves").iterdir():
        if save.name not in kept:
            shutil.rmtree(save, ignore_errors=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], memory: Memory = IN_MEMORY) -> None:
    on_cpu = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    if memory.limit is None:
        path.touch()  # the library's own file would be for nobody but its owner
        mode = path.stat().st_mode
        save_file(on_cpu, path)
        path.chmod(mode)
        return
    stream_tensors(path, on_cpu, memory)


def stream_tensors(path: Path, tensors: Mapping[str, Tensor], memory: Memory) -> None:
    """The same file piece by piece; the library has all of it in memory at once."""
    kinds = {torch.float32: "F32", torch.int32: "I32"}
    ordered = sorted(tensors.items(), key=lambda item: (kinds[item[1].dtype], item[0]))
    header, end = {}, 0
    for name, tensor in ordered:
        start, end = end, end + tensor.nbytes
        shape, kind = [*tensor.shape], kinds[tensor.dtype]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    with path.open("wb") as file:
        file.write(len(told).to_bytes(8, "little") + told)
        for _, tensor in ordered:
            for part in tensor.split(1 << 22):
                file.write(part.numpy().data)
                memory.release_pages()


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------------------------------- reading


def load(run: RunFolder, save: str | None = None, device: torch.device | str = "cpu") -> Loaded:
    """The best (else the latest) save of a run, or the one named, in eval mode.

    A damaged save is passed over, with a warning, for the newest sound one.
    Errors: ModelError where no save can be read, or does not fit the configuration.
    """
    config = run.read_config()
    tokenizer = run.tokenizer
    place = find_save(run, save or pointer(run, "best") or pointer(run, "latest"), exact=bool(save))
    tensors = read_tensors(place / "model.safetensors")
    try:
        model = model_class(config["task"], config["arch"]).from_tensors(config["model"], tensors)
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{place}: the weights do not fit config.yaml: {reason}") from None
    read = run.source_tokenizer
    for name, known in (("vocab_size", tokenizer), ("source_vocab_size", read)):
        size = config["model"].get(name)
        if size != (len(known) if known else None):
            raise ModelError(
                f"{run.path}: {name} is {size}, and the tokeniser has"
                f" {len(known) if known else 'no'} types"
            )
    weights = read_manifest(place)["model.safetensors"]["sha256"][:12]
    return Loaded(model.to(device), tokenizer, config, run.path, weights, read)


def load_training(run: RunFolder) -> tuple[dict[str, Tensor], TrainingState]:
    """The model's tensors and the training state of the latest sound save.

    Errors: ModelError where it has none, as a counted model has.
    """
    place = find_save(run, pointer(run, "latest"))
    if not (place / "training.json").exists():
        raise ModelError(f"{run.path} holds nothing to resume")
    values = json.loads((place / "training.json").read_text())
    tensors = read_tensors(place / "training.safetensors")
    return read_tensors(place / "model.safetensors"), TrainingState(tensors, values)


def load_best(run: RunFolder) -> tuple[dict[str, Tensor], int]:
    """The model's tensors of the best save, or of the latest where none is; and its step."""
    place = find_save(run, pointer(run, "best") or pointer(run, "latest"))
    return read_tensors(place / "model.safetensors"), int(place.name)


def find_save(run: RunFolder, wanted: str | None, exact: bool = False) -> Path:
    """The folder of the wanted save, or of the newest sound one where that is damaged."""
    saves = run / "saves"
    there = [p.name for p in saves.iterdir() if p.name.isdigit()] if saves.is_dir() else []
    there.sort(key=int, reverse=True)
    if wanted in there:
        there.remove(wanted)
        there.insert(0, wanted)
    elif exact:
        raise ModelError(f"{saves} holds no save {wanted}")
    if not there:
        raise ModelError(
            f"{run.path} holds no save; its training has not come that far;"
            " --overwrite starts it again"
        )
    first = f"{saves / wanted} is missing" if wanted and wanted not in there else None
    for name in there[:1] if exact else there:
        fault = damage(saves / name)
        if fault is None:
            if first:
                warnings.warn(f"{first}; going back to save {name}", stacklevel=2)
            return saves / name
        first = first or fault
    raise ModelError(str(first))


def damage(save: Path) -> str | None:
    """What is wrong with a save, or None."""
    try:
        for name, facts in read_manifest(save).items():
            size = (save / name).stat().st_size
            if size != facts["bytes"]:
                return f"{save / name} is damaged: {size} bytes of {facts['bytes']}"
            if size <= ALWAYS_DIGESTED and digest(save / name) != facts["sha256"]:
                return f"{save / name} is damaged: its digest is not the one in manifest.json"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{save} is damaged: its manifest or a file of it is missing"
    return None


def read_manifest(save: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((save / "manifest.json").read_text())
    manifest["model.safetensors"]
    return manifest


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Memory-mapped. Errors: ModelError where it is no safetensors file (a pickle is never run)."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file: {error}") from None


def pointer(run: RunFolder, name: str) -> str | None:
    """The save that `latest` or `best` names."""
    try:
        text = (run / name).read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return text if re.fullmatch(r"\d+", text) else None
