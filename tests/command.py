"""The command line for tests: in this process, or in one of its own where the process matters."""

from __future__ import annotations

import io
import os
import shlex
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from seqlm.cli import app, console
from seqlm.runs.run_folder import RunFolder


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what went wrong."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("seqlm: error: ")]
        return line.removeprefix("seqlm: error: ")

    @property
    def warnings(self) -> list[str]:
        mark = "seqlm: warning: "
        return [line.removeprefix(mark) for line in self.err.splitlines() if line.startswith(mark)]


def seqlm_inside(*arguments: Any, stdin: bytes = b"", env: dict[str, str] | None = None) -> Result:
    """`seqlm ARGUMENTS` here and now, as a new process would run it: an end of it frees its locks.

    `stdin` is what is piped in; `env` adds variables.
    """
    locked: list[RunFolder] = []
    lock = RunFolder.lock

    def remembered(run: RunFolder) -> None:
        lock(run)
        locked.append(run)

    out, err = Output(), Output()
    piped = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        # Ours are for the user, and printed; anyone else's still fail the test.
        warnings.filterwarnings("always", category=UserWarning, module="seqlm")
        patch.setattr(RunFolder, "lock", remembered)
        for name, stream in (("stdin", piped), ("stdout", out), ("stderr", err)):
            patch.setattr(sys, name, stream)
        patch.setattr(sys, "argv", ["seqlm", *map(str, arguments)])
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        console.quiet = console.debug = False
        try:
            app.main()
        except SystemExit as end:
            code = end.code
        finally:
            for run in locked:
                run.unlock()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            torch.set_flush_denormal(False)
    assert isinstance(code, int)
    return Result(code, out.text(), err.text())


class Output(io.TextIOWrapper):
    """A standard output that is no terminal."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8")

    def text(self) -> str:
        self.flush()
        return self.bytes.getvalue().decode()


# ---------------------------------------------------------------------------------- lines of shell

SHORT = {"SEQLM_STEPS": "4", "SEQLM_NUM_THREADS": "1"}
"""Variables that make every training short."""
TOOLS = ("cat", "echo", "head", "printf", "tail")


def run_pipeline(command: str) -> None:
    """Runs a line of shell, with its |, < and >: `seqlm` in this process, the tools of TOOLS in
    theirs. Trainings are short."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|<>")
    lexer.whitespace_split = True
    words = list(lexer)
    data, stage, output = b"", [], None
    stages: list[list[str]] = []
    position = 0
    while position < len(words):
        if words[position] == "|":
            stages.append(stage)
            stage = []
        elif words[position] == "<":
            position += 1
            data = Path(words[position]).read_bytes()
        elif words[position] == ">":
            position += 1
            output = Path(words[position])
        else:
            stage.append(words[position])
        position += 1
    for name, *arguments in [*stages, stage]:
        if name == "seqlm":
            result = seqlm_inside(*arguments, stdin=data, env=SHORT)
            assert result.code == 0, f"{command}\n{result.err}"
            data = result.out.encode()
        else:
            assert name in TOOLS, f"{command}: {name} is not a tool that every machine has"
            done = subprocess.run([name, *arguments], input=data, capture_output=True, check=True)
            data = done.stdout
    if output is not None:
        output.write_bytes(data)


# ----------------------------------------------------------------------------- a process of its own

COMMAND = [sys.executable, "-m", "seqlm"]


def environment(**more: str) -> dict[str, str]:
    """That of a user whose machine has one core, and whose seqlm is this checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SEQLM_", "PYTHON"))}
    checkout = str(Path(__file__).parent.parent)
    return {**kept, "PYTHONPATH": checkout, "OMP_NUM_THREADS": "1", **more}


def seqlm_process(*arguments: Any, stdin: bytes = b"", cwd: Path | None = None) -> Result:
    """`seqlm ARGUMENTS` as a process."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin, capture_output=True, cwd=cwd, env=environment(), check=False,
    )  # fmt: skip
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
