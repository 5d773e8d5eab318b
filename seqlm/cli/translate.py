"""`seqlm translate`: one line out per line in."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console, translation_output
from seqlm.cli.console import flag
from seqlm.cli.options import search_options
from seqlm.errors import DataError, UsageError

if TYPE_CHECKING:
    from seqlm.decoding.translation_search import Translation

SEARCHES = ("beam", "nbest", "length_penalty", "normalisation", "coverage_penalty")
DRAWS = ("temperature", "top_k", "top_p", "seed")


def translate(
    flags: typer.Context,
    source: Annotated[
        list[str] | None,
        typer.Argument(help="Text files, a sentence a line, compressed or not; - is stdin."),
    ] = None,
    model: Annotated[
        list[str] | None,
        flag(
            "-m",
            "--model",
            envvar=None,  # as in `mixing`
            help="A run, or a checkpoint in it; several translate together."
            " [default: the latest run]",
        ),
    ] = None,
    beam: Annotated[int | None, search_options.BEAM] = None,
    nbest: Annotated[
        int | None,
        flag("--nbest", help="Print the N best, as Moses does: id ||| text ||| …", min=1),
    ] = None,
    length_penalty: Annotated[float | None, search_options.LENGTH_PENALTY] = None,
    normalisation: Annotated[str | None, search_options.NORMALISATION] = None,
    coverage_penalty: Annotated[float | None, search_options.COVERAGE_PENALTY] = None,
    max_ratio: Annotated[float | None, search_options.MAX_RATIO] = None,
    max_input_length: Annotated[int | None, search_options.MAX_INPUT_LENGTH] = None,
    sample: Annotated[
        bool, flag("--sample", help="Draw a translation, and do not search.")
    ] = False,
    temperature: Annotated[
        float, flag("--temperature", "-t", help="Of samples: below 1 is safer. [default: 1]")
    ] = 1.0,
    top_k: Annotated[
        int | None, flag("--top-k", help="Of samples: keep the K likeliest tokens.")
    ] = None,
    top_p: Annotated[
        float | None, flag("--top-p", help="Of samples: keep the likeliest that hold this mass.")
    ] = None,
    seed: Annotated[int, flag("--seed", help="Equal seeds give equal samples. [default: 1]")] = 1,
    replace_unk: Annotated[bool | None, search_options.REPLACE_UNK] = None,
    score_target: Annotated[
        str | None,
        flag(
            "--score-target",
            help="Translate nothing: print the log-probability and the tokens of these lines.",
        ),
    ] = None,
    scores: Annotated[
        bool, flag("--scores", help="Print the score before each text, tab.")
    ] = False,
    align: Annotated[
        bool, flag("--align", help="Print which words belong together after each text: ||| 0-0 1-2")
    ] = False,
    plot: Annotated[
        str | None,
        flag(
            "--plot",
            help="Draw the attention of the first sentence, as .png, .svg or .pdf; - draws with"
            " characters, on stderr.",
        ),
    ] = None,
    json: Annotated[bool, flag("--json", help="Print a JSON object a line.")] = False,
    batch_size: Annotated[
        int,
        flag(
            "--batch-size",
            help="Lines translated together; changes no translation. [default: 64]",
            min=1,
        ),
    ] = 64,
    buffer: Annotated[
        int | None,
        flag(
            "--buffer",
            help="Lines read before the first is answered; changes no translation. [default: 32"
            " batches; 1 on a terminal and with --batch-size 1]",
            min=1,
        ),
    ] = None,
    errors: Annotated[str, console.ERRORS] = "strict",
    device: Annotated[str | None, console.DEVICE] = None,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Translate SOURCE, or what is typed in: one line out per line in, in order.

    The search is `--beam` wide and ranks by log p / |Y|^length-penalty. `--buffer` lines are read
    ahead and sorted by length, so that a slow pipe waits for its answers; on a terminal, and with
    `--batch-size 1`, each line is answered at once.
    """
    console.check_choice("errors", errors, ("strict", "replace"))
    check(flags, console.typed(flags))
    sources = list(source) if source else ["-"]
    texts = sources if score_target is None else [*sources, score_target]
    console.check_stdin(texts)
    draw = drawing(temperature, top_k, top_p) if sample else None
    search = search_options.search(flags, align=align or plot is not None, draw=draw)
    if plot not in (None, "-"):
        from seqlm.decoding import attention_plot

        attention_plot.check(plot)
    from seqlm.text import reading

    reading.check_files(texts)
    paths = console.locate_models(model, "translation")
    where = console.set_up_torch(device, num_threads, float64=True)  # hypotheses are ranked
    from seqlm.decoding import translation_search as decoding
    from seqlm.runs.load_model import load_translators

    translator = load_translators(paths, where)
    if "-" in sources and sys.stdin.isatty():
        console.say("a sentence a line; Ctrl-D ends")
        buffer = buffer or 1
    lines = reading.read_lines(sources, errors)
    if score_target is not None:
        pairs = pairs_of(lines, reading.read_lines([score_target], errors), score_target)
        scored = decoding.score_targets(
            *translator, pairs, batch_size, align, buffer, search.max_input_length
        )
        records = (translation_output.scored(each, align, json) for each in scored)
    else:
        found = decoding.translate(*translator, lines, search, batch_size, buffer)
        found = told(found if plot is None else drawn(found, plot))
        records = (
            record
            for number, each in enumerate(found)
            for record in translation_output.found(
                number, each, nbest is not None, scores, align, json
            )
        )
    for record in records:
        sys.stdout.write(record + "\n")
        sys.stdout.flush()


