"""`seqlm recipes`: the recipes that ship with seqlm."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.options.help_page import Example, Subcommand
from seqlm.cli.records import RecordWriter

EXAMPLES = [
    Example("List the recipes", "seqlm recipes"),
    Example("Print the settings of one", "seqlm recipes show char-lstm"),
    Example(
        "Train by a recipe, with one setting changed",
        "seqlm train --config char-lstm --width 128 corpora/prose.train.txt",
    ),
]


def recipe_names() -> list[str]:
    from seqlm.training.config.recipe import recipe_names

    return recipe_names()


def make_command() -> Callable[..., Any]:
    return print_recipes


def print_recipes(
    context: typer.Context,
    json: Annotated[bool, console.JSON_LINES] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """List the recipes, each with what it is for; train --config takes one."""
    if context.invoked_subcommand is not None:
        return
    from seqlm.training.config.recipe import RecipeSummary, list_recipes

    table = RecordWriter(RecipeSummary._fields, json)
    for summary in list_recipes():
        table.write(summary)


def show(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Name of a recipe.",
            metavar="RECIPE",
            autocompletion=recipe_names,
            rich_help_panel="Input",
        ),
    ],
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Print a recipe: a YAML file, to be copied and changed for one's own."""
    from seqlm.training.config.recipe import recipe_text

    sys.stdout.write(recipe_text(recipe))


SUBCOMMANDS = {"show": Subcommand(show, "Print a recipe.")}
