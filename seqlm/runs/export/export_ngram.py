"""An n-gram model exported as an ARPA file, or as a run of its own; pruned on the way."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from seqlm.errors import ModelError, UsageError
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.models.ngram.arpa.arpa_writer import arpa_text
from seqlm.models.ngram.derived.compact_ngrams import compact
from seqlm.models.ngram.derived.pruning import prune
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.progress import Progress, silent
from seqlm.runs.checkpoint import write_checkpoint
from seqlm.runs.durable_files import check_not_read, check_writable, write_pieces
from seqlm.runs.loading.load_model import LoadedModel
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder, now
from seqlm.text.reading import absolute_path, short_name
from seqlm.text.tokenizer import Tokenizer
from seqlm.version import __version__


class Exported(NamedTuple):
    """An n-gram model on its way out."""

    model: NGramModel
    tokenizer: Tokenizer
    config: RunConfig
    """Of the run that it would be; `exported` says what it comes from."""
    name: str
    """What a new run is called."""


def exported(loaded: LoadedModel) -> Exported:
    """A model as it is. Errors: ModelError where it is a network."""
    source = str(loaded.path)
    config = replace(loaded.config, exported=absolute_path(source))
    return Exported(ngram_model(loaded), loaded.tokenizer, config, short_name(source))


def ngram_model(loaded: LoadedModel) -> NGramModel:
    """Errors: ModelError where the model is a network."""
    if not isinstance(loaded.model, NGramModel):
        raise ModelError(
            f"{loaded.path} is a network ({loaded.config.arch}), and only an n-gram model can"
            " become an ARPA file or a run of its own"
        )
    return loaded.model


def prune_exported(
    made: Exported,
    threshold: float | None = None,
    ngrams: int | None = None,
    progress: Progress = silent,
) -> Exported:
    """The model pruned by `threshold`, and then to so many `ngrams`; None leaves all.

    Errors: those of pruning; UsageError where the model gives scores.
    """
    if (threshold or ngrams) and not made.model.normalized:
        raise UsageError(f"{made.name} gives scores, and `prune` weighs probabilities")
    return made._replace(model=prune(made.model, threshold, ngrams, progress))


def compact_exported(made: Exported, progress: Progress = silent) -> Exported:
    """The model in its compact form."""
    return made._replace(model=compact(made.model, progress))


# ----------------------------------------------------------------------------------------- places


def check_run_output(path: Path, sources: Sequence[Path], overwrite: bool = False) -> None:
    """Errors: UsageError where no run can be at `path`, or where it is a model that is read."""
    RunFolder.check_free(path, overwrite)
    check_not_read(path, sources)


def check_file_output(path: Path, sources: Sequence[Path], overwrite: bool = False) -> None:
    """Errors: UsageError where no file can be at `path`, or where it is a model that is read, or
    another file and `overwrite` is False."""
    check_not_read(path, sources)
    check_writable(path, overwrite)


# ---------------------------------------------------------------------------------------- writing


def write_arpa(
    model: NGramModel, tokenizer: Tokenizer, path: Path | None, progress: Progress = silent
) -> None:
    """An ARPA file, compressed where its name ends in .gz, written whole or not at all; None is
    standard output.

    A warning says where its text must be normalized first, as ARPA does not say it.
    Errors: ModelError where ARPA cannot express the model; SeqlmError where the disk refuses.
    """
    if tokenizer.normalizer:
        warnings.warn(
            "an ARPA file does not say how text is normalized: before a model from"
            f" {path or 'this one'} reads text, normalize it ({tokenizer.normalizer})",
            stacklevel=2,
        )
    write_pieces(path, arpa_text(model, tokenizer, progress))


def write_run(
    made: Exported, output: Path | None, command: Sequence[str], overwrite: bool = False
) -> RunFolder:
    """A finished run at `output`, or a new one in ./checkpoints.

    Errors: those of `RunFolder.create`; SeqlmError where the disk refuses.
    """
    config = replace(
        made.config,
        seqlm=__version__,
        model=made.model.settings(),
        command=shlex.join(command),
        finished=now(),
    )
    with RunFolder.create(output, overwrite, made.name) as run:
        write_ngram_run(run, config, made.model, made.tokenizer)
    return run


def write_ngram_run(
    run: RunFolder,
    config: RunConfig,
    model: NGramModel,
    tokenizer: Tokenizer,
    step: int = 0,
    memory: Memory = IN_MEMORY,
) -> None:
    """All files of a new run. The configuration, without which it is none, comes after the model.

    Errors: SeqlmError where the disk refuses.
    """
    run.write_tokenizer(tokenizer)
    write_checkpoint(run, step, model, best=True, memory=memory)
    run.write_config(config)
    run.write_readme(config)
    run.publish()
