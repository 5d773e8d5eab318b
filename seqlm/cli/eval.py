"""`seqlm eval`: the metrics of a model on a text.

A language model, or a mixture of several, is scored on TEXT (`eval_language_model.py`), and a
translator on --source and --target (`eval_translation.py`). An option belongs to the task whose
file has it, and the options of `EvalOptions` belong to both.
"""

from __future__ import annotations

from typing import Any

import typer

from seqlm.cli import console, eval_language_model, eval_translation
from seqlm.cli.options.eval_options import EvalOptions
from seqlm.cli.options.option_groups import in_sections, make_group, parameters_of
from seqlm.cli.options.setting_options import takes
from seqlm.errors import UsageError

PARAMETERS = in_sections(
    [
        *eval_language_model.PARAMETERS,
        *eval_translation.PARAMETERS,
        *parameters_of(EvalOptions),
    ]
)


@takes(PARAMETERS)
def evaluate(flags: typer.Context, **values: Any) -> None:
    """Print the metrics of a language model, or of a mixture of several, on TEXT; or those of a
    translator on --source and --target.

    One metric prints its number alone, several a line each. The signature, on stderr, names what
    the figures depend on: only figures of equal signatures can be compared.
    """
    common = make_group(EvalOptions, values)
    console.check_choice("errors", common.errors, ("strict", "replace"))
    if choose_task(values, console.typed(flags)) == "translation":
        eval_translation.evaluate(common, values)
    else:
        eval_language_model.evaluate(common, values)


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
