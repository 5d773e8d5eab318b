"""`seqlm next`: the distribution of the next token after a text."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.options import mixture_options
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.mixture_options import MODELS, MixtureOptions
from seqlm.cli.options.option_groups import in_sections, make_group, parameters_of
from seqlm.cli.options.setting_options import with_parameters
from seqlm.cli.prompts import read_prompts
from seqlm.cli.records import RecordWriter
from seqlm.settings import setting

if TYPE_CHECKING:
    from seqlm.decoding.next_token import NextToken, NextTokens
    from seqlm.model import Model

COLUMNS = [
    "history_id", "token", "probability", "surprisal", "rank", "cumulative", "oov", "order",
    "counts", "entropy",
]  # fmt: skip


@dataclass(frozen=True)
class NextOptions(MixtureOptions):
    """The options of `next`."""

    history: Annotated[
        str | None,
        typer.Argument(
            help="Text before the token; - reads histories from standard input, one a line."
            " [default: -]",
            metavar="HISTORY",
            rich_help_panel="Input",
        ),
    ] = None
    counts: str | None = setting(
        None, "Counts of an n-gram model, as `write_counts` of seqlm count writes them.",
        none_text="those of the text of the run, where it is still there", metavar="FILE",
        section="Input",
    )  # fmt: skip
    model: Annotated[list[str] | None, MODELS] = None
    num_tokens: int = setting(
        10, "Number of tokens to print, the most probable first.", low=1, section="Output"
    )
    words: str | None = setting(
        None, "Print these words instead, with spaces between them; </s> is the end of the line.",
        metavar="WORDS", section="Output",
    )  # fmt: skip
    json: Annotated[bool, console.JSON_LINES] = False
    quiet: Annotated[bool, console.QUIET] = False
    debug: Annotated[bool, console.DEBUG] = False
    device: Annotated[str | None, console.DEVICE] = None
    num_threads: Annotated[int | None, console.THREADS] = None


PARAMETERS = in_sections(parameters_of(NextOptions, {"num_tokens": "-n"}))

EXAMPLES = [
    Example(
        "Print the five most probable words after a text",
        "seqlm next -m trigram 'the old' -n 5",
    ),
    Example(
        "Compare given words",
        "seqlm next -m trigram 'the old' --words 'man woman house'",
    ),
    Example(
        "Predict after each line of a pipe, a JSON object for each",
        "printf 'the old\\nthe young\\n' | seqlm next -m trigram --json",
    ),
]


def make_command() -> Callable[..., Any]:
    return with_parameters(PARAMETERS)(print_next)


def print_next(flags: typer.Context, **values: Any) -> None:
    """Print the most probable next tokens after HISTORY, or after each line of standard input: the
    probability of each, its surprisal in bits, its rank (1 + the number of tokens that are more
    probable), and the probability of it and all before it; oov is 1 of <unk> and of words outside
    the vocabulary, whose figures are those of <unk>.

    For an n-gram model, order is the length of the n-gram that a token is scored with, and counts
    are occurrences in its text: how often the token follows the longest history seen there / how
    often that history is followed by anything. The entropy is that of the whole distribution, in
    bits. A word of several tokens has the product of their probabilities, and no rank.
    """
    options = make_group(NextOptions, values)
    request = mixture_options.request_mixture(options.model, options)
    device = console.set_up_for(request.models, options.device, options.num_threads, float64=True)

    from seqlm.decoding.next_token import check_words, next_tokens
    from seqlm.model import Model

    mixture = request.load(device)
    mixture_options.say_equal_weights(request, mixture)
    warn_of_scores(mixture.models)
    lm = Model(mixture.models, mixture)
    words = None if options.words is None else check_words(lm.tokenizer, options.words)
    warn_of_unknown(lm, words or [])
    model, tokenizer, counts = lm.decoder, lm.tokenizer, lm.history_counts(options.counts)
    for_people = console.is_tty(sys.stdout) and not options.json
    table = None if for_people or options.json else RecordWriter(COLUMNS, flush=True)
    for number, history in enumerate(read_prompts(options.history, tokenizer, "history"), 1):
        found = next_tokens(model, tokenizer, history, options.num_tokens, words, counts)
        if options.json:
            print(json_module.dumps(as_object(history, found), ensure_ascii=False), flush=True)
        elif table is not None:
            for token in found.tokens:
                table.write([number, *cells(token, found), found.entropy])
        else:
            print_table(history, found)


def warn_of_scores(models: Sequence[Any]) -> None:
    for loaded in models:
        if not loaded.model.normalized:
            console.warn(f"{loaded.path} gives scores, not probabilities: they do not sum to 1")


def warn_of_unknown(lm: Model, words: Sequence[str]) -> None:
    from seqlm.decoding.prompt import unknown_tokens

    for word in words:
        if word != "</s>" and unknown_tokens(lm.tokenizer, word):
            console.warn(f"the model does not know {word!r}: its figures are those of <unk>")


def cells(token: NextToken, found: NextTokens) -> list[Any]:
    """The values of a row, from the token to the counts."""
    counts = None if token.count is None else f"{token.count}/{found.history_count}"
    return [*astuple(token)[:-1], counts]


def as_object(history: str, found: NextTokens) -> dict[str, Any]:
    """The object of --json; what the model does not have is left out."""
    tokens = []
    for token in found.tokens:
        values = {name: value for name, value in asdict(token).items() if value is not None}
        if token.surprisal == float("inf"):
            values["surprisal"] = None
        tokens.append(values)
    record = {"history": history, "entropy": found.entropy, "history_count": found.history_count}
    return {name: x for name, x in record.items() if x is not None} | {"tokens": tokens}


def print_table(history: str, found: NextTokens) -> None:
    """The tokens for people to read."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = [name for name in COLUMNS[1:-1] if name not in ("oov", "order", "counts")]
    has_oov = any(token.oov for token in found.tokens)
    has_order = any(token.order is not None for token in found.tokens)
    has_counts = found.history_count is not None
    names += ["oov"] * has_oov + ["order"] * has_order + ["counts"] * has_counts
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name, justify="left" if name == "token" else "right")
    for token in found.tokens:
        row = dict(zip(COLUMNS[1:-1], cells(token, found)))
        table.add_row(*(Text(person_text(row[name])) for name in names))
    if found.entropy is not None:
        console.say(f"after {history!r}: entropy {found.entropy:.4g} bits")
    Console(highlight=False).print(table)


def person_text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
