"""What a run is at a glance: a row of the table that `seqlm runs` prints.

Nothing of a model is read but the header of its weights, so that many runs are listed quickly.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from seqlm.errors import ModelError
from seqlm.models import PREDICTORS
from seqlm.runs.own_files import checkpoint_folders
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder
from seqlm.runs.tensor_files import read_header


class RunSummary(NamedTuple):
    name: str
    task: str
    arch: str
    parameters: int | None
    """The numbers that are learned: weights, or of an n-gram model its n-grams."""
    unit: str | None
    """The tokens of the text: word, char or bpe."""
    vocabulary: int | None
    """The number of types; of a translator, those of the target."""
    metric: str | None
    """What `value` is: the best figure of a validation."""
    value: float | None
    status: str
    """finished, running (a process writes it), or stopped (it can be resumed)."""
    date: str | None
    """When it finished, in UTC."""
    bytes: int
    """The size of all files in the folder."""


def summarize(run: RunFolder) -> RunSummary:
    """Errors: ModelError where its config.yaml cannot be read."""
    config = run.read_config()
    running = run.is_locked
    metric, value = best_figure(run, config)
    return RunSummary(
        name=run.path.name,
        task=config.task,
        arch=config.arch,
        parameters=count_parameters(run, config),
        unit=config.settings.get("tokenizer"),
        vocabulary=vocabulary_size(config),
        metric=metric,
        value=value,
        status="running" if running else "finished" if config.finished else "stopped",
        date=config.finished,
        bytes=sum(size for _, size in files_of(run.path)),
    )


def best_figure(run: RunFolder, config: RunConfig) -> tuple[str | None, float | None]:
    """The metric by which the run chose its best checkpoint, and its best value; the perplexity
    instead of the loss of a model that predicts tokens. None of both where it has not been
    validated."""
    metric = config.settings.get("valid_metric", "loss")
    values = []
    for row in run.read_metrics():
        value = row.get(f"valid_{metric}")
        if isinstance(value, int | float) and math.isfinite(value):
            values.append(float(value))
    if not values:
        return None, None
    if metric != "loss":
        return metric, max(values)
    if config.task in PREDICTORS:
        return "ppl", math.exp(min(700.0, *values))
    return "loss", min(values)


def vocabulary_size(config: RunConfig) -> int | None:
    size = config.model.get("vocab_size")
    return size if isinstance(size, int) else None


def count_parameters(run: RunFolder, config: RunConfig) -> int | None:
    """The sum of the sizes of the tensors, which the header of the file lists."""
    if config.arch == "ngram":
        rows = config.model.get("rows")
        return (
            sum(rows) if isinstance(rows, list) and all(isinstance(n, int) for n in rows) else None
        )
    for folder in checkpoint_folders(run.path):
        try:
            header, _ = read_header(folder / "model.safetensors")
            return sum(number_of_elements(tensor["shape"]) for tensor in header.values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return None


def number_of_elements(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def files_of(folder: Path) -> Iterator[tuple[Path, int]]:
    """The files under a folder and their sizes; links are not followed."""
    for path, _, names in os.walk(folder):
        for name in names:
            file = Path(path, name)
            try:
                yield file, file.lstat().st_size
            except FileNotFoundError:  # a run that is being trained deletes old checkpoints
                continue


def list_runs(folder: Path) -> tuple[list[RunSummary], list[str]]:
    """The runs in a folder, those that finished first at the top, and what cannot be read."""
    summaries, problems = [], []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        run = RunFolder(path)
        if run.exists():
            try:
                summaries.append(summarize(run))
            except ModelError as error:
                problems.append(str(error))
    return sorted(summaries, key=lambda run: run.date or "9"), problems


def describe(run: RunFolder) -> dict[str, Any]:
    """All that is known of a run: its summary, its configuration, and its checkpoints with their
    sizes. Errors: ModelError where its config.yaml cannot be read."""
    config = run.read_config().to_mapping()
    folders = checkpoint_folders(run.path)
    checkpoints = {folder.name: sum(size for _, size in files_of(folder)) for folder in folders}
    summary = {
        name: value for name, value in summarize(run)._asdict().items() if name not in config
    }
    return {**summary, **config, "checkpoints": checkpoints}
