"""`seqlm count`: an n-gram model by counting."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.options.setting_options import parameter_of, takes
from seqlm.counting.counting_settings import CountingSettings
from seqlm.settings import settings_of

SHORT_FLAGS = {"order": "-n"}
FLAGS = [
    parameter_of(setting, *filter(None, [SHORT_FLAGS.get(name)]))
    for name, setting in settings_of(CountingSettings).items()
]


@takes(FLAGS)
def count(
    corpus: Annotated[
        list[str] | None, typer.Argument(help="Text files, compressed or not; - is stdin.")
    ] = None,
    output: Annotated[Path | None, console.OUTPUT] = None,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    device: Annotated[str | None, console.DEVICE] = None,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
    **flags: Any,
) -> None:
    """Count the n-grams of CORPUS and smooth them into a language model.

    Prints the run's folder.
    """
    settings = CountingSettings(**{name: v for name, v in flags.items() if v is not None})
    sources = console.inputs(corpus)
    chosen_device = console.set_up_torch(device, num_threads)

    from seqlm.counting.counting_run import count as count_corpus

    command = ["seqlm", *sys.argv[1:]]
    progress = console.Stages()
    run = count_corpus(sources, settings, output, chosen_device, command, overwrite, progress)
    print(run.path)
