"""Recipes: YAML files of settings, those that ship with the package and one's own.

A recipe is a mapping from names of settings (with - or _) to values. The config.yaml of a trained
run works as one, too: its settings, its task and architecture, and the options of its model.
"""

from __future__ import annotations

import itertools
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from seqlm.errors import ModelError, UsageError, did_you_mean
from seqlm.runs.run_config import REQUIRED, RunConfig
from seqlm.runs.untrusted.plain_files import parse_yaml, read_bytes
from seqlm.settings import has_effect
from seqlm.training.config.defaults import TRAINING, options_of
from seqlm.training.config.training_settings import ENDS, TrainingSettings, end_of

RECIPES = files("seqlm.training") / "recipes"


def recipe_names() -> list[str]:
    """The recipes that ship with the package."""
    return sorted(
        path.name.removesuffix(".yaml") for path in RECIPES.iterdir() if path.name.endswith(".yaml")
    )


class RecipeSummary(NamedTuple):
    name: str
    task: str
    arch: str
    description: str
    """What the recipe is for, from the comment at its head."""


def list_recipes() -> list[RecipeSummary]:
    """The recipes that ship with the package."""
    summaries = []
    for name in recipe_names():
        settings, lines = read_recipe(name), recipe_text(name).splitlines()
        comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
        description = " ".join(line.removeprefix("#").strip() for line in comment)
        arch = settings.get("arch", TrainingSettings.arch)
        summaries.append(RecipeSummary(name, settings.get("task", "lm"), arch, description))
    return summaries


def recipe_text(name: str) -> str:
    """The file of a recipe that ships with the package. Errors: UsageError where there is none."""
    if name not in recipe_names():
        raise UsageError(f"no recipe {name!r}{did_you_mean(name, recipe_names())}")
    return (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")


def read_recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe by its name, or of a file by its path.

    Errors: UsageError where there is none, or it is not a plain YAML mapping.
    """
    path = Path(name)
    try:
        is_path = path.is_file() or path.is_symlink()
        text = read_bytes(path) if is_path else recipe_text(name).encode()
        recipe = parse_yaml(text, name)
        if isinstance(recipe, dict) and recipe.keys() >= set(REQUIRED):
            return settings_of_run(RunConfig.from_mapping(recipe, path), name)
    except ModelError as error:
        raise UsageError(str(error)) from None
    if not isinstance(recipe, dict):
        raise UsageError(f"{name} is not a mapping from settings to values")
    return {key.replace("-", "_"): value for key, value in recipe.items()}


def settings_of_run(config: RunConfig, name: str) -> dict[str, Any]:
    """What `resolve` takes to train a run once more, as its config.yaml says.

    What has no effect in it is left out, so that its own values are not in the way of others.
    Errors: UsageError where the run was not trained.
    """
    if config.arch == "ngram":
        raise UsageError(f"{name} is of a model that was counted, not trained")
    options = options_of(config.task, config.arch)
    model = {key: value for key, value in config.model.items() if key in options}
    values = {**config.settings, **model}
    known = TRAINING | options
    without_effect = {key for key in known if not has_effect(known[key], values)}
    without_effect |= {*ENDS} - end_of(values).keys()
    return {key: value for key, value in values.items() if key not in without_effect}
