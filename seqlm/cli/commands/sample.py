"""`seqlm sample`: text from a language model, or from several mixed into one."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.options import mixture_options
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.mixture_options import MODELS, MixtureOptions
from seqlm.cli.options.option_groups import in_sections, make_group, parameters_of
from seqlm.cli.options.setting_options import with_parameters
from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.errors import UsageError
from seqlm.settings import setting, settings_of

if TYPE_CHECKING:
    from seqlm.models.base import LanguageModel
    from seqlm.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class SampleOptions(MixtureOptions):
    """The options beside those of GenerationSettings."""

    model: Annotated[list[str] | None, MODELS] = None
    prompt: str = setting(
        "", "Text to continue; - reads prompts from standard input, one a line.",
        metavar="TEXT", section="Input",
    )  # fmt: skip
    json: Annotated[bool, console.JSON] = False
    quiet: Annotated[bool, console.QUIET] = False
    debug: Annotated[bool, console.DEBUG] = False
    device: Annotated[str | None, console.DEVICE] = None
    num_threads: Annotated[int | None, console.THREADS] = None


SETTINGS = settings_of(GenerationSettings)
PARAMETERS = in_sections(
    [
        *parameters_of(GenerationSettings, {"num_samples": "-n", "temperature": "-t"}),
        *parameters_of(SampleOptions),
    ]
)


EXAMPLES = [
    Example("Print three samples of a model", "seqlm sample -m trigram -n 3 --temperature 0.8"),
    Example(
        "Continue a text, with the likeliest tokens only",
        "seqlm sample -m lstm --prompt 'the old' --top-p 0.9",
    ),
    Example(
        "Find the three most probable continuations",
        "seqlm sample -m lstm --prompt 'the old' --beam 8 --nbest 3",
    ),
]


def make_command() -> Callable[..., Any]:
    return with_parameters(PARAMETERS)(sample)


def sample(flags: typer.Context, **values: Any) -> None:
    """Print samples of a language model, or of a mixture of several, one a line, as they are
    generated. With --beam, search for the most probable continuations instead.
    """
    options = make_group(SampleOptions, values)
    check_combination(values, console.typed_parameters(flags))
    settings = make_group(GenerationSettings, values)
    request = mixture_options.request_mixture(options.model, options)
    if options.prompt == "-" and sys.stdin.isatty():
        console.say("type one prompt per line; Ctrl-D ends")
    draws = settings.beam is None and settings.temperature > 0
    if draws and values["seed"] is None:
        console.say(f"seed: {settings.seed} (the default; use --seed for other samples)")
    device = console.set_up_torch(options.device, options.num_threads, float64=True)

    from seqlm.text.reading import read_lines

    models = request.load(device)
    mixture_options.say_equal_weights(request, models)
    model, tokenizer = models.as_language_model(), models.tokenizer
    prompts: Iterable[str] = (
        read_lines(["-"], errors="replace") if options.prompt == "-" else [options.prompt]
    )
    if settings.beam is not None:
        print_continuations(model, tokenizer, prompts, settings, options.json)
    else:
        print_samples(model, tokenizer, prompts, settings, options.json)


def check_combination(values: Mapping[str, Any], typed: set[str]) -> None:
    """Errors: UsageError where an option that was `typed` is for sampling beside a search, or for a
    search beside sampling."""
    searches = values["beam"] is not None
    for name, option in SETTINGS.items():
        if name in typed and searches and option.section == "Sampling":
            raise UsageError(f"`beam` searches and does not draw: leave out `{name}`")
        if name in typed and not searches and option.section == "Search":
            raise UsageError(f"`{name}` is for a search: it needs `beam`")


def print_samples(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    settings: GenerationSettings,
    json: bool,
) -> None:
    from seqlm.decoding import text_generation

    if json:
        samples = list(text_generation.sample_texts(model, tokenizer, prompts, settings))
        print_json({"samples": samples, "seed": settings.seed})
        return
    for piece in text_generation.sample(model, tokenizer, prompts, settings):
        sys.stdout.write(piece.text)
        sys.stdout.flush()


def print_continuations(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    settings: GenerationSettings,
    json: bool,
) -> None:
    from seqlm.decoding.text_generation import search_continuations

    ranked = search_continuations(model, tokenizer, prompts, settings)
    continuations = (continuation for nbest in ranked for continuation in nbest)
    if json:
        print_json({"found": [continuation._asdict() for continuation in continuations]})
        return
    for continuation in continuations:
        sys.stdout.write(continuation.text)
        sys.stdout.flush()


def print_json(record: Mapping[str, Any]) -> None:
    print(json_module.dumps(record, ensure_ascii=False))
