"""`seqlm runs`: the runs in a folder, and what is done with whole runs."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqlm.cli import console
from seqlm.cli.console import flag
from seqlm.cli.options.help_page import Example, Subcommand
from seqlm.cli.records import RecordWriter
from seqlm.errors import UsageError

if TYPE_CHECKING:
    from seqlm.runs.management.run_summary import RunSummary
    from seqlm.runs.run_folder import RunFolder

SORT_KEYS = ("date", "name", "arch", "parameters", "value", "bytes")
EXAMPLES = [
    Example("List the runs in ./checkpoints", "seqlm runs"),
    Example(
        "List the runs in another folder, the best figure first",
        "seqlm runs --folder . --sort value",
    ),
    Example("Show how a run was made", "seqlm runs show lstm"),
    Example("Print what differs in two runs", "seqlm runs diff lstm gru"),
]


def run_argument(metavar: str, what: str = "Run folder, or the name of a run") -> Any:
    return typer.Argument(
        help=f"{what} in ./checkpoints.",
        metavar=metavar,
        autocompletion=console.run_names,
        rich_help_panel="Input",
    )


RUN_LIST = run_argument("RUN", "Run folders, or the names of runs")


def make_command() -> Callable[..., Any]:
    return print_runs


def print_runs(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        flag(
            "--folder",
            help="Folder that holds the runs. [default: ./checkpoints]",
            metavar="FOLDER",
            rich_help_panel="Input",
        ),
    ] = None,
    sort: Annotated[
        str,
        flag(
            "--sort",
            help=f"Column to sort by: {', '.join(SORT_KEYS)}. The best value is first, and the"
            " latest date last. [default: date]",
            metavar="COLUMN",
            autocompletion=lambda: list(SORT_KEYS),
            rich_help_panel="Output",
        ),
    ] = "date",
    json: Annotated[bool, console.JSON_LINES] = False,
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """List the runs in a folder: what each is, its size, and the best figure of its validations."""
    if context.invoked_subcommand is not None:
        return
    console.check_choice("sort", sort, SORT_KEYS)

    from seqlm.runs.management.run_summary import RunSummary, list_runs
    from seqlm.runs.run_folder import RUNS

    folder = folder or RUNS
    if not folder.is_dir() and folder != RUNS:
        raise UsageError(f"there is no folder {folder}")
    runs, problems = list_runs(folder)
    for problem in problems:
        console.warn(f"{problem}; it is left out")
    if not runs:
        console.say(f"{folder} holds no run")
    runs.sort(key=lambda run: sort_key(run, sort))
    if console.is_tty(sys.stdout) and not json:
        print_table(runs)
        return
    table = RecordWriter(RunSummary._fields, json)
    for run in runs:
        table.write(run)


def sort_key(run: RunSummary, column: str) -> Any:
    """Runs without a value are last. A perplexity or a loss is best when low, another metric when
    high."""
    value = getattr(run, column)
    if value is None:
        return (1, 0)
    if column == "value":
        return (0, run.metric, value if run.metric in ("ppl", "loss") else -value)
    return (0, value)


def print_table(runs: list[RunSummary]) -> None:
    """The runs for people to read."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("name", "task", "arch", "unit", "parameters", "vocabulary", "best", "finished"):
        table.add_column(name, justify="right" if name in ("parameters", "vocabulary") else "left")
    table.add_column("size", justify="right")
    for run in runs:
        cells = [
            run.name,
            run.task,
            run.arch,
            run.unit or "",
            "" if run.parameters is None else f"{run.parameters:,}",
            "" if run.vocabulary is None else f"{run.vocabulary:,}",
            "" if run.value is None else f"{run.metric} {run.value:.4g}",
            run.date[:16].replace("T", " ") if run.date else run.status,
            size_text(run.bytes),
        ]
        table.add_row(*(Text(cell) for cell in cells))
    Console(highlight=False).print(table)


def size_text(size: float) -> str:
    """A number of bytes with three digits: '25.1 MB'."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB"


def show(
    run: Annotated[str, run_argument("RUN")],
    json: Annotated[bool, console.JSON] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Show how a run was made and what it measured: its configuration and its checkpoints."""
    import yaml

    from seqlm.runs.management.run_summary import describe

    description = describe(find_run(run))
    if json:
        print(json_module.dumps(description, ensure_ascii=False, default=str))
    else:
        text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True)
        sys.stdout.write(text)


def diff(
    first: Annotated[str, run_argument("FIRST")],
    second: Annotated[str, run_argument("SECOND")],
    json: Annotated[bool, console.JSON_LINES] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Print every setting, text and figure that is not equal in two runs, one a line: its key, the
    value in the first run, and the value in the second. Equal runs give the header alone."""
    from seqlm.runs.management.run_differences import Difference, diff_runs

    table = RecordWriter(Difference._fields, json)
    for difference in diff_runs(find_run(first), find_run(second)):
        table.write(difference)


def remove(
    runs: Annotated[list[str], RUN_LIST],
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Remove runs, and print the folder of each. A file that seqlm did not write is kept, and so is
    a run that is being written."""
    from seqlm.runs.management.remove_run import remove_run

    for folder in find_runs(runs):  # all are found before one is removed
        left = remove_run(folder)
        print(folder.path)
        if left:
            console.warn(f"{folder.path} still holds what seqlm did not write: {', '.join(left)}")


def slim_runs(
    runs: Annotated[list[str], RUN_LIST],
    quiet: Annotated[bool, console.QUIET] = False,
    debug: Annotated[bool, console.DEBUG] = False,
) -> None:
    """Remove from finished runs what only resuming needs, and print the folder of each. The model
    and its figures stay as they are."""
    from seqlm.runs.management.slim_run import slim

    for folder in find_runs(runs):
        freed = slim(folder)
        print(folder.path)
        console.say(f"{size_text(freed)} freed")


def find_runs(names: list[str]) -> list[RunFolder]:
    """The runs that the names mean, each once. Errors: those of `find_run`."""
    return list({run.path.resolve(): run for run in map(find_run, names)}.values())


def find_run(name: str) -> RunFolder:
    """The run that `name` means. Errors: ModelError where there is none."""
    from seqlm.errors import ModelError
    from seqlm.runs.loading.locate import locate

    located = locate(name)
    if located.run is None or located.checkpoint:
        raise ModelError(f"{located.path} is no run folder")
    return located.run


SUBCOMMANDS = {
    "show": Subcommand(show, "Show how a run was made and what it measured."),
    "diff": Subcommand(diff, "Print in what two runs differ."),
    "rm": Subcommand(remove, "Remove runs."),
    "slim": Subcommand(slim_runs, "Remove from runs what only resuming needs."),
}
