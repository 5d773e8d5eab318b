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
    place = None if output in (None, "-") else Path(str(output))
    if to == "run" and output == "-":
        raise UsageError("a run is a folder: -o names one")
    if to == "hf" and place is None:
        raise UsageError("--to hf writes a folder: -o names it")
    if to == "hf" and (prune or prune_to):
        raise UsageError("--prune is for n-gram models, which are exported to arpa or run")
    console.set_up_torch("cpu", num_threads)
    if place is not None and to == "hf":
        from seqlm.runs import huggingface

        huggingface.export(model, place, overwrite)
        print(place)
        return

    from seqlm.models.ngram.arpa_writer import arpa_text
    from seqlm.runs.arpa_export import check_place, opened, write_arpa, write_run

    progress = console.Stages()
    check_place(to, place, overwrite)
    source = opened(model, prune, prune_to, progress)
    if to == "run":
        command = ["seqlm", *sys.argv[1:]]
        print(write_run(source, place, command, overwrite).path)
    elif place is None:
        sys.stdout.buffer.writelines(arpa_text(source.model, source.tokenizer, progress))
    else:
        if place.resolve() == source.path.resolve():
            raise UsageError(f"-o {place} is the model that is read, and would be overwritten")
        write_arpa(source.model, source.tokenizer, place, progress)
        print(place)
