"""`seqlm translate`: one line out per line in."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console, translation_output
from seqlm.cli.console import flag
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.mixture_options import model_option
from seqlm.cli.options.option_groups import in_sections, make_group, parameters_of
from seqlm.cli.options.setting_options import with_parameters
from seqlm.decoding.decoding_settings import TranslationSettings
from seqlm.errors import DataError, UsageError
from seqlm.settings import setting, settings_of

if TYPE_CHECKING:
    from seqlm.decoding.translation.translation_search import TranslatedLine
    from seqlm.runs.loading.load_translators import LoadedTranslator


@dataclass(frozen=True)
class TranslateOptions:
    """The options beside those of TranslationSettings."""

    source: Annotated[
        list[str] | None,
        typer.Argument(
            help="Text files to translate, one sentence a line, compressed or not; - is standard"
            " input. [default: -]",
            metavar="SOURCE",
            rich_help_panel="Input",
        ),
    ] = None
    score_target: str | None = setting(
        None, "Score these translations instead of translating: print the log-probability and the"
        " number of tokens of each line of FILE.", metavar="FILE", section="Input",
    )  # fmt: skip
    errors: Annotated[str, console.ERRORS] = "strict"
    model: Annotated[
        list[str] | None,
        model_option("a run, or a checkpoint of it. Several translate as an ensemble."),
    ] = None
    scores: Annotated[bool, console.SCORES] = False
    plot: str | None = setting(
        None, "Plot the attention of the first sentence to FILE (.png, .svg or .pdf), or with"
        " characters to stderr (-).", metavar="FILE", section="Output",
    )  # fmt: skip
    json: Annotated[
        bool, flag("--json", help="Print one JSON object a line.", rich_help_panel="Output")
    ] = False
    quiet: Annotated[bool, console.QUIET] = False
    debug: Annotated[bool, console.DEBUG] = False
    batch_size: int = setting(
        64, "Number of lines to compute together; it changes no result.",
        low=1, section="Machine",
    )  # fmt: skip
    buffer: int | None = setting(
        None, "Number of lines to read before the first is translated; it changes no translation.",
        none_text="32 batches; 1 on a terminal and with `batch_size=1`", low=1, section="Machine",
    )  # fmt: skip
    device: Annotated[str | None, console.DEVICE] = None
    num_threads: Annotated[int | None, console.THREADS] = None


SETTINGS = settings_of(TranslationSettings)
PARAMETERS = in_sections(
    [*parameters_of(TranslationSettings, {"temperature": "-t"}), *parameters_of(TranslateOptions)]
)


EXAMPLES = [
    Example(
        "Translate the lines of a pipe",
        "head -n 3 corpora/courtyard.test.en | seqlm translate -m french",
    ),
    Example(
        "Print the five best translations of a sentence, with their scores",
        "echo 'the green mouse sleeps .' | seqlm translate -m french --nbest 5",
    ),
    Example(
        "Score given translations",
        "seqlm translate -m french corpora/courtyard.test.en --score-target"
        " corpora/courtyard.test.fr",
    ),
]


def make_command() -> Callable[..., Any]:
    return with_parameters(PARAMETERS)(translate)


def translate(flags: typer.Context, **values: Any) -> None:
    """Translate SOURCE, or standard input. Each line is translated to one line, in order.

    A beam search finds the translation Y with the highest log p(Y) / |Y|^length-penalty. Lines are
    read ahead and sorted by length, so that a slow pipe waits for its translations; on a terminal,
    and with --batch-size 1, each line is translated at once.
    """
    options = make_group(TranslateOptions, values)
    console.check_choice("errors", options.errors, ("strict", "replace"))
    check_combination(values, console.typed_parameters(flags))
    sources = options.source or ["-"]
    files = sources if options.score_target is None else [*sources, options.score_target]
    console.check_stdin(files)
    align = bool(values["align"])
    needs_attention = align or options.plot is not None
    settings = make_group(TranslationSettings, {**values, "align": needs_attention})
    if options.plot not in (None, "-"):
        from seqlm.decoding.translation.attention_plot import check_plot_path

        check_plot_path(options.plot)
    from seqlm.text import reading

    settings = console.with_seed(settings, settings.sample)
    reading.check_files(files)
    paths = console.locate_models(options.model, "translation")
    device = console.set_up_torch(options.device, options.num_threads, float64=True)

    from seqlm.runs.loading.load_translators import load_translators

    translator = load_translators(paths, device)
    buffer = options.buffer
    if "-" in sources and sys.stdin.isatty():
        console.say("type one sentence per line; Ctrl-D ends")
        buffer = buffer or 1
    lines = reading.read_lines(sources, options.errors, reading.LONGEST_LINE)
    if options.score_target is not None:
        targets = reading.read_lines([options.score_target], options.errors, reading.LONGEST_LINE)
        pairs = pair_lines(lines, targets, options.score_target)
        records = score_records(translator, pairs, options, settings, buffer, align)
    else:
        nbest = values["nbest"] is not None
        records = translation_records(translator, lines, options, settings, buffer, align, nbest)
    for record in records:
        sys.stdout.write(record + "\n")
        sys.stdout.flush()


def check_combination(values: Mapping[str, Any], typed: set[str]) -> None:
    """Errors: UsageError where options that were `typed` do not go together."""
    for name, option in SETTINGS.items():
        if name == "sample" or name not in typed:
            continue
        if values["sample"] and option.section == "Search":
            raise UsageError(f"`{name}` has no effect with `sample`; leave out one of the two")
        if not values["sample"] and option.section == "Sampling":
            raise UsageError(f"`{name}` has no effect without `sample`")
    if values["scores"] and (values["json"] or values["nbest"] is not None):
        raise UsageError("`json` and `nbest` print scores in any case: leave out `scores`")
    if values["score_target"] is not None:
        for name in (*SETTINGS, "scores", "plot"):
            if name in typed and name not in ("align", "max_input_length"):
                raise UsageError(f"`score_target` cannot be combined with `{name}`")


def pair_lines(
    lines: Iterator[str], targets: Iterator[str], name: str
) -> Iterator[tuple[str, str]]:
    """The lines of a source and its translation `name`. Errors: DataError where their numbers
    differ."""
    for number, line in enumerate(lines, 1):
        target = next(targets, None)
        if target is None:
            raise DataError(f"{name} ends after {number - 1} lines, the source goes on")
        yield line, target
    if next(targets, None) is not None:
        raise DataError(f"{name} goes on where the source ends")


# ------------------------------------------------------------------------------- what is printed


def score_records(
    translator: LoadedTranslator,
    pairs: Iterable[tuple[str, str]],
    options: TranslateOptions,
    settings: TranslationSettings,
    buffer: int | None,
    align: bool,
) -> Iterator[str]:
    """The lines to print for given translations."""
    from seqlm.decoding.translation.forced_decoding import score_targets

    scored = score_targets(
        *translator, pairs, options.batch_size, align, buffer, settings.max_input_length
    )
    return (translation_output.format_scored_pair(pair, align, options.json) for pair in scored)


def translation_records(
    translator: LoadedTranslator,
    lines: Iterable[str],
    options: TranslateOptions,
    settings: TranslationSettings,
    buffer: int | None,
    align: bool,
    nbest: bool,
) -> Iterator[str]:
    """The lines to print for translations."""
    from seqlm.decoding.translation import translation_search

    translated = translation_search.translate(
        *translator, lines, settings, options.batch_size, buffer
    )
    if options.plot is not None:
        translated = with_plot(translated, options.plot)
    for number, line in enumerate(with_report(translated)):
        yield from translation_output.format_line(
            number, line, nbest, options.scores, align, options.json
        )


def with_report(translated: Iterable[TranslatedLine]) -> Iterator[TranslatedLine]:
    """Passes translations through; reports speed and truncated outputs at the end."""
    started, lines, truncated = time.perf_counter(), 0, 0
    for line in translated:
        lines += 1
        truncated += line.best.is_truncated
        yield line
    seconds = time.perf_counter() - started
    console.say(f"{lines:,} lines in {seconds:.1f} s ({lines / max(seconds, 1e-9):.1f} a second)")
    if truncated:
        console.say(f"{truncated:,} were cut at their limit; --max-length-ratio allows longer ones")


def with_plot(translated: Iterable[TranslatedLine], path: str) -> Iterator[TranslatedLine]:
    """Passes translations through; plots the attention of the first line that is not blank."""
    from seqlm.decoding.translation.attention_plot import text_plot, token_labels, write_plot

    plotted = False
    for line in translated:
        best = line.best
        if not plotted and best.alignment is not None:
            plotted = True
            source, target = token_labels(line.source.pieces), token_labels(best.pieces)
            if path == "-":
                color = console.takes_color(sys.stderr)
                console.print_on_stderr(text_plot(best.alignment, source, target, color=color))
            else:
                write_plot(path, best.alignment, source, target)
                console.say(f"{path}: {line.source.text}")
        yield line
