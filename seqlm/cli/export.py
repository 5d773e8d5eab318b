"""`seqlm export`: a model in another form: an ARPA file, a run, a Hugging Face folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.errors import UsageError


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
    console.set_up_torch("cpu", num_threads)
    from seqlm.runs import export_huggingface, export_ngram
    from seqlm.runs.load_model import load_model
    from seqlm.runs.run_folder import RunFolder

    if path is not None and to == "hf":
        export_huggingface.check_output(path, overwrite)
    elif path is not None and to == "run":
        RunFolder.check_free(path, overwrite)
    elif path is not None:
        export_ngram.check_arpa_output(path)
    progress = console.Stages()
    loaded = load_model(console.locate_model(model), "cpu", progress)
    if path is not None and to == "hf":
        export_huggingface.write_huggingface(loaded, path, overwrite)
        print(path)
        return

    from seqlm.models.ngram.arpa_writer import arpa_text

    loaded = export_ngram.prune_model(loaded, prune, prune_to, progress)
    ngram_model = export_ngram.ngram_model(loaded)
    if to == "run":
        command = ["seqlm", *sys.argv[1:]]
        print(export_ngram.write_run(loaded, path, command, overwrite).path)
    elif path is None:
        sys.stdout.buffer.writelines(arpa_text(ngram_model, loaded.tokenizer, progress))
    else:
        if path.resolve() == loaded.path.resolve():
            raise UsageError(f"-o {path} is the model that is read, and would be overwritten")
        export_ngram.write_arpa(ngram_model, loaded.tokenizer, path, progress)
        print(path)
