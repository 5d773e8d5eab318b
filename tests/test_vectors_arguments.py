"""Arguments in Python that are easily taken for something else."""

from __future__ import annotations

from pathlib import Path

import pytest

import seqlm
from seqlm.cli.app import load_command
from seqlm.errors import UsageError
from seqlm.training.config.resolve import resolve


@pytest.fixture
def vectors(tmp_path: Path) -> seqlm.Vectors:
    path = tmp_path / "v.txt"
    path.write_text("a 1 0\nb 0 1\nc 1 1\nking 1 2\n")
    loaded = seqlm.load(path)
    assert isinstance(loaded, seqlm.Vectors)
    return loaded


@pytest.mark.parametrize("method", ["plot", "bias", "odd_one_out"])
def test_a_text_is_no_list_of_letters(vectors: seqlm.Vectors, method: str) -> None:
    with pytest.raises(UsageError, match="one text, and not a list of words"):
        getattr(vectors, method)("abc")


def test_a_number_is_neither_a_word_nor_a_vector(vectors: seqlm.Vectors) -> None:
    with pytest.raises(UsageError, match="3 is neither a word nor a vector"):
        vectors.nearest(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"arch": "skipgram"}, "`arch=skipgram` needs `task=vectors`"),
        ({"arch": "mamba", "task": "vectors"}, "`arch=mamba` needs `task=lm`"),
        ({"arch": "cnn", "task": "tagging"}, "`arch=cnn` needs `task=classification`"),
    ],
)
def test_an_architecture_of_another_task_says_which(given: dict[str, str], needed: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(given)
    assert caught.value.marked == needed


def test_a_command_of_seqlm_is_not_looked_for_in_a_group() -> None:
    group = load_command("vectors")
    with pytest.raises(UsageError, match="no command vectors eval: there is seqlm eval"):
        group.resolve_command(group.make_context("vectors", [], resilient_parsing=True), ["eval"])
