"""`seqlm eval`: the metrics of a model on a text.

A language model, or a mixture of several, is scored on TEXT (`eval_language_model.py`), a tagger or
a classifier on labeled TEXT (`eval_labels.py`), word vectors on analogies or pairs of words
(`eval_vectors.py`), and a translator on --source and --target (`eval_translation.py`). An option
belongs to the task whose file has it, and the options of
`EvalOptions` belong to all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer

from seqlm.cli import console, eval_labels, eval_language_model, eval_translation, eval_vectors
from seqlm.cli.options.eval_options import EvalOptions
from seqlm.cli.options.help_page import Example
from seqlm.cli.options.option_groups import in_sections, make_group, parameters_of
from seqlm.cli.options.setting_options import with_parameters
from seqlm.errors import ModelError, SeqlmError, UsageError

if TYPE_CHECKING:
    from seqlm.runs.loading.locate import ModelPath

PARAMETERS = in_sections(
    [
        *eval_language_model.PARAMETERS,
        *eval_labels.PARAMETERS,
        *eval_vectors.PARAMETERS,
        *eval_translation.PARAMETERS,
        *parameters_of(EvalOptions),
    ]
)
SHARED = ("text", "text_column")
"""The options that labelers share with language models."""

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
    with --source and --target, print those of a translator, or of an ensemble. A tagger or a
    classifier is compared with the labels in TEXT; several of them also with the first. Word
    vectors are tried on analogies, sections of four words a line, or on pairs of words with their
    similarity.

    One metric is printed as a number alone, and several with a line for each. A signature on stderr
    says what the figures depend on: two can be compared where all but the model agrees. Shares,
    such as accuracy and F1, are printed from 0 to 1, and in percent on a terminal and on stderr.
    """
    first = None if values["source"] or values["target"] else locate_first(values["model"])
    task = choose_task(values, console.typed_parameters(flags), first)
    if first is not None:  # so that it is looked up once
        values = {**values, "model": [first, *(values["model"] or [])[1:]]}
    common = make_group(EvalOptions, values)
    console.check_choice("errors", common.errors, ("strict", "replace"))
    if task == "translation":
        eval_translation.evaluate(common, values)
    elif task in LABELING:
        eval_labels.evaluate(task, common, values)
    elif task == "vectors":
        eval_vectors.evaluate(common, values)
    else:
        from seqlm.runs.loading.locate import WrongTask

        try:
            eval_language_model.evaluate(common, values)
        except WrongTask as error:
            raise ModelError(f"{error}: a translator needs `source` and `target`") from None


LABELING = {"tagging": "taggers", "classification": "classifiers"}
"""The tasks of labelers, and what those of each are called."""


def choose_task(values: Mapping[str, Any], typed: set[str], first: ModelPath | None) -> str:
    """'translation' where a source or a target is named, else the task of the `first` model if that
    is a labeler or word vectors, else 'lm'.

    Errors: UsageError where one of them is missing, or an option that was `typed` is for another
    task.
    """
    if values["source"] or values["target"]:
        for name in ("source", "target"):
            if not values[name]:
                raise UsageError(f"a translator is evaluated on two texts: name `{name}` as well")
        instead = "leave it out, or `source` and `target`"
        refuse(eval_language_model, typed, f"is for language models: {instead}")
        refuse(eval_labels, typed, f"is for taggers and classifiers: {instead}")
        refuse(eval_vectors, typed, f"is for word vectors: {instead}")
        return "translation"
    refuse(eval_translation, typed, "is for translators: it needs `source` and `target`")
    task = first.config.task if first else "lm"
    if task == "vectors":
        refuse(eval_language_model, typed - {"text"}, "is for language models, and not for vectors")
        refuse(eval_labels, typed, "is for taggers and classifiers, and not for vectors")
        return task
    refuse(eval_vectors, typed, "is for word vectors: name them by `model`")
    if task in LABELING:
        typed = typed - {*SHARED}
        refuse(eval_language_model, typed, f"is for language models, and not for {LABELING[task]}")
        return task
    refuse(eval_labels, typed, "is for taggers and classifiers: name one by `model`")
    return "lm"


def refuse(module: ModuleType, typed: set[str], why: str) -> None:
    """Errors: UsageError where an option of `module` was typed."""
    for parameter in module.PARAMETERS:
        if parameter.name in typed:
            name = "TEXT" if parameter.name == "text" else f"`{parameter.name}`"
            raise UsageError(f"{name} {why}")


def locate_first(models: list[str] | None) -> ModelPath | None:
    """The first of `models`, or the latest run; None where there is none, of which
    `eval_language_model` says what is wrong."""
    from seqlm.runs.loading.locate import locate

    try:
        return locate(models[0] if models else None)
    except SeqlmError:
        return None
