"""`seqlm` as a process: pipes, terminals, signals, and how fast it answers."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.command import COMMAND, environment, seqlm_process


def shell(command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of shell in which $SEQLM is the command; fails where any part of a pipe does."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True, text=True, cwd=cwd, check=False,
        env=environment(SEQLM=" ".join(COMMAND), **variables),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("arguments", [["--help"], ["train", "-h"], ["--version"], []])
def test_help_imports_nothing_heavy(arguments):
    script = (
        "import sys, seqlm.cli.app as app\n"
        f"sys.argv = ['seqlm', *{arguments!r}]\n"
        "try: app.main()\n"
        "finally: print('heavy:', {'torch', 'numpy', 'tokenizers', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == (0 if arguments else 2)
    assert "heavy: set()" in done.stdout


def test_help_says_what_every_flag_is(seqlm):
    for command in ("count", "train", "eval", "sample"):
        result = seqlm(command, "--help")
        assert (result.code, result.err) == (0, "")
        assert f"Usage: seqlm {command}" in result.out


def test_no_command_is_shown_the_commands(seqlm):
    result = seqlm()
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Usage: seqlm ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "did you mean 'train'?"),
        (["train", "--epoch", "3"], "--epochs"),
        (["eval", "--batch-size", "many"], "--batch-size"),
        (["eval", "--batch-size", "0"], "--batch-size"),
    ],
)
def test_an_unknown_word_gets_the_nearest_and_exit_2(arguments, message, seqlm):
    result = seqlm(*arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.error


# -------------------------------------------------------------------------------------------- pipes


def test_a_pipe_gives_one_number(ngram, toy, tmp_path):
    done = shell(f"cat {toy.test} | $SEQLM eval -m {ngram} --metric ppl -q", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) > 1
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        "sample -n 5000 --max-tokens 50 --seed 1 -q",
        "sample -n 20000 --json -q --max-tokens 2 --seed 1",
        "sample --beam 2 --prompt - -q",
        "eval --per-token -q",
    ],
)
def test_a_reader_that_has_enough_is_no_error(command, ngram, tmp_path):
    verb, flags = command.split(" ", 1)
    (tmp_path / "text").write_text("the frog sees\n" * 20_000)
    done = shell(
        f"($SEQLM {verb} -m {ngram} {flags} < text; echo $? > code) | head -c 20", tmp_path
    )
    assert (tmp_path / "code").read_text() == "0\n"
    assert done.stderr == ""
    assert len(done.stdout.encode()) == 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_samples_are_written_as_they_come_until_stopped(number, lstm):
    endless = [*COMMAND, "sample", "-m", str(lstm), "-n", "1", "--stop", "none", "-q"]
    with subprocess.Popen(
        [*endless, "--max-tokens", "100000000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(200)) == 200
        assert process.poll() is None
        process.send_signal(number)
        process.stdout.read()
        assert process.wait() == 128 + number
        assert process.stderr.read() == b""


SLOW = """
import time
print("ready", flush=True)
try:
    time.sleep(20)
except BaseException:
    print("raised")
"""
DESTRUCTOR = "class A:\n    def __del__(self):\n" + textwrap.indent(SLOW, "        ") + "\nA()\n"


@pytest.mark.parametrize("caller", ["seqlm.cli.app", "seqlm.machine.device"])
@pytest.mark.parametrize("code", ["import slow", DESTRUCTOR], ids=["import", "destructor"])
def test_nothing_is_raised_in_a_slow_import_or_destructor(caller, code, tmp_path):
    """Where native code is in between, that would abort."""
    (tmp_path / "slow.py").write_text(SLOW)
    script = (
        "from seqlm.cli.process import Signals\n"
        "Signals()\n"
        f"exec({code!r}, {{'__name__': {caller!r}}})"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE,
        env=environment(PYTHONPATH=str(tmp_path)),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b""
        assert process.wait() == 128 + signal.SIGINT


def test_a_full_disk_for_results_is_an_error(ngram, toy, tmp_path):
    done = shell(f"$SEQLM eval -m {ngram} {toy.test} -q > /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (1, "seqlm: error: No space left on device\n")


def test_closed_streams_are_empty_ones(ngram, toy, tmp_path):
    done = shell(f"$SEQLM eval -m {ngram} -q <&-", tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("seqlm: error: there is no text to evaluate")
    done = shell(f"$SEQLM eval -m {ngram} {toy.test} >&- 2>&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_text_is_utf8_whatever_the_locale(lstm, tmp_path):
    done = shell(
        f"printf 'the älteste' | $SEQLM sample -m {lstm} -n 1 -q --prompt -", tmp_path, LC_ALL="C"
    )
    assert done.returncode == 0
    assert done.stdout.startswith("the älteste")


# ---------------------------------------------------------------------------------------- terminals


def at_terminal(*arguments: Any, cwd: Path) -> tuple[int, str]:
    """The exit code and all that appears, with the three streams on a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=environment(TERM="xterm"),
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 1 << 16)
            except OSError:  # the terminal is gone with the process
                break
        os.close(ours)
    return process.returncode, shown.decode()


@pytest.mark.parametrize("command", ["count", "train", "eval"])
def test_without_a_text_at_a_terminal_the_way_is_shown(command, tmp_path):
    code, shown = at_terminal(command, cwd=tmp_path)
    assert code == 2
    assert "no text: name a file, or pipe one in" in shown
    assert list(tmp_path.iterdir()) == []


def test_at_a_terminal_figures_are_a_table_and_progress_is_live(lstm, toy, tmp_path):
    code, shown = at_terminal(
        "eval", "-m", lstm, toy.test, "--metric", "ppl,bits-per-byte", cwd=tmp_path
    )
    assert code == 0
    assert "bits-per-byte" in shown
    assert "\t" not in shown
    code, shown = at_terminal(
        "train", toy.train, "--width", 4, "--steps", 30, "-o", "run", cwd=tmp_path
    )
    assert code == 0
    assert "30/30" in shown
    assert "tokens/s" in shown


def test_off_a_terminal_there_is_no_animation(toy, tmp_path):
    result = seqlm_process(
        "train", toy.train, "--width", 4, "--steps", 30, "-o", "run", cwd=tmp_path
    )
    assert (result.code, result.out) == (0, "run\n")
    assert "\r" not in result.err
    assert "\x1b" not in result.err
