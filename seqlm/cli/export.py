"""`seqlm export`: a model in another form, as an ARPA file, a run or a Hugging Face folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.errors import UsageError

if TYPE_CHECKING:
    from seqlm.runs.locate import ModelPath


def export(
    to: Annotated[
        str, flag("--to", help="arpa; run: a folder that opens at once; hf: for transformers.")
    ],
    model: Annotated[str | None, console.MODEL] = None,
    prune: Annotated[float | None, console.PRUNE] = None,
    prune_to: Annotated[int | None, console.PRUNE_TO] = None,
    output: Annotated[
        str | None,
        flag(
            "-o",
            "--output",
            help="The ARPA file (.gz compresses), - for stdout, or the folder to write."
            " [default: stdout; a new run, in ./checkpoints; none for hf]",
        ),
    ] = None,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Write a model in another form.

    An n-gram model: a run as ARPA, ARPA as a run, or either pruned. A Transformer: as a GPT-2 or
    Llama folder (config.json, model.safetensors, tokenizer.json), where it has the shape of one.

    Prints what was written, unless that goes to stdout.
    """
    console.check_choice("to", to, ("arpa", "run", "hf"))
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
    from seqlm.runs.export_huggingface import check_output, write_huggingface
    from seqlm.runs.load_model import load_model

    check_output(path, overwrite)  # before the model is loaded
    write_huggingface(load_model(source), path, overwrite)


def export_ngram(
    source: ModelPath,
    to: str,
    path: Path | None,
    threshold: float | None,
    ngrams: int | None,
    overwrite: bool,
) -> None:
    """Writes an ARPA file, to stdout where `path` is None, or a run, whose folder it prints."""
    from seqlm.models.ngram.arpa_writer import arpa_text
    from seqlm.runs.export_ngram import (
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
