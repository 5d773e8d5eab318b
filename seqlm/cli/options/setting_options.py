"""Flags made from settings: each `Setting` becomes a parameter of a command.

The flag is the setting's name with - for _, a pair where it is switched on and off; the variable is
SEQLM_<NAME>. A value is parsed and checked in one place, `seqlm.settings`, for flags and variables
alike, and an error names the one that the user wrote.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Annotated, Any

import typer

from seqlm.cli.console import flag
from seqlm.cli.options.spelling import flag_of, written_as
from seqlm.settings import Setting, check_value, parse_value


def help_of(
    setting: Setting, architectures: str = "", default: str | None = None, needs: str | None = None
) -> str:
    """The line of `--help`: what the setting is, what it is for, its range and its default.

    Settings are marked in it (errors.py); the command writes flags for them.
    """
    default = setting.default_text() if default is None else default
    notes = [
        architectures,
        setting.needs_text() if needs is None else needs,
        setting.range_text(brief=True),
        f"default: {default}" if default else "",
    ]
    note = "; ".join(filter(None, notes))
    return f"{setting.help} [{note}]" if note else setting.help


def parameter_of(
    setting: Setting, *names: str, help: str | None = None, check: bool = True
) -> inspect.Parameter:
    """The parameter of a command that takes `setting`; None where it is not given.

    `names` are other flags for it, as "-n". Without `check` only the type of a value is checked, as
    the command checks it together with those of a file.
    """
    if setting.kind is bool:
        kind: type = bool
        more: dict[str, Any] = {}
        names = (f"{flag_of(setting.name)}/{flag_of(setting.negative_name)}", *names)
    else:
        kind = str
        more = {"metavar": setting.metavar, "callback": value_parser(setting, check)}
        names = (flag_of(setting.name), *names)
    if setting.choices:
        more["autocompletion"] = lambda: list(setting.choices)
    help = help_of(setting) if help is None else help
    option = flag(*names, help=help, rich_help_panel=setting.section or None, **more)
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(
        setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def value_parser(
    setting: Setting, check: bool
) -> Callable[[typer.Context, typer.CallbackParam, str | None], Any]:
    """A callback that makes the value of a setting from the text of a flag or variable."""

    def parse(context: typer.Context, param: typer.CallbackParam, text: str | None) -> Any:
        if text is None or context.resilient_parsing:
            return None
        name = written_as(setting.name, context)
        value = parse_value(setting, text, name)
        return check_value(setting, value, name) if check else value

    # As objects: Typer would evaluate the texts that they are here anew for each of fifty options.
    parse.__annotations__ = PARSE_ANNOTATIONS
    return parse


PARSE_ANNOTATIONS = {"context": typer.Context, "param": typer.CallbackParam, "text": str | None}


def with_parameters(
    parameters: Iterable[inspect.Parameter],
) -> Callable[[Callable], Callable[..., Any]]:
    """Gives a command that ends in **settings these parameters instead of that one."""

    def decorate(command: Callable) -> Callable[..., Any]:
        @wraps(command)
        def wrapper(**values: Any) -> Any:
            return command(**values)

        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        together = [*own, *parameters]
        typed: Any = wrapper  # Typer reads the parameters of a command from these two
        typed.__signature__ = signature.replace(parameters=together)
        typed.__annotations__ = {p.name: p.annotation for p in together}
        return wrapper

    return decorate
