"""`seqlm vectors analogy`: the word that is to one word as a second is to a third."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from seqlm.cli import console
from seqlm.cli.commands.vectors.found_words import Columns, print_found
from seqlm.cli.commands.vectors.word_questions import Size, answer_questions, is_on_command_line
from seqlm.cli.console import flag
from seqlm.cli.options.vector_options import (
    FIRST_WORDS,
    NUM_WORDS,
    VECTORS,
    load_named_vectors,
)
from seqlm.errors import UsageError

if TYPE_CHECKING:
    from seqlm.evaluation.vectors.analogies import Formula
    from seqlm.evaluation.vectors.nearest_words import Neighbor
    from seqlm.runs.loading.load_vectors import LoadedVectors

COLUMNS = Columns(("a", "b", "c"), "score")
FORMULAS = ("add", "mul")


def print_analogies(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="Three words, A B C, of the question: A is to B as C is to which word? - reads"
            " such questions from standard input, one a line. [default: -]",
            metavar="A B C",
            rich_help_panel="Input",
        ),
    ] = None,
    model: Annotated[str | None, VECTORS] = None,
    formula: Annotated[
        str,
        flag(
            "--formula",
            help="How an analogy is solved: by the sum of cosines (3CosAdd), or by their product"
            " (3CosMul). [default: add]",
            metavar="add|mul",
            autocompletion=lambda: list(FORMULAS),
            rich_help_panel="Model",
        ),
    ] = "add",
    vocabulary: Annotated[int | None, FIRST_WORDS] = None,
    num_words: Annotated[int, NUM_WORDS] = 10,
    plot: Annotated[
        str | None,
        flag(
            "--plot",
            help="Picture to write of A, B, C and the best answer, the parallelogram that they"
            " make; its name ends in .png, .svg or .pdf.",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None,
    overwrite: Annotated[bool, console.OVERWRITE] = False,
    json: Annotated[bool, console.JSON_LINES] = False,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Print the words that are to C as B is to A, the best first: "man king woman" asks what is to
    a woman as a king is to a man. The order is that of files of analogies.

    The score is the cosine with B - A + C, the vectors having length 1, or with --formula mul the
    product of the similarities to B and C over that to A, each moved to the range from 0 to 1
    (Levy & Goldberg 2014). The words of the question are no answers. A line with a word that has no
    vector is warned of, and its row has no answer.
    """
    console.check_choice("formula", formula, FORMULAS)
    if plot is not None:
        from seqlm.runs.figure_files import check_new_figure

        check_new_figure(plot, overwrite)
        if not is_on_command_line(words):
            raise UsageError("`plot` draws one analogy: name its three words")
    table = load_named_vectors(model)
    from seqlm.evaluation.vectors.analogies import solve_analogy

    def answer(question: list[str]) -> list[Neighbor]:
        a, b, c = question
        found = solve_analogy(table, a, b, c, num_words, cast("Formula", formula), vocabulary)
        if plot is not None:
            draw(table, question, found, plot)
        return found

    print_found(answer_questions(words, Size(3, 3), answer), COLUMNS, json)


def draw(
    table: LoadedVectors, question: Sequence[str], found: Sequence[Neighbor], plot: str
) -> None:
    """Draws a question and its best answer. Errors: UsageError where there is none."""
    from seqlm.evaluation.vector_maps.map_figure import draw_analogy
    from seqlm.evaluation.vector_maps.word_map import map_analogy

    if not found:
        raise UsageError("`plot`: there is no answer to draw")
    a, b, c = question
    draw_analogy(plot, map_analogy(table, a, b, c, found[0].word))
    console.say(plot)
