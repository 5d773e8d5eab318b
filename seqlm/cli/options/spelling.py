"""How messages name a setting on the command line: as the user wrote it, or can write it.

The library marks the names of settings in its messages (`seqlm.errors`). Here a mark becomes the
flag of the command, or the environment variable where the value is from there.
"""

from __future__ import annotations

from collections.abc import Set
from functools import partial
from typing import Any

from seqlm.errors import MARKED, SeqlmError, mark, spell_plainly, spell_settings


def flag_of(name: str) -> str:
    """The flag of the setting `name`: --seq-length of seq_length."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """The environment variable of the setting `name`: SEQLM_SEQ_LENGTH of seq_length."""
    return "SEQLM_" + name.upper()


def from_variable(name: str, context: Any) -> bool:
    """Whether a command has the value of the parameter `name` from its environment variable."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "ENVIRONMENT"


def written_as(name: str, context: Any) -> str:
    """The variable of the setting `name` where its value is from there, else its flag."""
    return variable_of(name) if from_variable(name, context) else flag_of(name)


def spell_flag(command: Any, name: str, value: str | None) -> str:
    """The flag of `command` for a setting, and its value. Without such a flag, the name alone."""
    flag = flag_of(name)
    if any(flag in parameter.secondary_opts for parameter in command.params):
        return flag  # it switches a setting off
    parameter = next((option for option in command.params if option.name == name), None)
    if parameter is None or parameter.param_type_name != "option":
        return spell_plainly(name, value)
    if value == "False" and parameter.secondary_opts:
        return str(parameter.secondary_opts[0])
    flag = next(flag for flag in parameter.opts if flag.startswith("--"))
    return flag if value in (None, "True") else f"{flag} {value}"


def spell_as_written(context: Any, name: str, value: str | None) -> str:
    """As `spell_flag`, but the variable where the command has the value from one."""
    has_parameter = any(parameter.name == name for parameter in context.command.params)
    if has_parameter and from_variable(name, context):
        return variable_of(name) if value is None else f"{variable_of(name)}={value}"
    return spell_flag(context.command, name, value)


def spell_error(error: SeqlmError, context: Any) -> None:
    """Gives `error` the message that the command line prints."""
    error.args = (spell_settings(error.marked, partial(spell_as_written, context)),)


def blame_file(error: SeqlmError, file: str, keys: Set[str]) -> None:
    """Names `file` in a message that marks settings which are from there, its `keys`."""

    def spell(name: str, value: str | None) -> str:
        return spell_plainly(name, value) if name in keys else mark(name, value)

    if any(name in keys for name, _ in MARKED.findall(error.marked)):
        error.args = (f"{file}: {spell_settings(error.marked, spell)}",)


def spell_help(text: str, command: Any) -> str:
    """A line of `--help` with flags for its marks."""
    return spell_settings(text, partial(spell_flag, command))


def spell_as_flags(message: str) -> str:
    """A message, of a warning, with a flag for each mark."""
    return spell_settings(
        message, lambda name, value: spell_plainly(flag_of(name), value).removesuffix(" True")
    )
