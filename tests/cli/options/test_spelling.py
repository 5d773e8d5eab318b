"""The names of settings in messages: plain in Python, flags or variables on the command line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import seqlm
from seqlm.cli.app import app
from seqlm.cli.options.spelling import spell_as_flags, spell_error
from seqlm.errors import MARKED, UsageError

MESSAGE = "`patience` is for `schedule=wsd` or `tied=False`, `peephole=True`, `nonesuch`, `corpus`"


def spelled(message: str, *arguments: str) -> str:
    command = typer.main.get_command(app).commands["train"]
    error = UsageError(message)
    spell_error(error, command.make_context("train", list(arguments)))
    return str(error)


def test_python_reads_a_message_without_its_marks():
    error = UsageError(MESSAGE)
    assert str(error) == (
        "patience is for schedule wsd or tied False, peephole True, nonesuch, corpus"
    )
    assert error.marked == MESSAGE


def test_the_command_line_names_flags(workplace):
    assert spelled(MESSAGE) == (
        "--patience is for --schedule wsd or --untied, --peephole, nonesuch, corpus"
    )
    assert spell_as_flags("less `vocab_size` than `tied=True`") == "less --vocab-size than --tied"


def test_a_value_that_came_from_a_variable_is_blamed_on_it(workplace, monkeypatch):
    monkeypatch.setenv("SEQLM_PATIENCE", "3")
    assert spelled("`patience` and `schedule`") == "SEQLM_PATIENCE and --schedule"
    assert spelled("`patience`", "--patience", "4") == "--patience"


@pytest.mark.parametrize("command", ["train", "count"])
def test_click_blames_the_variable_too(seqlm, command):
    result = seqlm(command, env={"SEQLM_QUIET": "perhaps"})
    assert result.code == 2
    assert "Invalid value for 'SEQLM_QUIET'" in result.error


def test_every_mark_in_the_package_is_a_setting():
    names = set(parameter_names(typer.main.get_command(app)))
    marked = dict(marks_in_messages())
    assert {name: where for name, where in marked.items() if name not in names} == {}


def parameter_names(command: Any) -> Iterator[str]:
    """Those of a command, and of the commands that it has."""
    full = command.make_context("", [], resilient_parsing=True).command
    yield from (parameter.name for parameter in full.params)
    for subcommand in getattr(full, "commands", {}).values():
        yield from parameter_names(subcommand)


def marks_in_messages() -> Iterator[tuple[str, str]]:
    """The marks in strings that are no docstrings, each with its file."""
    for path in Path(seqlm.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise | ast.Call):
                for text in ast.walk(node):
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        for mark in MARKED.finditer(text.value):
                            yield mark[1], path.name
