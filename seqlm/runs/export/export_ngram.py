"""An n-gram model exported as an ARPA file, or as a run of its own; pruned on the way."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seqlm.errors import ModelError, UsageError
from seqlm.memory import IN_MEMORY, Memory
from seqlm.models.ngram.arpa.arpa_writer import arpa_text
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.pruning import prune
from seqlm.progress import Progress, silent
from seqlm.runs.checkpoint import write_checkpoint
from seqlm.runs.durable_files import check_writable, write_pieces
from seqlm.runs.load_model import LoadedModel
from seqlm.runs.run_config import RunConfig
from seqlm.runs.run_folder import RunFolder, now
from seqlm.text.reading import absolute_path, short_name
from seqlm.text.tokenizer import Tokenizer
from seqlm.version import __version__


def check_arpa_output(path: Path, source: Path) -> None:
    """Errors: UsageError where no file can be at `path`, or where it is the model that is read."""
    if path.resolve() == source.resolve():
        raise UsageError(f"{path} is the model that is read; name another `output`")
    check_writable(path)


def prune_model(
    loaded: LoadedModel,
    threshold: float | None = None,
    ngrams: int | None = None,
    progress: Progress = silent,
) -> LoadedModel:
    """The n-gram model pruned by `threshold`, and then to so many `ngrams`; None leaves all.

    Errors: those of pruning; ModelError where it is a network, UsageError where it gives scores.
    """
    if (threshold or ngrams) and not ngram_model(loaded).normalized:
        raise UsageError(f"{loaded.path} gives scores, and `prune` weighs probabilities")
    model = prune(ngram_model(loaded), threshold, ngrams, progress)
    return loaded._replace(model=model)


def ngram_model(loaded: LoadedModel) -> NGramModel:
    """Errors: ModelError where the model is a network."""
    if not isinstance(loaded.model, NGramModel):
        raise ModelError(
            f"{loaded.path} is a network ({loaded.config.arch}), and only an n-gram model can"
            " become an ARPA file or a run of its own"
        )
    return loaded.model


def write_arpa(
    model: NGramModel, tokenizer: Tokenizer, path: Path, progress: Progress = silent
) -> None:
    """An ARPA file, compressed where its name ends in .gz, written whole or not at all.

    A warning says where its text must be normalized first, as ARPA does not say it.
    Errors: ModelError where ARPA cannot express the model; SeqlmError where the disk refuses.
    """
    if tokenizer.normalizer:
        warnings.warn(
            f"an ARPA file does not say how text is normalized: before a model from {path} reads"
            f" text, normalize it ({tokenizer.normalizer})",
            stacklevel=2,
        )
    write_pieces(path, arpa_text(model, tokenizer, progress))


def write_run(
    loaded: LoadedModel, output: Path | None, command: Sequence[str], overwrite: bool = False
) -> RunFolder:
    """A finished run at `output`, or a new one in ./checkpoints that is named like the source.

    Errors: those of `RunFolder.create`; UsageError where `output` is the source; SeqlmError where
    the disk refuses.
    """
    model = ngram_model(loaded)
    if output is not None and output.resolve() == loaded.path.resolve():
        raise UsageError(f"{output} is the model that is read; name another `output`")
    config = replace(
        loaded.config,
        seqlm=__version__,
        model=model.settings(),
        exported=absolute_path(str(loaded.path)),
        command=shlex.join(command),
        finished=now(),
    )
    with RunFolder.create(output, overwrite, short_name(str(loaded.path))) as run:
        write_ngram_run(run, config, model, loaded.tokenizer)
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
