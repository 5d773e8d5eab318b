"""`seqlm sample`: text from a language model, or from several mixed into one."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options import mixture_options
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.mixture_options import MODELS, MixtureOptions
from seqlm.cli.options.option_groups import in_sections, make_group, parameters_of
from seqlm.cli.options.setting_options import with_parameters
from seqlm.cli.prompts import read_prompts
from seqlm.decoding.decoding_settings import GenerationSettings
from seqlm.errors import UsageError
from seqlm.settings import setting, settings_of

if TYPE_CHECKING:
    from seqlm.models.verbs import LanguageVerbs
    from seqlm.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class SampleOptions(MixtureOptions):
    """The options beside those of GenerationSettings."""

    model: Annotated[list[str] | None, MODELS] = None
    prompt: str = setting(
        "", "Text to continue; - reads prompts from standard input, one a line.",
        metavar="TEXT", section="Input",
    )  # fmt: skip
    scores: Annotated[bool, console.SCORES] = False
    json: Annotated[
        bool, flag("--json", help="Print a JSON object for each prompt.", rich_help_panel="Output")
    ] = False
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
    device = console.set_up_for(request.models, options.device, options.num_threads, float64=True)
    settings = console.with_seed(settings, settings.beam is None and settings.temperature > 0)
    models = request.load(device)
    mixture_options.say_equal_weights(request, models)
    model, tokenizer = models.as_language_model(), models.tokenizer
    prompts = read_prompts(options.prompt, tokenizer, "prompt")
    if settings.beam is not None:
        print_continuations(model, tokenizer, prompts, settings, options)
    elif options.json:
        print_objects(model, tokenizer, prompts, settings)
    else:
        print_samples(model, tokenizer, prompts, settings, options.scores)


def check_combination(values: Mapping[str, Any], typed: set[str]) -> None:
    """Errors: UsageError where an option that was `typed` is for sampling beside a search, or for a
    search beside sampling, or prints what another prints in any case."""
    searches = values["beam"] is not None
    for name, option in SETTINGS.items():
        if name in typed and searches and option.section == "Sampling":
            raise UsageError(f"`beam` searches and does not draw: leave out `{name}`")
        if name in typed and not searches and option.section == "Search":
            raise UsageError(f"`{name}` is for a search: it needs `beam`")
    if values["scores"] and values["json"]:
        raise UsageError("`json` prints scores in any case: leave out `scores`")


def print_samples(
    model: LanguageVerbs,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    settings: GenerationSettings,
    scores: bool,
) -> None:
    """Prints samples as they are generated; with `scores`, each when it has ended."""
    from seqlm.decoding import text_generation

    text = ""
    for piece in text_generation.sample(model, tokenizer, prompts, settings):
        text += piece.text
        if piece.done and scores:
            text = f"{piece.log_prob:.6f}\t{text}"
        if piece.done or not scores:
            sys.stdout.write(text)
            sys.stdout.flush()
            text = ""


def print_objects(
    model: LanguageVerbs,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    settings: GenerationSettings,
) -> None:
    """Prints an object for each prompt, of any number of samples: each is written when it ends."""
    from seqlm.decoding import text_generation

    text, count = "", settings.num_samples
    for piece in text_generation.sample(model, tokenizer, prompts, settings):
        text += piece.text
        if not piece.done:
            continue
        place = piece.number % count
        if place == 0:
            head = to_json({"prompt": piece.prompt, "seed": settings.seed, "samples": []})
            sys.stdout.write(head.removesuffix("]}"))
        sys.stdout.write(to_json({"text": text, "log_prob": piece.log_prob}))
        sys.stdout.write(", " if place < count - 1 else "]}\n")
        sys.stdout.flush()
        text = ""


def print_continuations(
    model: LanguageVerbs,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    settings: GenerationSettings,
    options: SampleOptions,
) -> None:
    from seqlm.decoding.text_generation import search_continuations

    for prompt, found in search_continuations(model, tokenizer, prompts, settings):
        if options.json:
            objects = [continuation._asdict() for continuation in found]
            sys.stdout.write(to_json({"prompt": prompt, "found": objects}) + "\n")
        else:
            for text, _, score in found:
                sys.stdout.write(f"{score:.6f}\t{text}" if options.scores else text)
        sys.stdout.flush()


def to_json(record: Mapping[str, Any]) -> str:
    return json_module.dumps(record, ensure_ascii=False)
