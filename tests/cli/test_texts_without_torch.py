"""Texts and next tokens from n-gram models, where there is no torch at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Result, environment

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # an import is an error
from seqlm.cli import process
process.main()
"""
COMMANDS = {
    "sample": ["sample", "-n", "3", "--prompt", "the old"],
    "sample without <unk>": ["sample", "--no-unk", "--top-p", "0.9", "-t", "0.7", "--scores"],
    "sample of several prompts": ["sample", "--prompt", "-", "--json", "--no-repeat-ngram", "2"],
    "greedy sample": ["sample", "-t", "0", "-n", "1", "--repetition-penalty", "1.2"],
    "next": ["next", "the old"],
    "next of several histories": ["next", "--json"],
    "next of words": ["next", "the", "--words", "old </s> zyzzyva"],
}


@pytest.fixture(params=["run", "ARPA file"])
def model(
    request: pytest.FixtureRequest, ngram: Path, tmp_path: Path, seqlm: Callable[..., Result]
) -> Path:
    """An n-gram model in each form."""
    if request.param == "run":
        return ngram
    arpa = tmp_path / "model.arpa"
    assert seqlm("export", "-m", ngram, "--to", "arpa", "-o", arpa).code == 0
    return arpa


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=list(COMMANDS))
def test_the_answer_is_the_same_without_torch(
    arguments: list[str], model: Path, seqlm: Callable[..., Result]
) -> None:
    stdin = b"the old\nit\n"
    full = [*arguments, "-m", str(model), *(["--seed", "4"] if "sample" in arguments else [])]
    alone = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *full],
        capture_output=True, input=stdin, env=environment(),
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr.decode()
    assert alone.stdout.decode() == seqlm(*full, stdin=stdin).out != ""
