"""An n-gram model in another form: as ARPA text, or as a run of its own."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqlm import __version__
from seqlm.errors import ModelError, UsageError
from seqlm.models.ngram.arpa_writer import arpa_text
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.pruning import pruned
from seqlm.progress import Progress, silent
from seqlm.runs.checkpoint import write_save
from seqlm.runs.load_model import open_model
from seqlm.runs.run_folder import RunFolder, now, write_pieces, write_text
from seqlm.text.reading import absolute, title
from seqlm.text.tokenizer import Tokenizer


class Source(NamedTuple):
    """What is exported."""

    model: NGramModel
    tokenizer: Tokenizer
    config: dict[str, Any]
    path: Path


def check_place(to: str, path: Path | None, overwrite: bool) -> None:
    """Errors: UsageError where no ARPA file, or no run, can be at `path`."""
    if path is None:
        return
    if to == "run":
        RunFolder.check_free(path, overwrite)
    elif path.is_dir():
        raise UsageError(f"{path} is a folder, not a file")
    elif not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}")


def opened(
    name: str | None,
    threshold: float | None = None,
    ngrams: int | None = None,
    progress: Progress = silent,
) -> Source:
    """The n-gram model `-m` names, pruned by `threshold` and then to so many `ngrams`.

    Errors: those of `open_model` and of pruning; ModelError where it is a network.
    """
    loaded = open_model(name, "cpu", progress)
    model = loaded.model
    if not isinstance(model, NGramModel):
        raise ModelError(
            f"{loaded.path} is a network ({loaded.config['arch']}): only n-gram models have this"
            " form (--to hf is for Transformers)"
        )
    if (threshold or ngrams) and not model.normalized:
        raise UsageError(f"{loaded.path} gives scores; --prune weighs probabilities")
    model = pruned(model, threshold, ngrams, progress)
    return Source(model, loaded.tokenizer, loaded.config, loaded.path)


# -------------------------------------------------------------------------------------------- ARPA


def write_arpa(
    model: NGramModel, tokenizer: Tokenizer, path: Path, progress: Progress = silent
) -> None:
    """An ARPA file, compressed where its name ends in .gz, written whole or not at all.

    Errors: ModelError where ARPA cannot tell the model; SeqlmError where the disk refuses.
    """
    write_pieces(path, arpa_text(model, tokenizer, progress))


# --------------------------------------------------------------------------------------------- run


def write_run(
    source: Source, output: Path | None, command: Sequence[str], overwrite: bool = False
) -> RunFolder:
    """A finished run at `output`, or a new one in ./checkpoints that is named like the source.

    Errors: those of `RunFolder.create`; UsageError where it is the source; SeqlmError where the
    disk refuses.
    """
    if output is not None and output.resolve() == source.path.resolve():
        raise UsageError(f"{output} would be written over itself: -o names another")
    run = RunFolder.create(output or RunFolder.fresh(title(str(source.path))), overwrite)
    run.write_tokenizer(source.tokenizer)
    write_save(run, 0, source.model, best=True)
    config = source.config | {
        "seqlm": __version__,
        "model": source.model.settings(),
        "exported": absolute(str(source.path)),
        "command": shlex.join(command),
        "finished": now(),
    }
    run.write_config(config)
    write_text(run / "README.md", readme(config))
    run.unlock()
    return run


def readme(config: Mapping[str, Any]) -> str:
    model = config["model"]
    table = [f"- {n:,} n-grams of order {k}" for k, n in enumerate(model["rows"], 1)]
    title = f"# {model['order']}-gram model ({model['smoothing']}), exported by seqlm"
    return "\n".join(
        [
            f"{title} {config['seqlm']}",
            "",
            f"    {config['command']}",
            "",
            *table,
            "",
            f"Source: {config['exported']}",
            "",
        ]
    )
