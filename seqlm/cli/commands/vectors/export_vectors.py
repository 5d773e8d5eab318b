"""`seqlm vectors export`: word vectors as a file that other programs read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options.vector_options import FORMAT, SKIP, VECTORS
from seqlm.runs.vector_files.vector_formats import check_format

if TYPE_CHECKING:
    import numpy as np

    from seqlm.runs.loading.locate import ModelPath


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
            least=1,
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
    from seqlm.runs.vector_files.write_vectors import write_vectors

    if path is not None:
        check_not_read(path, [model_path.path])
        check_writable(path, overwrite)
    words, vectors = read_first(model_path, most)
    started = time.perf_counter()
    left_out = write_vectors(path, words, vectors, to, skip)
    seconds = time.perf_counter() - started
    console.say(
        f"{console.counted(len(words) - left_out, 'word')} of"
        f" {console.counted(vectors.shape[1], 'number')} in {seconds:.1f} s"
    )
    if left_out:
        lacking = console.counted(left_out, "word")
        console.warn(f"left out, as the format cannot hold them: {lacking}")
    if path is not None:
        print(path)


def read_first(model_path: ModelPath, most: int | None) -> tuple[list[str], np.ndarray]:
    """The first words and their vectors; of a file, no more is read."""
    if model_path.vectors is not None:
        from seqlm.runs.vector_files.read_vectors import read_vectors

        words, vectors, _ = read_vectors(model_path.vectors, most=most)
        return words, vectors
    from seqlm.runs.loading.load_vectors import load_vectors

    table = load_vectors(model_path)
    return table.words[:most], table.vectors[:most]
