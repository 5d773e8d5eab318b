"""`seqlm export`: a model in another form, as an ARPA file, a run or a Hugging Face folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.setting_options import parameter_of, with_parameters
from seqlm.counting.counting_settings import CountingSettings
from seqlm.errors import UsageError
from seqlm.settings import settings_of

if TYPE_CHECKING:
    from seqlm.runs.locate import ModelPath


FORMATS = ("arpa", "run", "hf")
PRUNING = [parameter_of(settings_of(CountingSettings)[name]) for name in ("prune", "prune_to")]
EXAMPLES = [
    Example(
        "Write a model as an ARPA file", "seqlm export -m trigram --to arpa -o trigram.arpa.gz"
    ),
    Example(
        "Prune the model on the way",
        "seqlm export -m trigram --to arpa --prune 1e-6 -o small.arpa",
    ),
    Example(
        "Turn an ARPA file into a run, which opens faster",
        "seqlm export -m small.arpa --to run -o small",
    ),
    Example(
        "Write a Transformer for the package transformers of Hugging Face",
        "seqlm export -m transformer --to hf -o transformer-hf",
    ),
]


def make_command() -> Callable[..., Any]:
    return with_parameters(PRUNING)(export)


def export(
    *,
    to: Annotated[
        str,
        flag(
            "--to",
            help="Form to write: an ARPA file (arpa), a run folder (run), or a folder for the"
            " package transformers of Hugging Face (hf).",
            metavar="|".join(FORMATS),
            autocompletion=lambda: list(FORMATS),
            rich_help_panel="Output",
        ),
    ],
    model: Annotated[str | None, console.MODEL] = None,
    output: Annotated[
        str | None,
        flag(
            "-o",
            "--output",
            help="ARPA file (.gz compresses it; - is standard output) or folder to write."
            " [default: standard output; for a run, a new one in ./checkpoints]",
            metavar="FILE|FOLDER",
            rich_help_panel="Output",
        ),
    ] = None,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
    **pruning: Any,
) -> None:
    """Write a model in another form, and print the name of the file or folder.

    An n-gram model is written as an ARPA file or as a run, pruned or whole. A Transformer that has
    the shape of GPT-2 or Llama is written as a folder with config.json, model.safetensors and
    tokenizer.json.
    """
    prune, prune_to = pruning["prune"], pruning["prune_to"]
    console.check_choice("to", to, FORMATS)
    path = None if output in (None, "-") else Path(str(output))
    if to == "run" and output == "-":
        raise UsageError("a run is a folder: -o names one")
    if to == "hf" and path is None:
        raise UsageError("--to hf writes a folder: -o names it")
    if to == "hf" and (prune or prune_to):
        raise UsageError("--prune is for n-gram models, which are exported to arpa or run")
    source = console.locate_model(model)
    console.set_up_torch("cpu", num_threads)
    if to == "hf":
        assert path is not None
        export_huggingface(source, path, overwrite)
    else:
        export_ngram(source, to, path, prune, prune_to, overwrite)
    if path is not None and to != "run":
        print(path)


def export_huggingface(source: ModelPath, path: Path, overwrite: bool) -> None:
    from seqlm.runs.huggingface.export_huggingface import check_output, write_huggingface
    from seqlm.runs.load_model import load_model

    check_output(path, overwrite)  # before the model is loaded
    loaded = load_model(source)
    write_huggingface(loaded.model, loaded.tokenizer, path, overwrite)


def export_ngram(
    source: ModelPath,
    to: str,
    path: Path | None,
    threshold: float | None,
    ngrams: int | None,
    overwrite: bool,
) -> None:
    """Writes an ARPA file, to stdout where `path` is None, or a run, whose folder it prints."""
    from seqlm.models.ngram.arpa.arpa_writer import arpa_text
    from seqlm.runs.export.export_ngram import (
        check_arpa_output,
        ngram_model,
        prune_model,
        write_arpa,
        write_run,
    )
    from seqlm.runs.load_model import load_model
    from seqlm.runs.run_folder import RunFolder

    if path is not None and to == "run":
        RunFolder.check_free(path, overwrite)
    elif path is not None:
        check_arpa_output(path, source.path)
    progress = console.Stages()
    loaded = prune_model(load_model(source, progress=progress), threshold, ngrams, progress)
    if to == "run":
        print(write_run(loaded, path, ["seqlm", *sys.argv[1:]], overwrite).path)
    elif path is None:
        sys.stdout.buffer.writelines(arpa_text(ngram_model(loaded), loaded.tokenizer, progress))
    else:
        write_arpa(ngram_model(loaded), loaded.tokenizer, path, progress)
