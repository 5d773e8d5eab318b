"""The text of word vectors: what there is to learn from, what is looked at, what is validated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.errors import UsageError
from seqlm.runs.loading.load_vectors import LoadedVectors
from seqlm.text import vocabulary
from seqlm.text.vocabulary import EOS, UNK
from seqlm.training.tasks.probe_words import describe_nearest, probe_words
from seqlm.training.tasks.vectors_task import has_pairs
from seqlm.training.watchers import RemarkWatcher, SilentWatcher
from tests.contract.word_vectors import VectorsInstance, make_vectors, text_of_topics
from tests.training.toy import finish

SKIPGRAM = VectorsInstance("skipgram")

# ------------------------------------------------------------------------------------- the text


@given(
    lines=st.lists(st.lists(st.sampled_from([UNK, 2, 3]), max_size=4), max_size=6),
    chunk=st.sampled_from([1, 2, 3, 100]),
)
def test_two_words_of_a_line_are_a_pair_whatever_is_between(
    lines: list[list[int]], chunk: int
) -> None:
    expected = any(sum(id != UNK for id in line) > 1 for line in lines)
    ids = np.array([id for line in lines for id in (*line, EOS)], np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "CHUNK_SIZE", chunk)
        assert has_pairs(ids) == expected


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text").write_text(text_of_topics(200))
    return tmp_path / "text"


def test_validation_measures_all_of_its_text(text: Path, tmp_path: Path) -> None:
    """Batches of training are large, and report the loss of their first words."""
    losses = []
    for ending in ("the word0u word0v\n", "word0u word1v word2w\n"):
        text.write_text(text_of_topics(400) + text_of_topics(150, seed=3) + ending * 90)
        given: dict[str, Any] = {"batch_size": 10**6, "valid_fraction": 0.37}
        task, trainer = make_vectors(SKIPGRAM, text, **given)
        held_out = task.splits[1]
        assert held_out is not None
        assert len(held_out) > 1500
        with torch.no_grad():
            for table in trainer.network.parameters():
                table.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
        assert trainer.validate is not None
        losses.append(trainer.validate()["loss"])
    assert losses[0] != losses[1]


# ----------------------------------------------------------------------------- an early look


def test_the_words_to_look_at_are_of_middle_frequency() -> None:
    words = [f"w{number}" for number in range(1000)]
    counts = np.arange(1000)  # the last are the most frequent
    assert probe_words(None, words, counts) == ["w968", "w937", "w874"]  # ranks 32, 63 and 126
    assert probe_words(None, words, np.ones(1000)) == ["w31", "w62", "w125"]
    assert probe_words(None, ["a"], np.array([3])) == ["a"]
    assert probe_words(None, ["a", "b"], np.array([3, 1])) == ["a", "b"]


def test_named_words_are_looked_at_and_have_to_have_vectors() -> None:
    words = ["queen", "king", "kings"]
    assert probe_words(" king,queen ,", words, np.ones(3)) == ["king", "queen"]
    for probe, near in (("kingz", "; did you mean 'king'?"), ("xyz", ""), ("king,Queen", "")):
        with pytest.raises(UsageError) as error:
            probe_words(probe, words, np.ones(3))
        word = probe.split(",")[-1]
        assert str(error.value) == f"probe: {word!r} is no word that has a vector{near}"


def table_of(vectors: dict[str, list[float]]) -> LoadedVectors:
    rows = np.array([*vectors.values()], np.float32)
    return LoadedVectors(words=[*vectors], vectors=rows, path=Path("x"), weights_digest="")


def test_nearest_words_are_described_in_one_line() -> None:
    table = table_of({"king": [2, 1], "queen": [1, 0.4], "sea": [-1, 3], "zero": [0, 0]})
    assert describe_nearest(["king", "sea"], table) == (
        "nearest to king: queen, sea, zero; to sea: king, queen, zero"
    )
    assert describe_nearest(["zero", "king"], table) == "nearest to king: queen, sea, zero"
    assert describe_nearest(["zero"], table) == ""
    assert describe_nearest(["king"], table_of({"king": [1, 2]})) == ""
    infinite = table_of({"king": [np.inf, 2], "queen": [1, 2]})
    assert describe_nearest(["king"], infinite) == ""


class Listener(SilentWatcher):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def on_message(self, message: str) -> None:
        self.messages.append(message)


def test_a_remark_is_passed_on_where_there_is_one(text: Path) -> None:
    task, trainer = make_vectors(SKIPGRAM, text, epochs=1)
    finish(trainer)
    heard, nothing = Listener(), Listener()
    RemarkWatcher(task, heard).on_validation(trainer, {}, False)
    assert heard.messages == [task.remark(trainer.network, trainer.settings)]

    class Silent:
        def remark(self, *_: Any) -> str:
            return ""

    silent: Any = Silent()
    RemarkWatcher(silent, nothing).on_validation(trainer, {}, False)
    assert nothing.messages == []
