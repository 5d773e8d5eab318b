"""The command `seqlm`: its commands, and what an error becomes.

A command's module is imported when the command is called, and heavy modules inside its body, so
that `seqlm --help` stays quick.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from seqlm.cli import console
from seqlm.cli.options.help_page import CONTEXT, Commands, Example, epilog, write_page
from seqlm.cli.options.spelling import from_variable, spell_as_flags, spell_error, variable_of
from seqlm.errors import SeqlmError, UsageError, nearest
from seqlm.version import __version__

COMMANDS = {
    "Look at text": {
        "check": "Check labeled text for what makes training or evaluation wrong.",
    },
    "Make a model": {
        "count": "Count n-grams and smooth them into a language model.",
        "train": "Train a language model, a translator, a labeler or word vectors.",
    },
    "Use a model": {
        "eval": "Print the perplexity of a text, or BLEU and chrF of translations.",
        "next": "Print the most probable next tokens after a text.",
        "rescore": "Score n-best lists of a recognizer or a translator.",
        "sample": "Generate text, or find the most probable continuations.",
        "tag": "Label words or texts.",
        "translate": "Translate a text line by line.",
        "vectors": "Ask, compare, draw, export and debias word vectors.",
    },
    "Convert a model": {
        "export": "Write a model as an ARPA file, a run, or a Hugging Face folder.",
    },
    "Look after runs": {
        "runs": "List runs, compare two, make them smaller or remove them.",
        "recipes": "List the recipes for training, and print one.",
    },
}
"""The commands by section of the page of `seqlm`, each with its summary there. The module of a
command has its `EXAMPLES` and `make_command`, which gives the function that Typer calls; that of a
group of commands has `SUBCOMMANDS` too."""

HELP = """Train, score, sample and compare language models, from n-grams to Mamba; translate; label.

Start with count or train: each learns a model from a text and writes it to a run folder. The other
commands use the model that -m names, or else the latest run in ./checkpoints.

For the options of a command, ask seqlm COMMAND --help.
"""

EXAMPLES = [
    Example(
        "Count a trigram model of a text",
        "seqlm count --order 3 corpora/prose.train.txt -o trigram",
    ),
    Example(
        "Print its perplexity on another text",
        "seqlm eval -m trigram corpora/prose.test.txt",
    ),
    Example("Print three samples of it", "seqlm sample -m trigram -n 3"),
]


PLACES = ("RUN", "FIRST", "SECOND", "FILE", "FOLDER", "FILE|FOLDER", "CORPUS", "SOURCE", "LISTS")
"""What parameters are called whose values are names of files and folders."""
SAVES_MEMORY = "a smaller --width, --batch-size or --seq-length takes less"


class NamesFlags:
    """A command whose errors name its flags, and which takes no model in silence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Errors: UsageError where several models are named and one is taken, or a name is empty,
        as it is where a variable of the shell is not set."""
        parser = self.make_parser(ctx)  # type: ignore[attr-defined]
        values, _, given = parser.parse_args(list(args))
        for each in given:
            check_place(each, values[each.name])
        models = [each for each in given if each.name == "model" and not each.multiple]
        if len(models) > 1:
            raise UsageError(f"{ctx.command_path} takes one `model`, and {len(models)} are named")
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)  # type: ignore[misc]
        except SeqlmError as error:
            spell_error(error, ctx)
            raise


def check_place(parameter: Any, value: Any) -> None:
    """Errors: UsageError where the value of a parameter, or one of several, is an empty name."""
    is_argument = parameter.param_type_name == "argument"
    is_place = parameter.metavar in PLACES or (is_argument and parameter.metavar == "TEXT")
    if is_place and "" in (value if isinstance(value, list | tuple) else [value]):
        name = parameter.metavar if is_argument else parameter.opts[-1]
        raise UsageError(f"{name} is empty: it names nothing")


class Command(NamesFlags, TyperCommand):
    """A command whose page has sections."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        write_page(self, ctx, formatter)


class Group(NamesFlags, Commands):
    """A command that has commands of its own, and does something without them, too."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Errors: UsageError where there is no such command; it says where the name is one of
        seqlm."""
        if args[0] not in self.commands and any(args[0] in names for names in COMMANDS.values()):
            raise UsageError(f"no command {self.name} {args[0]}: there is seqlm {args[0]}")
        return super().resolve_command(ctx, args)


