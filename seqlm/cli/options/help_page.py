"""The pages of `--help`: what a command does, its flags in sections, and examples.

Typer describes the parameters, and the `rich_help_panel` of each is its section. The page is laid
out here, since importing rich would take longer than all else that `seqlm --help` does. A page is
as wide as the terminal, or as COLUMNS says. Nothing in a text is markup, and off a terminal there
are no colors.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from seqlm.cli import console
from seqlm.cli.options.spelling import spell_help
from seqlm.errors import UsageError, did_you_mean

MAX_WIDTH = 160
"""Columns of a page on a wider terminal; more are hard to read."""
MAX_PROSE = 100
MAX_NAMES = 28
"""Columns of the names of flags. Longer names have a line of their own."""
FIRST_SECTIONS = ("Input",)
LAST_SECTIONS = ("Output", "Machine", "Options")
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": MAX_WIDTH}
"""Typer's context settings, which commands have from their group."""


class Row(NamedTuple):
    names: str
    """A flag or argument and what stands for its value: '-n, --order N'."""
    help: str
    """Its help, in which settings are marked (errors.py)."""


class Example(NamedTuple):
    purpose: str
    """What the command does, without a period."""
    command: str
    """A line of shell."""


class Subcommand(NamedTuple):
    """A command of a group, as `show` of `seqlm runs`."""

    function: Callable[..., Any]
    summary: str


def epilog(examples: Sequence[Example]) -> str:
    """The examples as the epilog of a command; the lines of shell are indented, as in Markdown."""
    return "\n".join(f"{purpose}:\n    {command}" for purpose, command in examples)


class Commands(TyperGroup):
    """A group of commands whose page shows their whole summaries."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Errors: UsageError where there is no such command, with the nearest one."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise UsageError(f"no command {args[0]}{did_you_mean(args[0], self.commands)}")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        write_page(self, ctx, formatter)


def write_page(command: Any, context: Any, formatter: Any) -> None:
    """Writes the page of a command or group."""
    width = formatter.width
    formatter.write(f"{heading('Usage')} {usage(command, context)}\n")
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        formatter.write("\n" + fill(paragraph, min(width, MAX_PROSE), indent=2) + "\n")
    for sections in (command_sections(command), option_sections(command, context)):
        names = [row.names for rows in sections.values() for row in rows]
        column = max((len(name) for name in names if len(name) <= MAX_NAMES), default=0)
        for title, rows in sections.items():
            formatter.write(f"\n{heading(title)}\n")
            for row in rows:
                formatter.write(format_row(row.names, spell_help(row.help, command), column, width))
    if command.epilog:
        formatter.write(f"\n{heading('Examples')}\n")
        for line in command.epilog.splitlines():
            if line.startswith("    "):
                formatter.write(break_command(line.strip(), width))
            else:
                formatter.write(fill(line, width, indent=2) + "\n")


# ---------------------------------------------------------------------------------------- contents


def usage(command: Any, context: Any) -> str:
    """'seqlm runs rm [OPTIONS] RUN...'; Typer puts braces around an argument that is required."""
    pieces = " ".join(command.collect_usage_pieces(context))
    return f"{context.command_path} {pieces.replace('{', '').replace('}', '')}"


def command_sections(group: Any) -> dict[str, list[Row]]:
    """The commands of a group and their summaries, by section."""
    sections: dict[str, list[Row]] = {}
    for command in getattr(group, "commands", {}).values():
        row = Row(command.name, command.short_help)
        sections.setdefault(command.rich_help_panel or "Commands", []).append(row)
    return sections


def option_sections(command: Any, context: Any) -> dict[str, list[Row]]:
    """The arguments and flags of a command, by section, in the order of the page."""
    sections: dict[str, list[Row]] = {}
    for parameter in command.get_params(context):
        if not getattr(parameter, "hidden", False):
            section = getattr(parameter, "rich_help_panel", None) or "Options"
            sections.setdefault(section, []).append(row_of(parameter))
    first = [title for title in FIRST_SECTIONS if title in sections]
    last = [title for title in LAST_SECTIONS if title in sections]
    middle = [title for title in sections if title not in (*first, *last)]
    return {title: sections[title] for title in (*first, *middle, *last)}


def row_of(parameter: Any) -> Row:
    help = f"{parameter.help} [required]" if parameter.required else parameter.help
    if parameter.param_type_name == "argument":
        return Row(parameter.metavar, help)
    names = ", ".join(sorted(parameter.opts, key=len))
    if not parameter.is_flag:
        names += f" {parameter.metavar}"
    for negative in parameter.secondary_opts:
        if f"--no-{names.removeprefix('--')}" == negative:
            names = f"--[no-]{names.removeprefix('--')}"
        else:
            names = f"{names} / {negative}"
    return Row(names, help)


# ------------------------------------------------------------------------------------------ layout


def format_row(names: str, help: str, column: int, width: int) -> str:
    """Two columns, or two lines where the names are wider than the first column."""
    text = fill(help, width, indent=column + 4)
    start = style(names, "cyan")
    if len(names) > column:
        return f"  {start}\n{text}\n"
    return f"  {start}{' ' * (column - len(names))}  {text.lstrip()}\n"


def fill(text: str, width: int, indent: int) -> str:
    """`text` in lines that are broken at spaces only: --seq-length is one word."""
    margin = " " * indent
    return textwrap.fill(
        " ".join(text.split()),
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_on_hyphens=False,
        break_long_words=False,
    )


def break_command(command: str, width: int) -> str:
    """A line of shell, continued on further lines where it is too long; each begins with a flag."""
    lines = ["    "]
    for part in re.split(r" (?=-|\| )", command):
        if len(lines[-1]) + len(part) + 3 > width and lines[-1].strip():
            lines[-1] += "\\"
            lines.append("        ")
        lines[-1] += part + " "
    return "\n".join(line.rstrip() for line in lines) + "\n"


def heading(title: str) -> str:
    return style(f"{title}:", None, bold=True)


def style(text: str, color: str | None, bold: bool = False) -> str:
    """`text` in a color on a terminal, elsewhere as it is."""
    if not console.takes_color(sys.stdout):
        return text
    return typer.style(text, fg=color, bold=bold or None)
