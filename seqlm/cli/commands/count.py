"""`seqlm count`: an n-gram model by counting."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from seqlm.cli import console
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.setting_options import parameter_of, with_parameters
from seqlm.counting.counting_settings import CountingSettings
from seqlm.settings import settings_of
from seqlm.text.reading import STDOUT

SHORT_FLAGS = {"order": "-n"}
FLAGS = [
    parameter_of(setting, *filter(None, [SHORT_FLAGS.get(name)]))
    for name, setting in settings_of(CountingSettings).items()
]


EXAMPLES = [
    Example(
        "Count a trigram model of a text",
        "seqlm count --order 3 corpora/prose.train.txt -o trigram",
    ),
    Example(
        "Count 5-grams, prune them, and write an ARPA file beside the run",
        "seqlm count --prune 1e-6 --arpa pruned.arpa corpora/prose.train.txt -o pruned",
    ),
    Example(
        "Count n-grams of characters",
        "seqlm count --tokenizer char --order 6 corpora/prose.train.txt -o chars",
    ),
]


def make_command() -> Callable[..., Any]:
    return with_parameters(FLAGS)(count)


def count(
    corpus: Annotated[list[str] | None, console.CORPUS] = None,
    output: Annotated[Path | None, console.OUTPUT] = None,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
    **flags: Any,
) -> None:
    """Count the n-grams of CORPUS, or of standard input, and smooth them into a language model.
    Print the run folder that holds the model; beside a file that goes to standard output, it is
    named on standard error."""
    settings = CountingSettings(**{name: v for name, v in flags.items() if v is not None})
    sources = console.files_or_stdin(corpus)
    console.set_up_for([], None, num_threads)

    from seqlm.counting.counting_run import count as count_corpus

    command = ["seqlm", *sys.argv[1:]]
    progress = console.Stages()
    run = count_corpus(sources, settings, output, command, overwrite, progress)
    if STDOUT in (settings.arpa, settings.write_counts):
        console.say(f"run: {run.path}")
    else:
        print(run.path)