class LazyCommand(TyperCommand):
    """A command that is imported when it is called: no other needs its options."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **more: Any) -> Any:
        return load_command(self.name).make_context(info_name, args, *rest, **more)


def load_command(name: str | None) -> Any:
    """The command, with its options and its examples."""
    module = import_module(f"seqlm.cli.commands.{name}")
    page, command = epilog(module.EXAMPLES), module.make_command()
    if not hasattr(module, "SUBCOMMANDS"):
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name, cls=Command, epilog=page)(command)
        return take_as_written(typer.main.get_command(alone), command)
    group = typer.Typer(
        name=name,
        cls=Group,
        epilog=page,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
    )
    group.callback()(command)
    for subcommand, (function, summary) in module.SUBCOMMANDS.items():
        group.command(subcommand, cls=Command, short_help=summary)(function)
    made = take_as_written(typer.main.get_command(group), command)
    for subcommand, (function, _) in module.SUBCOMMANDS.items():
        take_as_written(made.commands[subcommand], function)
    return made


AS_WRITTEN: dict[Any, Callable[[Any], Any]] = {
    **dict.fromkeys((str, str | None), str),
    **dict.fromkeys((Path, Path | None), Path),
    **dict.fromkeys((list[str], list[str] | None), list),
}
"""What makes the value of a parameter, by its type, of what was written."""


def take_as_written(command: Any, function: Callable[..., Any]) -> Any:
    """The command that calls `function`, with parameters that take text as it is written.

    Typer has every value checked by a validator of pydantic, text too, and also what is not given.
    To import that and to make the validators takes longer than all else until a command begins.
    """
    kinds, context = get_type_hints(function), typer.Context(command, **CONTEXT)
    for parameter in command.get_params(context):  # --help too
        make, check = AS_WRITTEN.get(kinds.get(parameter.name)), parameter.process_value
        parameter.process_value = partial(process_value, parameter, make, check)
    return command


def process_value(
    parameter: Any,
    make: Callable[[Any], Any] | None,
    check: Callable[..., Any],
    context: Any,
    value: Any,
) -> Any:
    """The value of a parameter, which `make` makes of what was written, or else Typer's `check`."""
    takes_many = parameter.multiple or parameter.nargs == -1
    if value is None and not parameter.required:
        value = () if takes_many else None
    elif make is not None and isinstance(value, (list, tuple) if takes_many else str):
        value = make(value)
    else:
        return check(context, value)
    return parameter.callback(context, parameter, value) if parameter.callback else value


app = typer.Typer(
    name="seqlm",
    cls=Commands,
    help=HELP,
    epilog=epilog(EXAMPLES),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)
for section, summaries in COMMANDS.items():
    for command, summary in summaries.items():
        app.command(command, cls=LazyCommand, short_help=summary, rich_help_panel=section)(
            lambda: None
        )


def show_version(value: bool) -> None:
    if value:
        print(f"seqlm {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line and exits with its status, whatever happens but a signal."""
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    warnings.showwarning = lambda message, *rest, **more: console.warn(spell_as_flags(str(message)))
    try:
        command = take_as_written(typer.main.get_command(app), options)
        code: Any = command(prog_name="seqlm", standalone_mode=False) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # `| head`
        abandon_stdout()
        code = 0
    except SystemExit as end:  # Typer's: 0 after a completion, 1 for a closed pipe
        if end.code:
            abandon_stdout()
        code = 0
    except SeqlmError as error:
        code = fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except MemoryError:
        code = fail(f"out of memory; {SAVES_MEMORY}", 1)
    except Exception as error:
        code = report(error)
    try:
        sys.stdout.flush()
    except OSError:  # which was reported above
        abandon_stdout()
    sys.exit(code)


def open_closed_streams() -> None:
    """Opens the null device for each stream that the caller has closed (`<&-`, `>&-`)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115


def abandon_stdout() -> None:
    """Discards what is left to write, which would fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(error: Exception) -> int:
    """Prints an error that is not seqlm's own: one of Typer, the device or the system, or a bug."""
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error, err=True)
        return 2
    if type(error).__name__ == "NoSuchOption":
        option, flags = error.option_name, error.possibilities or []  # type: ignore[attr-defined]
        return fail(f"no option {option}{nearest(option, flags, cutoff=0.7)}", 2)
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        blame_variable(error)
        return fail(error.format_message(), error.exit_code)
    if type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error):
        return fail(f"the device is out of memory; {SAVES_MEMORY}", 1)
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        return fail(f"{named}{error.strerror}", 1)
    fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return fail(f"internal error (please report): {fault}; rerun with --debug for the traceback", 1)


def blame_variable(error: Any) -> None:
    """Makes an error of Typer name the environment variable, where the value came from one."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    if context and parameter and from_variable(parameter.name, context):
        error.param_hint = f"'{parameter.envvar or variable_of(parameter.name)}'"


def fail(message: str, code: int) -> int:
    """Prints an error, with the traceback if --debug is given, and returns the exit status."""
    if console.debug:
        traceback.print_exc()
    print(f"seqlm: error: {message}", file=sys.stderr)
    return code
