"""`seqlm vectors nearest`: the words whose vectors are most like that of a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from seqlm.cli import console
from seqlm.cli.commands.vectors.found_words import Columns, print_found
from seqlm.cli.commands.vectors.word_questions import Size, answer_questions
from seqlm.cli.options.vector_options import (
    FIRST_WORDS,
    NUM_WORDS,
    VECTORS,
    load_named_vectors,
)

if TYPE_CHECKING:
    from seqlm.evaluation.vectors.nearest_words import Neighbor

COLUMNS = Columns(("query",), "similarity")


def print_nearest(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="Words to find neighbors of; - reads them from standard input, one a line."
            " [default: -]",
            metavar="WORD",
            rich_help_panel="Input",
        ),
    ] = None,
    model: Annotated[str | None, VECTORS] = None,
    vocabulary: Annotated[int | None, FIRST_WORDS] = None,
    num_words: Annotated[int, NUM_WORDS] = 10,
    json: Annotated[bool, console.JSON_LINES] = False,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Print the words nearest to each WORD, or to each line of standard input: those with the
    highest similarity, which is the cosine of the angle between two vectors, from -1 to 1.

    A line whose word has no vector is warned of, and its row has no neighbor.
    """
    table = load_named_vectors(model)
    from seqlm.evaluation.vectors.nearest_words import direction, nearest_words

    def answer(question: list[str]) -> list[Neighbor]:
        [word] = question
        query = direction(table, word)
        return nearest_words(table, query, num_words, exclude=[word], vocabulary=vocabulary)

    print_found(answer_questions(words, Size(1, 1), answer), COLUMNS, json)
