"""Makes the pages of docs/reference that follow from the code.

    python -m docs.generate

`tests/docs/test_reference.py` holds the files to what this module makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from seqlm.cli.app import app
from seqlm.cli.options.help_page import Row, option_sections, usage
from seqlm.cli.options.spelling import spell_flag
from seqlm.cli.options.training_options import training_flags
from seqlm.counting.counting_settings import CountingSettings
from seqlm.decoding.decoding_settings import GenerationSettings, TranslationSettings
from seqlm.decoding.labeling.labeling_settings import LabelingSettings
from seqlm.errors import spell_settings
from seqlm.evaluation.adaptation.adaptation_settings import Adaptation
from seqlm.settings import INF, WANTED, Setting, settings_of

FOLDER = Path(__file__).parent / "reference"
GENERATED = "<!-- Made by `python -m docs.generate`; do not edit. -->\n"


# ----------------------------------------------------------------------------------- settings.md

SETTINGS_HEAD = f"""{GENERATED}
# Settings

Each setting has one definition in the code, from which its flag, its environment variable, its YAML
key and this page are made. `seq_length` is `--seq-length` on the command line, `SEQLM_SEQ_LENGTH`
in the environment, `seq_length: 35` in a recipe (`--config`) and `seq_length=35` in Python. A flag
goes before a variable, a variable before a recipe, and a recipe before the default.

A switch has two flags: `--tied` and `--untied`, or `--bias` and `--no-bias`.
"""

TRAINING_HEAD = """
## Training

`seqlm train`. A recipe may have any of these settings; the `config.yaml` of a run is a recipe, too.
The options of an architecture name those that have it. Where defaults differ, the first one holds
for language models of the default architecture.
"""

OTHERS: dict[str, tuple[str, type]] = {
    "Counting": ("`seqlm count`.", CountingSettings),
    "Generation": ("`seqlm sample`.", GenerationSettings),
    "Translation": ("`seqlm translate`, and `seqlm eval` of a translator.", TranslationSettings),
    "Labeling": ("`seqlm tag`.", LabelingSettings),
    "Adaptation": ("`seqlm eval` of a network.", Adaptation),
}


def settings_page() -> str:
    flags = training_flags()
    sections: dict[str, list[str]] = {}
    for each in flags:
        notes = [each.architectures, each.needs]
        row = setting_row(each.setting, each.default, notes)
        sections.setdefault(each.setting.section, []).append(row)
    parts = [SETTINGS_HEAD, TRAINING_HEAD]
    for section, rows in sections.items():
        parts.append(f"\n### {section}\n\n{table(SETTING_COLUMNS, rows)}")
    for title, (head, settings_class) in OTHERS.items():
        settings = settings_of(settings_class).values()
        rows = [setting_row(each, each.default_text(), [each.needs_text()]) for each in settings]
        parts.append(f"\n## {title}\n\n{head}\n\n{table(SETTING_COLUMNS, rows)}")
    return "".join(parts)


SETTING_COLUMNS = ("setting", "what it is", "values", "default")


def setting_row(setting: Setting, default: str, notes: Iterable[str]) -> str:
    note = "; ".join(filter(None, notes))
    what = f"{setting.help} *({note})*" if note else setting.help
    name = f"`{setting.name}`"
    if setting.negative:
        name += f", `{setting.negative}`"
    return row(name, what, values_of(setting), default)


def values_of(setting: Setting) -> str:
    """The values of a setting: '`word`, `char`', 'a whole number, at least 1'."""
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    kind = setting.metavar if setting.kind is str else WANTED[setting.kind].partition(",")[0]
    high = (
        setting.high if setting.high < 10**9 else INF
    )  # a number so large is no bound to a reader
    return ", ".join(filter(None, [kind, replace(setting, high=high).range_text()]))


# ----------------------------------------------------------------------------------- commands.md

COMMANDS_HEAD = f"""{GENERATED}
# Commands

`seqlm COMMAND --help` prints the same. Every flag can also be set by an environment variable:
`SEQLM_SEQ_LENGTH` for `--seq-length`. [Settings](settings.md) lists the ranges of values.
"""


def commands_page() -> str:
    group: Any = typer.main.get_command(app)
    parts = [COMMANDS_HEAD]
    for name, short in group.commands.items():
        parts += command_sections(short, f"seqlm {name}")
    return "".join(parts)


def command_sections(command: Any, name: str) -> Iterator[str]:
    """The section of a command, and those of the commands that it has."""
    context = command.make_context(name, [], resilient_parsing=True)
    yield command_section(name, context.command, context)
    for subname, subcommand in getattr(context.command, "commands", {}).items():
        yield from command_sections(subcommand, f"{name} {subname}")


def command_section(name: str, command: Any, context: Any) -> str:
    text = "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n"))
    parts = [f"\n## {name}\n\n    {usage(command, context)}\n\n{text}\n"]
    if command.epilog:
        lines = command.epilog.splitlines()
        examples = [line if line.startswith("    ") else f"    # {line}" for line in lines]
        parts += ["\n", "\n".join(examples), "\n"]
    for title, rows in option_sections(command, context).items():
        if title != "Options":  # which has only --help
            cells = [option_row(each, command) for each in rows]
            parts.append(f"\n### {title}\n\n{table(('', ''), cells)}")
    return "".join(parts)


def option_row(option: Row, command: Any) -> str:
    def spell(name: str, value: str | None) -> str:
        return f"`{spell_flag(command, name, value)}`"

    return row(f"`{option.names}`", spell_settings(option.help, spell))


# ---------------------------------------------------------------------------------------- tables


def row(*cells: str) -> str:
    return "| " + " | ".join(escape(cell) for cell in cells) + " |"


def escape(cell: str) -> str:
    """`cell` for a table, in which a | ends the cell and a < outside of code begins a tag."""
    parts = cell.split("`")
    return "".join(code(part) if at % 2 else escape_html(part) for at, part in enumerate(parts))


def code(text: str) -> str:
    """A code span. With a | it is HTML, as mkdocs shows the backslash of an escaped one in code."""
    return f"<code>{escape_html(text)}</code>" if "|" in text else f"`{text}`"


def escape_html(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "&#124;")


def table(columns: Iterable[str], rows: Iterable[str]) -> str:
    columns = list(columns)
    return "\n".join([row(*columns), "|---" * len(columns) + "|", *rows]) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "commands.md": commands_page,
}


def main() -> None:
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
