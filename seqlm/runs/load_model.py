"""What `-m` names, opened: a run, one save of it, or an ARPA file; and whether it can be mixed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from seqlm.errors import ModelError
from seqlm.models.base import Translator
from seqlm.models.ngram.arpa_reader import read_arpa
from seqlm.models.wrappers.ensemble import Ensemble
from seqlm.models.wrappers.unigram_cache import DECAY, CacheConfig, UnigramCache
from seqlm.progress import Progress, silent
from seqlm.runs.checkpoint import Loaded, digest, load
from seqlm.runs.run_folder import CALLED, find_model, find_run
from seqlm.text.tokenizer import Tokenizer


def open_model(
    name: str | None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> Loaded:
    """The model `-m` names, in eval mode; None is the latest run. A file is read as ARPA.

    `progress` is told the stages of reading a file. Errors: ModelError, DataError, UsageError.
    """
    path = find_model(name)
    if path.is_file():
        return open_arpa(path, device, progress)
    run, save = find_run(str(path))
    return load(run, save, device)


class Opened(NamedTuple):
    """A translator, of one run or of several, and how it reads and writes."""

    model: Translator
    reads: Tokenizer
    writes: Tokenizer


def open_translators(names: Sequence[str], device: torch.device | str = "cpu") -> Opened:
    """The translator of one run, or the ensemble of several. Errors: ModelError, UsageError."""
    return together([open_model(name, device) for name in names])


def together(runs: Sequence[Loaded]) -> Opened:
    """The translator of one run, or the ensemble of several. Errors: ModelError."""
    parts = [run.model for run in runs if isinstance(run.model, Translator)]
    for run in runs:
        if not isinstance(run.model, Translator):
            raise ModelError(
                f"{run.path} is {CALLED['lm']}, and this needs {CALLED['translation']}"
            )
        if not alike(run.tokenizer, runs[0].tokenizer) or not alike(reader(run), reader(runs[0])):
            raise ModelError(
                f"{runs[0].path} and {run.path} cannot translate together: they have not the same"
                " vocabularies (--vocab gives a model the vocabulary of another)"
            )
    model = parts[0] if len(parts) == 1 else Ensemble(parts).to(parts[0].device).eval()
    return Opened(model, reader(runs[0]), runs[0].tokenizer)


def reader(run: Loaded) -> Tokenizer:
    """What a translator reads its source by."""
    return run.source_tokenizer or run.tokenizer


def open_arpa(path: Path, device: torch.device | str, progress: Progress = silent) -> Loaded:
    model, tokenizer = read_arpa(path, progress)
    context, settings = model.config.context, model.settings()
    config = {"task": "lm", "arch": "ngram", "context": context, "model": settings}
    return Loaded(model.to(device), tokenizer, config, path, digest(path)[:12])


def open_cache(of: Loaded, size: int, decay: float | None = None) -> Loaded:
    """A unigram cache over the vocabulary of another model. Nothing of it is on disk."""
    model = UnigramCache(CacheConfig(len(of.tokenizer), size, DECAY if decay is None else decay))
    config = {"task": "lm", "arch": "cache", "context": "carried", "model": model.settings()}
    name = f"{size},{model.config.decay:g}"
    return Loaded(model.eval(), of.tokenizer, config, Path("cache"), name)


# ------------------------------------------------------------------------------- common vocabulary


def common_ids(models: Sequence[Loaded]) -> np.ndarray:
    """(M, V) int64: what each of `models` calls type v of the first.

    Errors: ModelError where they split text differently, or have not the same types.
    """
    first = models[0]
    return np.stack([renumbered(first, other) for other in models])


def renumbered(first: Loaded, other: Loaded) -> np.ndarray:
    """(V,) int64, the ids that `other` gives to the types of `first`. Errors: ModelError."""
    ours, theirs = first.tokenizer, other.tokenizer
    if alike(ours, theirs):
        return np.arange(len(ours))
    names = f"{first.path} and {other.path} cannot be mixed"
    if ours.kind != theirs.kind:
        raise ModelError(f"{names}: tokens are of kind {ours.kind} here and {theirs.kind} there")
    if examples := only_in(first, other) or only_in(other, first):
        raise ModelError(
            f"{names}: they need the same types, but have {len(ours):,} and {len(theirs):,};"
            f" {examples} (--vocab gives a model the vocabulary of another)"
        )
    if ours.merges != theirs.merges:
        raise ModelError(f"{names}: they have the same types, but merge them in another order")
    return np.array([theirs.index[type_] for type_ in ours.types])


def alike(ours: Tokenizer, theirs: Tokenizer) -> bool:
    """Whether they give equal text equal ids."""
    same = ours.types == theirs.types and ours.merges == theirs.merges
    return same and ours.kind == theirs.kind


def only_in(model: Loaded, other: Loaded) -> str:
    """'only A has 'x', 'y', 'z'': the first types of a model that another lacks, or ''."""
    lacking = (type_ for type_ in model.tokenizer.types if type_ not in other.tokenizer.index)
    examples = [repr(type_.decode(errors="backslashreplace")) for type_ in islice(lacking, 3)]
    return f"only {model.path} has {', '.join(examples)}" if examples else ""
