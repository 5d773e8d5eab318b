"""`seqlm vectors plot`: the places of words in the plane, and a picture of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from seqlm.cli import console
from seqlm.cli.commands.vectors.word_questions import is_on_command_line
from seqlm.cli.console import flag
from seqlm.cli.options.vector_options import VECTORS, load_named_vectors
from seqlm.cli.records import RecordWriter
from seqlm.errors import UsageError

if TYPE_CHECKING:
    from seqlm.evaluation.vector_maps.word_map import Method, WordMap
    from seqlm.runs.loading.load_vectors import LoadedVectors

METHODS = ("pca", "tsne")
FIRST_WORDS = 100
"""Words that are shown where none are named."""


def plot_vectors(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="Words to show; - reads them from standard input, one a line."
            " [default: the first --most words]",
            metavar="WORD",
            rich_help_panel="Input",
        ),
    ] = None,
    model: Annotated[str | None, VECTORS] = None,
    most: Annotated[
        int | None,
        flag(
            "--most",
            help="Show the first N words, which are the most frequent, where no words are named."
            " [default: 100]",
            metavar="N",
            least=2,
            rich_help_panel="Input",
        ),
    ] = None,
    method: Annotated[
        str,
        flag(
            "--method",
            help="How words get their places: by the two principal components of their vectors"
            " (pca), or so that neighbors stay neighbors (tsne). [default: pca]",
            metavar="|".join(METHODS),
            autocompletion=lambda: list(METHODS),
            rich_help_panel="Map",
        ),
    ] = "pca",
    perplexity: Annotated[
        float | None,
        flag(
            "--perplexity",
            help="Number of neighbors that count for a word in t-SNE. [default: 30, or a third of"
            " the other words]",
            metavar="X",
            rich_help_panel="Map",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        flag(
            "--seed",
            help="Seed of the places from which t-SNE starts. [default: it starts from the"
            " principal components]",
            metavar="N",
            least=0,
            rich_help_panel="Map",
        ),
    ] = None,
    output: Annotated[
        str | None,
        flag(
            "-o",
            "--output",
            help="Picture to write, which ends in .png, .svg or .pdf; it needs matplotlib.",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None,
    json: Annotated[bool, console.JSON_LINES] = False,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Print the places of words in the plane, and draw them with -o.

    The vectors have length 1 first. Principal components keep large distances as far as a plane
    can; the picture says how much of the variance that is. t-SNE (van der Maaten & Hinton 2008)
    keeps neighbors together; sizes of groups and distances between them mean little.
    """
    console.check_choice("method", method, METHODS)
    for name, value in (("perplexity", perplexity), ("seed", seed)):
        if value is not None and method != "tsne":
            raise UsageError(f"`{name}` is for `method=tsne`")
    if words and most is not None:
        raise UsageError("`most` is for a map of the first words: leave out it, or the words")
    if output is not None:
        from seqlm.runs.figure_files import check_new_figure

        check_new_figure(output, overwrite)
    table = load_named_vectors(model)
    from seqlm.evaluation.vector_maps.word_map import map_words

    chosen = read_words(words) if words else first_words(table, most or FIRST_WORDS)
    made = map_words(table, chosen, cast("Method", method), perplexity, seed)
    printed = RecordWriter(["word", "x", "y"], json)
    for word, (x, y) in zip(made.words, made.places.tolist()):
        printed.write([word, x, y])
    console.say(describe(made))
    if output is not None:
        from seqlm.evaluation.vector_maps.map_figure import draw_map

        unlabeled = draw_map(output, made)
        lacking = f"; no room for the labels of {console.counted(unlabeled, 'word')}"
        console.say(f"{output}{lacking if unlabeled else ''}")


def read_words(arguments: list[str]) -> list[str]:
    """The words of the command line, or the lines of standard input. Errors: UsageError where both
    are named."""
    if is_on_command_line(arguments):
        return arguments
    from seqlm.text.reading import LONGEST_LINE, read_lines

    lines = (line.strip() for line in read_lines(["-"], "replace", LONGEST_LINE))
    return [line for line in lines if line]


def first_words(table: LoadedVectors, most: int) -> list[str]:
    """The first words but those whose vectors are zero, which have no direction."""
    return [word for word, norm in zip(table.words[:most], table.norms) if norm > 0]


def describe(made: WordMap) -> str:
    """How good a map is."""
    if made.shares is None:
        return f"Kullback-Leibler divergence of the map: {made.cost:.4g} nats"
    first, second = made.shares
    return f"{first:.1%} and {second:.1%} of the variance lie along the two components"
