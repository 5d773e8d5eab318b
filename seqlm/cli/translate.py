"""`seqlm translate`: one line out per line in."""

from __future__ import annotations

import json as json_module
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console, translating
from seqlm.cli.console import flag
from seqlm.errors import DataError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from seqlm.decoding.translating import Scored, Translated, Translation
    from seqlm.runs.opening import Opened

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
            help="A run, or a save in it; several translate together. [default: the latest run]",
        ),
    ] = None,
    beam: Annotated[int | None, translating.BEAM] = None,
    nbest: Annotated[
        int | None,
        flag("--nbest", help="Print the N best, as Moses does: id ||| text ||| …", min=1),
    ] = None,
    length_penalty: Annotated[float | None, translating.LENGTH_PENALTY] = None,
    normalisation: Annotated[str | None, translating.NORMALISATION] = None,
    coverage_penalty: Annotated[float | None, translating.COVERAGE_PENALTY] = None,
    max_ratio: Annotated[float | None, translating.MAX_RATIO] = None,
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
    replace_unk: Annotated[bool | None, translating.REPLACE_UNK] = None,
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
            help="Lines translated together; changes no translation. 1 answers each before it reads"
            " the next. [default: 64]",
            min=1,
        ),
    ] = 64,
    errors: Annotated[str, console.ERRORS] = "strict",
    device: Annotated[str | None, console.DEVICE] = None,
    num_threads: Annotated[int | None, console.THREADS] = None,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Translate SOURCE, or what is typed in: one line out per line in, in order.

    The search is `--beam` wide and ranks by log p / |Y|^length-penalty. Lines are read ahead and
    sorted by length, but on a terminal each is answered at once.
    """
    console.check_choice("errors", errors, ("strict", "replace"))
    check(flags, console.typed(flags))
    search = translating.search(
        beam=beam,
        nbest=nbest,
        length_penalty=length_penalty,
        normalisation=normalisation,
        coverage_penalty=coverage_penalty,
        max_ratio=max_ratio,
        replace_unk=replace_unk,
        align=align or plot is not None,
        seed=seed,
        draw=drawing(temperature, top_k, top_p) if sample else None,
    )
    if plot not in (None, "-"):
        from seqlm.evaluation import pictures

        pictures.check(plot)
    from seqlm.runs.folder import find_model

    names: list[str | None] = [*model] if model else [None]
    places = [str(find_model(name, "translation")) for name in names]
    where = console.set_up_torch(device, num_threads)
    if where.type == "mps":  # it has no float64, which hypotheses are ranked in
        where = type(where)("cpu")
    from seqlm.runs.opening import open_translators

    opened = open_translators(places, where)
    sources = list(source) if source else ["-"]
    typed_in = sources == ["-"] and sys.stdin.isatty()
    if typed_in:
        console.say("a sentence a line; Ctrl-D ends")
    lines = lines_of(sources, errors, at_once=batch_size == 1 or typed_in)
    if score_target is not None:
        records = scored(opened, lines, score_target, errors, batch_size, align, json)
    else:
        from seqlm.decoding.translating import translate as translated

        found = translated(*opened, lines, search, batch_size, buffer=1 if typed_in else None)
        found = told(found if plot is None else drawn(found, plot))
        records = (
            record
            for number, each in enumerate(found)
            for record in formatted(number, each, nbest is not None, scores, align, json)
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
    if values["nbest"] is not None and values["nbest"] > (values["beam"] or 5):
        raise UsageError(f"--nbest {values['nbest']} needs a --beam at least as wide")
    if values["scores"] and (values["json"] or values["nbest"] is not None):
        raise UsageError("--json and --nbest print scores anyway: leave out --scores")
    if values["score_target"] is not None:
        for one in (*SEARCHES, "max_ratio", "sample", "replace_unk", "scores", "plot"):
            if one in typed:
                raise UsageError(f"--score-target looks for no translation: leave out {name(one)}")


def drawing(temperature: float, top_k: int | None, top_p: float | None) -> Any:
    """How a sample is drawn, given its noise. Errors: UsageError."""
    from seqlm.decoding.choose import chooser
    from seqlm.decoding.noise import Noise

    choose = partial(chooser, temperature, top_k, top_p)
    choose(noise=Noise.of(0, []))  # refuses what is out of range before anything is loaded
    return choose


# ------------------------------------------------------------------------------------------- lines


def lines_of(sources: list[str], errors: str, at_once: bool = False) -> Iterator[str]:
    """The lines of all `sources`; of standard input, `at_once` each as soon as it is there.

    Errors: DataError.
    """
    from seqlm.text.reading import STDIN, blocks, decodable

    if at_once and sources == [STDIN]:
        offset = 0
        for number, line in enumerate(sys.stdin.buffer, 1):
            yield decodable(line, "<stdin>", number, offset, errors).decode().rstrip("\r\n")
            offset += len(line)
        return
    rest = ""
    for block in blocks(sources, errors):
        *whole, rest = (rest + block.data.decode()).split("\n")  # of a file, the last rest is ""
        yield from whole


def pairs(lines: Iterator[str], targets: Iterator[str], name: str) -> Iterator[tuple[str, str]]:
    """Errors: DataError where there are not as many lines of both."""
    for number, line in enumerate(lines, 1):
        target = next(targets, None)
        if target is None:
            raise DataError(f"{name} ends after {number - 1} lines, the source goes on")
        yield line, target
    if next(targets, None) is not None:
        raise DataError(f"{name} goes on where the source ends")


# ----------------------------------------------------------------------------------------- records


def formatted(
    number: int, each: Translation, nbest: bool, scores: bool, align: bool, json: bool
) -> Iterator[str]:
    """What is printed of one line."""
    if json:
        found = [as_object(each, one, align) for one in each.found]
        yield dumped({"line": number + 1, "source": each.source, "found": found})
        return
    for one in each.found if nbest else each.found[:1]:
        linked = [pharaoh(one.alignment, each.source_pieces, one.pieces)] if align else []
        if nbest:
            features = f"LogProb= {one.log_prob:.6f} Length= {len(one.tokens)}"
            yield " ||| ".join([str(number), one.text, features, f"{one.score:.6f}", *linked])
        elif scores:
            yield "\t".join([f"{one.score:.6f}", one.text, *linked])
        else:
            yield " ||| ".join([one.text, *linked])


def as_object(each: Translation, one: Translated, align: bool) -> dict[str, Any]:
    linked = {"align": pharaoh(one.alignment, each.source_pieces, one.pieces)} if align else {}
    tokens = len(one.tokens)
    return {
        "text": one.text,
        "log_prob": one.log_prob,
        "score": one.score,
        "tokens": tokens,
    } | linked


def scored(
    opened: Opened,
    lines: Iterator[str],
    target: str,
    errors: str,
    batch_size: int,
    align: bool,
    json: bool,
) -> Iterator[str]:
    """Of each pair, the log-probability of the target and its tokens, `</s>` included."""
    from seqlm.decoding.translating import score_targets

    together = pairs(lines, lines_of([target], errors), target)
    for each in score_targets(*opened, together, batch_size, align):
        log_prob = sum(each.log_probs)
        linked = pharaoh(each.alignment, each.source_pieces, each.pieces) if align else ""
        if json:
            yield dumped(scored_object(each, log_prob) | ({"align": linked} if align else {}))
        else:
            yield "\t".join(
                [f"{log_prob:.6f}", str(len(each.tokens)), *([linked] if align else [])]
            )


def scored_object(each: Scored, log_prob: float) -> dict[str, Any]:
    tokens = [*(piece.decode(errors="replace") for piece in each.pieces[:-1]), "</s>"]
    return {
        "source": each.source,
        "target": each.target,
        "log_prob": log_prob,
        "tokens": tokens,
        "log_probs": each.log_probs,
    }


def pharaoh(attention: Tensor | None, source: list[bytes], target: list[bytes]) -> str:
    """'0-0 1-2': word of the source, word of the target."""
    from seqlm.decoding.alignment import links

    return (
        ""
        if attention is None
        else " ".join(f"{i}-{j}" for i, j in links(attention, source, target))
    )


def dumped(record: dict[str, Any]) -> str:
    return json_module.dumps(record, ensure_ascii=False)


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
    from seqlm.evaluation import pictures

    done = False
    for each in found:
        best = each.found[0]
        if not done and best.alignment is not None:
            done = True
            sides = pictures.labels(each.source_pieces), pictures.labels(best.pieces)
            if place == "-":
                colour = console.is_tty(sys.stderr)
                console.tell(pictures.in_characters(best.alignment, *sides, colour=colour))
            else:
                pictures.draw(place, best.alignment, *sides)
                console.say(f"{place}: {each.source}")
        yield each
