"""Byte-pair merges: learned from any text in linear time, and ended by a signal."""

from __future__ import annotations

import random
import re
import signal
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Timer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import DataError
from seqlm.machine.threads import run_interruptibly
from seqlm.text.bpe import bpe_learning
from seqlm.text.bpe.bpe_learning import cut_long_runs, learn_bpe
from seqlm.text.reading import Block


def block(text: str) -> Block:
    return Block(text.encode(), "text", 1)


def random_words(number: int) -> str:
    rng = random.Random(1)
    return " ".join("".join(rng.choices(string.ascii_letters, k=12)) for _ in range(number))


# -------------------------------------------------------------------------------------- long words


@given(
    line=st.lists(st.sampled_from(["a", "ab1", " ", "\u3000", "文", "."]), max_size=60).map("".join)
)
def test_no_run_is_long_and_nothing_is_lost(line) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpe_learning, "MAX_WORD", 4)
        patch.setattr(bpe_learning, "LONG_RUN", re.compile(r"\S{4}(?=\S)|\s{4}(?=\s)"))
        parts = list(cut_long_runs(line))
    assert "".join(parts) == line
    assert not any(re.search(r"\S{5}|\s{5}", part) for part in parts)
    if not re.search(r"\S{5}|\s{5}", line):
        assert parts == [line]


@pytest.mark.parametrize("unit", ["ACGT", "あいうえお", " \u3000", "0123456789", ".,;:!?"])
def test_a_line_without_white_space_takes_linear_time(unit) -> None:
    """A quadratic time is a minute here."""
    line = "".join(random.Random(1).choices(unit, k=300_000))
    start = time.process_time()
    tokenizer = learn_bpe([block(line + "\n")], 400, 1)
    assert time.process_time() - start < 15
    assert len(tokenizer) > 300
    assert tokenizer.decode(tokenizer.encode(block(line))).decode() == line


def test_the_merges_of_usual_words_are_those_of_the_library(monkeypatch) -> None:
    text = random_words(300) + "\n" + "naïve 文字 " * 40 + "\n"
    expected = learn_bpe([block(text)], 500, 1)
    monkeypatch.setattr(bpe_learning, "MAX_WORD", 10**9)
    assert learn_bpe([block(text)], 500, 1).merges == expected.merges


# ----------------------------------------------------------------------------------------- signals


def test_an_error_while_reading_is_passed_on() -> None:
    def text() -> Iterator[Block]:
        yield block("a b\n")
        raise DataError("bad text")

    with pytest.raises(DataError, match="bad text"):
        learn_bpe(text(), 300, 1)


def test_a_signal_ends_the_reading() -> None:
    def text() -> Iterator[Block]:
        Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
        while True:
            yield block("endless text\n")

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        learn_bpe(text(), 300, 1)
    assert time.monotonic() - start < 2


def test_work_that_hears_of_the_end_is_waited_for() -> None:
    ended = []

    def work(stopped) -> None:
        signal.raise_signal(signal.SIGINT)
        stopped.wait()
        ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(work)
    assert ended


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_while_merges_are_learned(number, code, tmp_path) -> None:
    text = tmp_path / "text"
    text.write_text(random_words(150_000) + "\n")  # merges of it take half a minute
    command = [
        sys.executable,
        "-m",
        "seqlm",
        "count",
        "--tokenizer",
        "bpe",
        "--vocab-size",
        "60000",
    ]
    process = subprocess.Popen(
        [*command, str(text), "-o", str(tmp_path / "run")], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert any("reading" in line for line in process.stderr)
    time.sleep(1)
    assert process.poll() is None, "it learned too quickly for this test"
    start = time.monotonic()
    process.send_signal(number)
    with process.stderr:
        message = process.stderr.read()
    assert process.wait() == code
    assert time.monotonic() - start < 5  # two seconds, and three for a machine that does other work
    assert "Traceback" not in message
    assert not (tmp_path / "run").exists()
