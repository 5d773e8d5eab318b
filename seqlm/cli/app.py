"""The command `seqlm`: its verbs, and what an error becomes.

Heavy modules are imported inside the commands' bodies, so that `seqlm --help` stays quick.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from seqlm.cli import console, count, eval, export, sample, train, translate
from seqlm.cli.options.setting_options import SettingsCommand, takes
from seqlm.cli.options.spelling import from_variable, spell_as_flags, variable_of
from seqlm.errors import SeqlmError
from seqlm.version import __version__

app = typer.Typer(
    name="seqlm",
    help="Train, score, sample and compare language models: n-grams and neural networks alike.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("count", cls=SettingsCommand)(count.count)
app.command("train", cls=train.TrainCommand)(takes([])(train.train))
app.command("eval", cls=SettingsCommand)(eval.evaluate)
app.command("sample", cls=SettingsCommand)(sample.sample)
app.command("translate", cls=SettingsCommand)(translate.translate)
app.command("export", cls=SettingsCommand)(export.export)


def show_version(value: bool) -> None:
    if value:
        print(f"seqlm {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="The version.")
    ] = False,
) -> None:
    pass


class Terminated(BaseException):
    """SIGTERM, where no command has said what to do with it."""


def main() -> None:
    """Runs the command line; every way out ends here."""
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, on_sigterm)
    warnings.showwarning = lambda message, *rest, **more: console.warn(spell_as_flags(str(message)))
    try:
        code: Any = app(prog_name="seqlm", standalone_mode=False) or 0
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # `| head`; Typer, too, exits for a closed pipe alone
        abandon_stdout()
        code = 0
    except SeqlmError as error:
        code = fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except Terminated:
        code = 143
    except MemoryError:
        code = fail("out of memory; a smaller --batch-size or --seq-length takes less", 1)
    except Exception as error:
        code = other(error)
    try:
        sys.stdout.flush()
    except OSError:  # said already
        abandon_stdout()
    sys.exit(code)


def open_closed_streams() -> None:
    """A stream the caller has closed (`<&-`, `>&-`) is None: give it nothing to read or write."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115


def abandon_stdout() -> None:
    """What is left to write goes nowhere, instead of failing once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def other(error: Exception) -> int:
    """Errors of the libraries below: Click's usage errors, a full device, and our mistakes."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error, file=sys.stderr)
        return 2
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        blame_variable(error)
        return fail(error.format_message(), error.exit_code)
    if type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error):
        return fail(
            "the device is out of memory; a smaller --batch-size or --seq-length takes less", 1
        )
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        return fail(f"{named}{error.strerror}", 1)
    return fail(f"a mistake of seqlm's own, {error!r}; --debug shows where", 1)


def blame_variable(error: Any) -> None:
    """A value that Click refuses is blamed on the environment variable where it came from one."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    if context and parameter and from_variable(parameter.name, context):
        error.param_hint = f"'{parameter.envvar or variable_of(parameter.name)}'"


def fail(message: str, code: int) -> int:
    if console.debug:
        traceback.print_exc()
    print(f"seqlm: error: {message}", file=sys.stderr)
    return code


def on_sigterm(*_: Any) -> None:
    raise Terminated
