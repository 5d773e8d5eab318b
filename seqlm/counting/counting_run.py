"""Counting from end to end: a corpus in, a finished run folder with an n-gram model out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from seqlm import __version__
from seqlm.counting.counting_settings import Settings, check_outputs, refuse_contradictions
from seqlm.counting.estimation.estimate import counting_device, estimate_from_counts
from seqlm.counting.sources import Known, from_files, from_spark, from_text
from seqlm.memory import Memory
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.pruning import pruned
from seqlm.progress import Progress, silent
from seqlm.runs.arpa_export import write_arpa
from seqlm.runs.checkpoint import write_save
from seqlm.runs.run_folder import CHECKPOINTS, RunFolder, now, write_text
from seqlm.text.reading import absolute, title


def count(
    sources: Sequence[str],
    settings: Settings,
    output: Path | None,
    device: torch.device,
    command: Sequence[str],
    overwrite: bool = False,
    progress: Progress = silent,
) -> RunFolder:
    """Counts the n-grams of `sources`, smooths them, and returns the finished run.

    Errors: DataError (no text; counts too regular for the smoothing), UsageError.
    """
    if output is not None:
        RunFolder.check_free(output, overwrite)
    refuse_contradictions(settings)
    check_outputs(settings, sources)
    memory = Memory(settings.memory, scratch(output), counting_device(device))
    if settings.from_counts:
        source = from_files(sources, settings, memory, progress)
    elif settings.master is not None:
        if settings.write_counts is None:
            name = output or f"{title(sources[0])}.counts"
            settings = replace(settings, write_counts=f"{absolute(str(name))}.parquet")
        source = from_spark(sources, settings, progress)
    else:
        source = from_text(sources, settings, memory, counting_device(device), progress)
    counts, known, settings = source
    how, size = settings.smoothing, len(known.tokenizer)
    model = estimate_from_counts(counts, how, size, str(settings.context), progress, memory)
    model = pruned(model, settings.prune, settings.prune_to, progress)
    if settings.arpa is not None:
        write_arpa(model, known.tokenizer, settings.arpa, progress)
    path = output or RunFolder.fresh(f"{settings.order}gram-{title(sources[0])}")
    run = save(model.to(device), known, settings, path, overwrite, sources, command, memory)
    progress(f"saved: {sum(model.config.rows):,} n-grams of orders 1 to {settings.order}")
    return run


def save(
    model: NGramModel,
    known: Known,
    settings: Settings,
    path: Path,
    overwrite: bool,
    sources: Sequence[str],
    command: Sequence[str],
    memory: Memory,
) -> RunFolder:
    run = RunFolder.create(path, overwrite)
    run.write_tokenizer(known.tokenizer)
    config = {
        "seqlm": __version__,
        "task": "lm",
        "arch": "ngram",
        "context": settings.context,
        "model": plain(model.settings()),
        "counting": plain(asdict(settings)),
        "data": {
            "corpus": [absolute(name) for name in sources],
            "sha256": known.digest,
            "tokens": known.tokens,
            "lines": known.lines,
        },
        "command": shlex.join(command),
        "finished": None,
    }
    write_save(run, known.tokens, model, best=True, memory=memory)
    config["finished"] = now()
    run.write_config(config)
    write_text(run / "README.md", readme(config, model.config.rows))
    run.unlock()
    return run


def scratch(output: Path | None) -> Path:
    """An existing folder on the disk the run will be on."""
    place = (output or CHECKPOINTS).absolute()
    return next(folder for folder in place.parents if folder.is_dir())


def plain(value: Any) -> Any:
    """As YAML holds it: tuples are lists, paths text."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, Path):
        return str(value)
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def readme(config: Mapping[str, Any], rows: Sequence[int]) -> str:
    data = config["data"]
    table = [f"- {n:,} n-grams of order {order}" for order, n in enumerate(rows, 1)]
    return "\n".join(
        [
            f"# {config['model']['order']}-gram model ({config['model']['smoothing']}),"
            f" counted by seqlm {config['seqlm']}",
            "",
            f"    {config['command']}",
            "",
            *table,
            "",
            f"Corpus: {', '.join(data['corpus'])} ({data['tokens']:,} tokens in"
            f" {data['lines']:,} lines), SHA-256 {data['sha256']}",
            "",
        ]
    )
