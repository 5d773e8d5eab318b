"""Counting from end to end: a corpus in, a finished run folder with an n-gram model out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from seqlm.counting.counting_settings import Settings, check_outputs, refuse_contradictions
from seqlm.counting.estimation.estimate import counting_device, estimate_from_counts
from seqlm.counting.sources import Known, from_files, from_spark, from_text
from seqlm.memory import Memory
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.pruning import pruned
from seqlm.progress import Progress, silent
from seqlm.runs.checkpoint import write_checkpoint
from seqlm.runs.export_ngram import write_arpa
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RUNS, RunFolder, now
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
    path = output or RunFolder.unused_path(f"{settings.order}gram-{title(sources[0])}")
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
    text = {"files": [absolute(name) for name in sources], "sha256": known.digest}
    config = RunConfig(
        task="lm",
        arch="ngram",
        context=str(settings.context),
        model=model.settings(),
        settings=asdict(settings),
        data={"texts": {"corpus": text}, "tokens": known.tokens, "lines": known.lines},
        command=shlex.join(command),
        torch=str(torch.__version__),
        device=str(model.device),
        threads=torch.get_num_threads(),
        finished=now(),
    )
    write_checkpoint(run, known.tokens, model, best=True, memory=memory)
    run.write_config(config)
    run.write_readme(config)
    run.unlock()
    return run


def scratch(output: Path | None) -> Path:
    """An existing folder on the disk the run will be on."""
    place = (output or RUNS).absolute()
    return next(folder for folder in place.parents if folder.is_dir())
