"""`seqlm vectors export`: word vectors as a file that other programs read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options.vector_options import FORMAT, SKIP, VECTORS
from seqlm.runs.vector_files.vector_formats import check_format


def export_vectors(
    model: Annotated[str | None, VECTORS] = None,
    to: Annotated[str, FORMAT] = "word2vec",
    output: Annotated[
        str | None,
        flag(
            "-o",
            "--output",
            help="File to write; .gz compresses it. [default: standard output]",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None,
    most: Annotated[
        int | None,
        flag(
            "--most",
            help="Write only the first N words, which are the most frequent. [default: all]",
            metavar="N",
            min=1,
            rich_help_panel="Output",
        ),
    ] = None,
    skip: Annotated[bool, SKIP] = False,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Write word vectors as a file that other programs read, and print its name.

    Every number reads back as it was: text has the shortest decimals for which this holds. A file
    has the vectors of its words alone; fastText's vectors of other words need its .bin file.
    """
    check_format(to)
    path = None if output in (None, "-") else Path(str(output))
    model_path = console.locate_model(model, "vectors")

    from seqlm.runs.durable_files import check_not_read, check_writable
    from seqlm.runs.loading.load_vectors import load_vectors
    from seqlm.runs.vector_files.write_vectors import write_vectors

    if path is not None:
        check_not_read(path, [model_path.path])
        check_writable(path, overwrite)
    table = load_vectors(model_path)
    started = time.perf_counter()
    left_out = write_vectors(path, table.words[:most], table.vectors[:most], to, skip)
    seconds = time.perf_counter() - started
    written = len(table.words[:most]) - left_out
    console.say(f"{written:,} words of {table.width:,} numbers in {seconds:.1f} s")
    if left_out:
        console.warn(f"{left_out:,} words are left out, which the format cannot hold")
    if path is not None:
        print(path)
