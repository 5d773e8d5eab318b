"""What every command shares on the terminal: results to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from seqlm.errors import UsageError

if TYPE_CHECKING:
    import torch

    from seqlm.decoding.decoding_settings import GenerationSettings, TranslationSettings
    from seqlm.runs.loading.locate import ModelPath, Tasks

T = TypeVar("T", "GenerationSettings", "TranslationSettings")
quiet = False
debug = False


def flag(*names: str, least: int | None = None, **options: Any) -> Any:
    """A Typer option that the variable SEQLM_<NAME> can set too. Its number is `least` or more."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    if least is not None:
        options["callback"] = at_least(least, long)
    options.setdefault("envvar", "SEQLM_" + long.lstrip("-").replace("-", "_").upper())
    return typer.Option(*names, show_envvar=False, show_default=False, **options)


def at_least(least: int, name: str) -> Callable[[int | None], int | None]:
    """A callback that refuses a number below `least`."""

    def check(value: int | None) -> int | None:
        from seqlm.settings import Setting, check_value

        setting = Setting(name, "", int, None, low=least, optional=True)
        number: int | None = check_value(setting, value, name)
        return number

    return check


def typed_parameters(context: typer.Context) -> set[str]:
    """The names of the parameters that are given on the command line, not by variables."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _set_quiet(value: bool) -> None:
    global quiet
    quiet = value


def _set_debug(value: bool) -> None:
    global debug
    debug = value


# ---------------------------------------------------------------------- options of several commands

QUIET = flag(
    "-q",
    "--quiet",
    help="Print nothing but results, warnings and errors.",
    callback=_set_quiet,
    rich_help_panel="Output",
)
DEBUG = flag(
    "--debug",
    help="Show the traceback of an error.",
    callback=_set_debug,
    rich_help_panel="Output",
)
DEVICE = flag(
    "--device",
    help="Device to compute on: cpu, cuda, cuda:N or mps. [default: the fastest there is]",
    metavar="NAME",
    rich_help_panel="Machine",
)
THREADS = flag(
    "--num-threads",
    help="Number of CPU threads. [default: all cores]",
    metavar="N",
    least=1,
    rich_help_panel="Machine",
)
ERRORS = flag(
    "--errors",
    help="Invalid UTF-8 is an error (strict), or becomes U+FFFD (replace). [default: strict]",
    metavar="strict|replace",
    autocompletion=lambda: ["strict", "replace"],
    rich_help_panel="Input",
)


def run_names() -> list[str]:
    """The runs in the current folder and in ./checkpoints, to complete the name of one."""
    from seqlm.runs.run_folder import RUNS, RunFolder

    folders = [folder for folder in (Path(), RUNS) if folder.is_dir()]
    paths = [path for folder in folders for path in folder.iterdir()]
    return sorted({path.name for path in paths if RunFolder(path).exists()})


MODEL_FORMS = "a run, a checkpoint of it, an ARPA file, or a Hugging Face folder"
MODEL = flag(
    "-m",
    "--model",
    help=f"Model to use: {MODEL_FORMS}. [default: the latest run]",
    metavar="RUN",
    autocompletion=run_names,
    rich_help_panel="Model",
)


def input_flag(name: str, help: str) -> Any:
    """A flag that names a file to read."""
    return flag(name, help=help, metavar="FILE", rich_help_panel="Input")


SOURCE = input_flag("--source", "Source text of a translator, one sentence a line.")
TARGET = input_flag("--target", "Translation of the source text, line by line.")
CORPUS = typer.Argument(
    help="Text files to learn from, compressed or not; - is standard input.",
    metavar="CORPUS",
    rich_help_panel="Input",
)
OUTPUT = flag(
    "-o",
    "--output",
    help="Run folder to write. [default: a new one in ./checkpoints]",
    metavar="FOLDER",
    rich_help_panel="Output",
)
OVERWRITE = flag(
    "--overwrite", help="Replace a run or a file that exists already.", rich_help_panel="Output"
)
SCORES = flag(
    "--scores",
    help="Print the score of each text before it, with a tab between them: the log-probability of"
    " a sample, and what a search ranks by.",
    rich_help_panel="Output",
)
JSON = flag("--json", help="Print one JSON object.", rich_help_panel="Output")
JSON_LINES = flag("--json", help="Print a JSON object for each record.", rich_help_panel="Output")


# ----------------------------------------------------------------------------------------- printing


def say(message: str) -> None:
    """Prints a message on stderr, unless --quiet is given."""
    if not quiet:
        print_on_stderr(message)


def warn(message: str) -> None:
    print_on_stderr(f"seqlm: warning: {message}")


def print_on_stderr(message: str) -> None:
    """Prints on stderr. The work goes on when nobody reads that any more."""
    try:
        print(message, file=sys.stderr, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def counted(number: int, noun: str) -> str:
    """'1 word', '2,000 words'."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def with_six_digits(name: str, value: float) -> str:
    return f"{value:.6g}"


