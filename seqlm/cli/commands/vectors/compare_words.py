"""`seqlm vectors similarity` and `seqlm vectors odd-one-out`: given words beside one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.commands.vectors.word_questions import (
    Size,
    answer_questions,
    is_on_command_line,
)
from seqlm.cli.options.vector_options import VECTORS, load_named_vectors
from seqlm.cli.records import RecordWriter

if TYPE_CHECKING:
    from seqlm.evaluation.vectors.nearest_words import Neighbor


def word_list(help: str, metavar: str) -> Any:
    return typer.Argument(
        help=f"{help} - reads such words from standard input, one question a line. [default: -]",
        metavar=metavar,
        rich_help_panel="Input",
    )


def print_similarity(
    words: Annotated[list[str] | None, word_list("Two words to compare.", "A B")] = None,
    model: Annotated[str | None, VECTORS] = None,
    json: Annotated[bool, console.JSON_LINES] = False,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Print the similarity of two words: the cosine of the angle between their vectors, from -1 to
    1. For the lines of standard input it is a table, in which a pair has no similarity where a word
    has no vector; that is warned of."""
    table = load_named_vectors(model)
    from seqlm.evaluation.vectors.nearest_words import cosine

    def answer(question: list[str]) -> float:
        first, second = question
        return cosine(table.vector(first), table.vector(second))

    answers = answer_questions(words, Size(2, 2), answer)
    if is_on_command_line(words) and not json:
        [(_, similarity)] = answers
        print(f"{similarity:.10g}")
        return
    writer = RecordWriter(("first", "second", "similarity"), json, flush=True)
    for question, similarity in answers:
        writer.write([*question, similarity])


def print_odd_one_out(
    words: Annotated[list[str] | None, word_list("Three words or more.", "WORD")] = None,
    model: Annotated[str | None, VECTORS] = None,
    json: Annotated[bool, console.JSON_LINES] = False,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Print the word that does not belong to the others: the one whose vector is least similar to
    the mean of all, the vectors having length 1. For the lines of standard input it is a table, in
    which a question has no answer where a word has no vector; that is warned of."""
    table = load_named_vectors(model)
    from seqlm.evaluation.vectors.odd_one_out import FEWEST, odd_one_out

    def answer(question: list[str]) -> list[Neighbor]:
        return odd_one_out(table, question)

    answers = answer_questions(words, Size(FEWEST, float("inf")), answer)
    if is_on_command_line(words) and not json:
        [(_, found)] = answers
        print(found[0].word if found else "")
        return
    writer = RecordWriter(("words", "odd_one_out", "similarity"), json, flush=True)
    for question, found in answers:
        odd = found[0] if found else (None, None)
        writer.write([question if json else " ".join(question), *odd])
