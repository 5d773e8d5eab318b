"""Ctrl-C and SIGTERM: every command ends soon, at any stage, without a word, and nothing is left.

Each command reads a text that takes it many seconds. A signal comes while it imports what it needs,
while it works, or when it says that a stage begins.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.command import COMMAND, environment, seqlm_inside
from tests.conftest import REPOSITORY

CORPORA = REPOSITORY / "corpora"
SECONDS = 5.0
"""In which a command has ended after a signal; two on a machine that does nothing else."""

COUNT = "count long.txt -o run"
STAGES = {
    "reading": (COUNT, "reading"),
    "learning of BPE": (f"{COUNT} --tokenizer bpe", "reading"),
    "counting": (COUNT, "counting 3-grams"),
    "counting in pieces": (f"{COUNT} --memory 500M", "merging 3-grams"),
    "tuning": (f"{COUNT} --smoothing jelinek-mercer --tune short.txt", "counting 5-grams"),
    "pruning": (f"{COUNT} --prune 1e-9", "pruning"),
    "replacement": ("count long.txt -o old --overwrite", "smoothing"),
    "static mixing": ("export -m old -m other --to arpa -o x.arpa", "uniting 2-grams"),
    "reading of ARPA": ("export -m old.arpa --to run -o run", "reading"),
    "writing of ARPA": ("export -m old --to arpa -o x.arpa", "writing"),
}
"""A command, and the beginning of the stage of it in which the signal comes."""

COMMANDS = {
    "eval --tune": "eval -m lstm -m lstm --tune long.txt short.txt",
    "eval --per-word": "eval -m lstm --per-word long.txt",
    "eval --dynamic": "eval -m lstm --dynamic 5 long.txt",
    "sample": "sample -m old -n 100000000",
    "translate": "translate -m french long.en",
    "next": "next -m old",
    "rescore": "rescore -m lstm lists.txt",
    "train": "train long.txt --width 64 --layers 1 -o run",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with texts that are long, and small models."""
    folder = tmp_path_factory.mktemp("signals")
    text = (CORPORA / "markov.train.txt").read_text() + (CORPORA / "hidden.train.txt").read_text()
    (folder / "long.txt").write_text((CORPORA / "prose.train.txt").read_text() + text)
    (folder / "short.txt").write_text((CORPORA / "prose.valid.txt").read_text())
    english, french = (str(CORPORA / f"courtyard.train.{language}") for language in ("en", "fr"))
    (folder / "long.en").write_text(10 * Path(english).read_text())
    lines = (folder / "long.txt").read_text().split("\n")
    lists = [f"{number // 5} ||| {line} ||| TM= -1 ||| -1" for number, line in enumerate(lines)]
    (folder / "lists.txt").write_text("\n".join(lists[:-1]) + "\n")
    small = ["--width", 16, "--layers", 1, "--steps", 3, "-q"]
    prose, old = CORPORA / "prose.train.txt", folder / "old"
    for command in (
        ["count", prose, "-n", 3, "-q", "-o", old],
        ["count", prose, "-n", 2, "-q", "--vocab", old, "-o", folder / "other"],
        ["export", "-m", old, "--to", "arpa", "-o", folder / "old.arpa", "-q"],
        ["train", prose, *small, "-o", folder / "lstm"],
        ["train", "--source", english, "--target", french, *small, "-o", folder / "french"],
    ):
        done = seqlm_inside(*command)
        assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def importing_time(place: Path) -> float:
    """Seconds in which this machine starts a command and imports what it needs."""
    start = time.perf_counter()
    command = [*COMMAND, "next", "-m", "lstm", "-q"]
    subprocess.run(command, cwd=place, env=environment(), check=True, input=b"a\n")
    return time.perf_counter() - start


def content(folder: Path) -> dict[Path, Any]:
    """Every file and folder, with the time of its last change."""
    return {path: path.is_file() and path.stat().st_mtime_ns for path in folder.rglob("*")}


def stop(command: str, place: Path, number: int, moment: float | str) -> tuple[int, str, float]:
    """Runs a command that gets the signal `number` after `moment` seconds, or when it has said
    `moment`: its exit status, what else it has written to stderr, and how long it took to end."""
    with (place / "long.txt").open() as text, subprocess.Popen(
        [*COMMAND, *command.split()], cwd=place, env=environment(TMPDIR=str(place)),
        stdin=text, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        if isinstance(moment, str):
            assert any(moment in line for line in process.stderr), f"{command} says no {moment}"
        else:
            time.sleep(moment)
        assert process.poll() is None, f"{command} has ended before the signal"
        process.send_signal(number)
        start = time.perf_counter()
        err = process.stderr.read()
        code = process.wait()
    return code, err, time.perf_counter() - start


def copies(place: Path, folder: Path, count: int) -> list[Path]:
    """Folders in which commands find what is in `place`; the runs may be written."""
    made = [folder / str(number) for number in range(count)]
    for copy in made:
        copy.mkdir()
        for entry in place.iterdir():
            if entry.name != "old":
                (copy / entry.name).symlink_to(entry)
        shutil.copytree(place / "old", copy / "old")
    return made


def check(results: list[tuple[int, str, float]], numbers: list[int]) -> None:
    for (code, err, seconds), number in zip(results, numbers, strict=True):
        assert code == 128 + number, err
        assert "Traceback" not in err
        assert "internal error" not in err
        assert err.count("seqlm: error") <= 1
        assert seconds < SECONDS


@pytest.mark.parametrize("name", STAGES)
def test_a_signal_in_a_stage(name: str, place: Path, tmp_path: Path) -> None:
    command, stage = STAGES[name]
    (folder,) = copies(place, tmp_path, 1)
    before = content(folder)
    number = (signal.SIGINT, signal.SIGTERM)[list(STAGES).index(name) % 2]
    check([stop(command, folder, number, stage)], [number])
    assert content(folder) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_at_any_moment(
    name: str, place: Path, tmp_path: Path, importing_time: float
) -> None:
    folders = copies(place, tmp_path, 2)
    before = [content(folder) for folder in folders]
    numbers, moments = [signal.SIGINT, signal.SIGTERM], [0.5, 1.5]
    if list(COMMANDS).index(name) % 2:
        numbers.reverse()
    with ThreadPoolExecutor() as pool:
        results = list(
            pool.map(
                lambda folder, number, moment: stop(
                    COMMANDS[name], folder, number, moment * importing_time
                ),
                folders, numbers, moments,
            )
        )  # fmt: skip
    check(results, numbers)
    for folder, result, old in zip(folders, results, before):
        # What a training has come to is kept, and said.
        assert content(folder) == old or "--resume run" in result[1]
