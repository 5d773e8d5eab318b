"""`seqlm eval`: the metrics of a model on a text.

A language model, or a mixture of several, is scored on TEXT (`eval_language_model.py`), and a
translator on --source and --target (`eval_translation.py`). An option belongs to the task whose
file has it, and the options of `EvalOptions` belong to both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from seqlm.cli import console, eval_language_model, eval_translation
from seqlm.cli.options.eval_options import EvalOptions
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.option_groups import in_sections, make_group, parameters_of
from seqlm.cli.options.setting_options import with_parameters
from seqlm.errors import ModelError, UsageError

PARAMETERS = in_sections(
    [
        *eval_language_model.PARAMETERS,
        *eval_translation.PARAMETERS,
        *parameters_of(EvalOptions),
    ]
)


EXAMPLES = [
    Example(
        "Print the perplexity of a text",
        "seqlm eval -m trigram corpora/prose.test.txt",
    ),
    Example(
        "Mix the model with a cache, with weights that are tuned on held-out text",
        "seqlm eval -m trigram --cache 500 --tune corpora/prose.valid.txt corpora/prose.test.txt",
    ),
    Example(
        "Print the surprisal of each token of a sentence",
        "echo 'the old man came in .' | seqlm eval -m trigram --per-token",
    ),
    Example(
        "Print the surprisal of each word under two models",
        "seqlm eval -m trigram -m lstm --each --per-word corpora/prose.test.txt",
    ),
    Example(
        "Print BLEU and chrF of a translator",
        "seqlm eval -m french --source corpora/courtyard.test.en --target"
        " corpora/courtyard.test.fr",
    ),
]


def make_command() -> Callable[..., Any]:
    return with_parameters(PARAMETERS)(evaluate)


def evaluate(flags: typer.Context, **values: Any) -> None:
    """Print the metrics of a language model, or of a mixture of several, on TEXT or standard input;
    with --source and --target, print those of a translator, or of an ensemble.

    One metric is printed as a number alone, and several with a line for each. A signature on stderr
    says what the figures depend on: two can be compared where all but the model agrees.
    """
    common = make_group(EvalOptions, values)
    console.check_choice("errors", common.errors, ("strict", "replace"))
    if choose_task(values, console.typed_parameters(flags)) == "translation":
        eval_translation.evaluate(common, values)
    else:
        from seqlm.runs.locate import WrongTask

        try:
            eval_language_model.evaluate(common, values)
        except WrongTask as error:
            raise ModelError(f"{error}: a translator needs `source` and `target`") from None


def choose_task(values: dict[str, Any], typed: set[str]) -> str:
    """'translation' where a source or a target is named, else 'lm'.

    Errors: UsageError where one of them is missing, or an option that was `typed` is for the other
    task.
    """
    if not values["source"] and not values["target"]:
        for parameter in eval_translation.PARAMETERS:
            if parameter.name in typed:
                raise UsageError(
                    f"`{parameter.name}` is for translators: it needs `source` and `target`"
                )
        return "lm"
    for name in ("source", "target"):
        if not values[name]:
            raise UsageError(f"a translator is evaluated on two texts: name `{name}` as well")
    for parameter in eval_language_model.PARAMETERS:
        if parameter.name in typed:
            name = "TEXT" if parameter.name == "text" else f"`{parameter.name}`"
            raise UsageError(
                f"{name} is for language models: leave it out, or `source` and `target`"
            )
    return "translation"