def check(flags: typer.Context, typed: set[str]) -> None:
    """Errors: UsageError where flags do not go together."""
    values = flags.params

    def name(one: str) -> str:
        return "--" + one.replace("_", "-")

    for one in SEARCHES:
        if values["sample"] and one in typed:
            raise UsageError(f"{name(one)} is about a search: leave it out, or --sample")
    for one in DRAWS:
        if not values["sample"] and one in typed:
            raise UsageError(f"{name(one)} is about a --sample")
    if values["scores"] and (values["json"] or values["nbest"] is not None):
        raise UsageError("--json and --nbest print scores anyway: leave out --scores")
    if values["score_target"] is not None:
        for one in (*SEARCHES, "max_ratio", "sample", "replace_unk", "scores", "plot"):
            if one in typed:
                raise UsageError(f"--score-target looks for no translation: leave out {name(one)}")


def drawing(temperature: float, top_k: int | None, top_p: float | None) -> Any:
    """How a sample is drawn, given its noise. Errors: UsageError."""
    from seqlm.decoding.sampling_noise import Noise
    from seqlm.decoding.token_choice import chooser

    choose = partial(chooser, temperature, top_k, top_p)
    choose(noise=Noise.of(0, []))  # refuses what is out of range before anything is loaded
    return choose


def pairs_of(lines: Iterator[str], targets: Iterator[str], name: str) -> Iterator[tuple[str, str]]:
    """Errors: DataError where there are not as many lines of both."""
    for number, line in enumerate(lines, 1):
        target = next(targets, None)
        if target is None:
            raise DataError(f"{name} ends after {number - 1} lines, the source goes on")
        yield line, target
    if next(targets, None) is not None:
        raise DataError(f"{name} goes on where the source ends")


# ---------------------------------------------------------------------------------- what is told


def told(found: Iterable[Translation]) -> Iterator[Translation]:
    """The same; after the last, how fast that was and what had no end."""
    from seqlm.text.vocabulary import EOS

    begun, lines, endless = time.perf_counter(), 0, 0
    for each in found:
        lines += 1
        endless += each.found[0].tokens[-1:] not in ([], [EOS])
        yield each
    seconds = time.perf_counter() - begun
    console.say(f"{lines:,} lines in {seconds:.1f} s ({lines / max(seconds, 1e-9):.1f} a second)")
    if endless:
        console.say(f"{endless:,} were cut at their limit; --max-ratio allows longer ones")


def drawn(found: Iterable[Translation], place: str) -> Iterator[Translation]:
    """The same; the attention of the first that is not blank is drawn."""
    from seqlm.decoding import attention_plot

    done = False
    for each in found:
        best = each.found[0]
        if not done and best.alignment is not None:
            done = True
            sides = attention_plot.labels(each.source.pieces), attention_plot.labels(best.pieces)
            if place == "-":
                colour = console.is_tty(sys.stderr)
                console.tell(attention_plot.in_characters(best.alignment, *sides, colour=colour))
            else:
                attention_plot.draw(place, best.alignment, *sides)
                console.say(f"{place}: {each.source.text}")
        yield each
