"""Options in groups: the fields of a dataclass become the parameters of a command.

A field that is a setting (`seqlm.settings`) makes its own option, and any other field has an
`Annotated` type that holds one, as Typer reads it. The command takes the values of all
its options as **values, and makes each group from them.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from seqlm.cli.options.setting_options import parameter_of
from seqlm.settings import settings_of

T = TypeVar("T")

HELP_SECTIONS = (
    "Input", "Model", "Context", "Metrics", "Mixture", "Adaptation", "Sampling", "Search",
    "Repetition", "Translation", "Combination", "Output", "Machine",
)  # fmt: skip
"""The sections of `--help`, in their order."""


def parameters_of(
    group: type, short_flags: Mapping[str, str] | None = None
) -> list[inspect.Parameter]:
    """The parameters of a command for the fields of `group`; a setting that is not given is None.

    `short_flags` has short flags for settings, as {"seed": "-s"}.
    """
    settings, short_flags = settings_of(group), short_flags or {}
    hints = typing.get_type_hints(group, include_extras=True)
    parameters = []
    for field in fields(group):
        if field.name in settings:
            more = [short_flags[field.name]] if field.name in short_flags else []
            parameters.append(parameter_of(settings[field.name], *more))
        elif typing.get_origin(hints[field.name]) is typing.Annotated:
            parameters.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=hints[field.name],
                )
            )
    return parameters


def in_sections(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    """The parameters in the order of HELP_SECTIONS; those of one section stay in their order."""

    def section(parameter: inspect.Parameter) -> int:
        (option,) = parameter.annotation.__metadata__
        return HELP_SECTIONS.index(option.rich_help_panel)

    return sorted(parameters, key=section)


def make_group(group: type[T], values: Mapping[str, Any]) -> T:
    """The group from the values of a command's options; where a value is None it has its default.

    Errors: UsageError where a group does not allow a value.
    """
    names = {field.name for field in fields(group)}  # type: ignore[arg-type]
    return group(**{name: x for name, x in values.items() if name in names and x is not None})