def print_figures(
    values: dict[str, float], in_unit: Callable[[str, float], str] = with_six_digits
) -> None:
    """Prints a number alone, or `metric<TAB>value` lines; on a terminal, a small table, in which
    `in_unit` writes the value of a metric for people."""
    if is_tty(sys.stdout):
        from rich.console import Console
        from rich.table import Table

        table = Table("metric", show_header=False, box=None)
        table.add_column(justify="right")
        for name, value in values.items():
            table.add_row(name, in_unit(name, value))
        Console().print(table)
    elif len(values) == 1:
        print(f"{next(iter(values.values())):.10g}")
    else:
        for name, value in values.items():
            print(f"{name}\t{value:.10g}")


def is_tty(stream: Any) -> bool:
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"


def takes_color(stream: Any) -> bool:
    """Whether a stream is a terminal that wants colors (https://no-color.org)."""
    return is_tty(stream) and not os.environ.get("NO_COLOR")


# ---------------------------------------------------------------------------- texts, models, device


def files_or_stdin(files: Sequence[str] | None) -> list[str]:
    """The files named, or standard input. Errors: UsageError where that is a terminal."""
    if files:
        check_stdin(files)
        return list(files)
    if sys.stdin.isatty():
        raise UsageError("no text: name a file, or pipe one in (see --help)")
    return ["-"]


def check_stdin(files: Sequence[str]) -> None:
    """Errors: UsageError where several of them are standard input."""
    if list(files).count("-") > 1:
        raise UsageError("- stands for standard input, which can be read once")


def check_choice(name: str, value: str | None, choices: Sequence[str]) -> None:
    from seqlm.errors import did_you_mean

    if value is not None and value not in choices:
        raise UsageError(f"--{name} {value!r}{did_you_mean(value, choices)}")


def with_seed(settings: T, draws: bool) -> T:
    """Settings with a seed, where something `draws`: a new one, which is printed, where none is
    set."""
    if not draws or settings.seed is not None:
        return settings
    from seqlm.decoding.sampling_noise import fresh_seed

    seed = fresh_seed()
    say(f"seed: {seed} (--seed {seed} draws the same again)")
    return replace(settings, seed=seed)


def locate_model(name: str | ModelPath | None, task: Tasks | None = None) -> ModelPath:
    """The model that -m names; without a name the latest run, whose path is printed.

    Errors: those of `locate`.
    """
    from seqlm.runs.loading.locate import locate

    model = locate(name, task)
    if model.is_default:
        say(f"model: {model.path} (the latest run)")
    return model


def locate_models(names: Sequence[str | ModelPath] | None, task: str) -> list[ModelPath]:
    """The models that several -m name, or the latest run. Errors: those of `locate`."""
    if not names:
        return [locate_model(None, task)]
    return [locate_model(name, task) for name in names]


def set_up_for(
    models: Sequence[ModelPath], device: str | None, threads: int | None, float64: bool = False
) -> torch.device | str:
    """Chooses the device to compute on with `models`, and prints its name. Where all are n-gram
    models, or none yet, it is the CPU by default, and torch is not imported.

    Errors: those of `set_up_torch`.
    """
    if device not in (None, "auto", "cpu") or any(m.config.arch != "ngram" for m in models):
        return set_up_torch(device, threads, float64)
    from seqlm.machine.device import describe_device
    from seqlm.machine.threads import set_threads

    if threads is not None:
        set_threads(threads)
    say(f"device: {describe_device('cpu')}")
    return "cpu"


def set_up_torch(device: str | None, threads: int | None, float64: bool = False) -> torch.device:
    """Chooses the device, one with `float64` where that is needed, and prints its name.

    Errors: UsageError where the device is not there, or the threads are far too many.
    """
    from seqlm.machine.device import describe_device, set_up_device
    from seqlm.machine.threads import set_threads

    if threads is not None:
        set_threads(threads)
    chosen = set_up_device(device, float64)
    say(f"device: {describe_device(chosen)}")
    return chosen


# ---------------------------------------------------------------------------------------- long work


class Stages:
    """Prints the stages of long work, each with the time since the first; on a terminal also the
    share that is done and the time that is left."""

    def __init__(self) -> None:
        self.started = self.begun = self.shown = time.perf_counter()
        self.stage = ""
        self.lock = threading.Lock()

    def __call__(self, stage: str, done: float | None = None) -> None:
        with self.lock:
            now = time.perf_counter()
            if stage != self.stage:
                self.stage, self.begun = stage, now
                say(f"{now - self.started:6.1f} s  {stage}")
            elif done and now - self.shown > 0.5 and is_tty(sys.stderr) and not quiet:
                self.shown = now
                left = (now - self.begun) * (1 - done) / done
                print(f"\r{100 * done:6.0f} %  {duration(left)} left \r", end="", file=sys.stderr)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
