"""Texts of word vectors whose phrases are words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqlm.errors import DataError, UsageError
from seqlm.runs.run_folder import RunFolder
from seqlm.text.vocabulary import EOS, UNK
from seqlm.training.config.resolve import resolve
from seqlm.training.tasks.vectors_task import VectorsTask

TEXT = "in new york in\nin in old in\n" * 20 + "rare york\nnew in\n"


def read(text: str, folder: Path, valid: str = "", run: RunFolder | None = None, **given: object):
    settings, _ = resolve({"task": "vectors", "min_count": 2, **given})
    (folder / "text").write_text(text)
    (folder / "valid").write_text(valid)
    files = {"corpus": [str(folder / "text")], "valid": [str(folder / "valid")] if valid else []}
    return VectorsTask.read(files, settings, "strict", run)


def spell(task: VectorsTask, ids: np.ndarray) -> str:
    types = [*map(bytes.decode, task.tokenizer.types)]
    words = ["\n" if id == EOS else "?" if id == UNK else types[id] for id in ids.tolist()]
    return " ".join(words).replace(" \n ", "\n").replace(" \n", "\n")


def test_phrases_are_words_of_the_text_and_of_its_vocabulary(tmp_path: Path) -> None:
    task = read(TEXT, tmp_path, phrases=1, phrase_threshold=1.5)
    assert spell(task, task.corpus.ids) == "in new_york in\nin in old in\n" * 20 + "? ?\n? in\n"
    assert task.words == ["in", "new_york", "old"]  # by falling count, then by bytes
    assert task.counts.tolist() == [3, 42, 101, 20, 20]
    plain = read(TEXT, tmp_path)
    assert task.corpus.digest == plain.corpus.digest
    assert plain.words == ["in", "new", "york", "old"]


def test_words_outside_phrases_stay_where_they_are_frequent(tmp_path: Path) -> None:
    task = read(TEXT, tmp_path, phrases=1, phrase_threshold=1.5, min_count=1)
    assert task.words == ["in", "new_york", "old", "new", "rare", "york"]
    smaller = read(TEXT, tmp_path, phrases=1, phrase_threshold=1.5, min_count=1, vocab_size=6)
    assert len(smaller.tokenizer) == 6


def test_validation_text_has_the_phrases_of_the_training_text(tmp_path: Path) -> None:
    valid = "new york old in\n"
    task = read(TEXT, tmp_path, valid, phrases=1, phrase_threshold=1.5)
    assert task.valid_corpus is not None
    assert spell(task, task.valid_corpus.ids) == "new_york old in\n"


def test_a_text_without_phrases_is_as_it_was(tmp_path: Path) -> None:
    task = read(TEXT, tmp_path, phrases=3, phrase_threshold=1e9)
    plain = read(TEXT, tmp_path)
    assert np.array_equal(task.corpus.ids, plain.corpus.ids)
    assert task.tokenizer.types == plain.tokenizer.types


def test_a_resumed_text_has_to_have_the_same_phrases(tmp_path: Path) -> None:
    given = {"phrases": 1, "phrase_threshold": 1.5}
    task = read(TEXT, tmp_path, **given)
    with RunFolder.create(tmp_path / "run", False, "vectors") as run:
        task.write_vocabulary(run)
        again = read(TEXT, tmp_path, run=run, **given)
        assert np.array_equal(task.corpus.ids, again.corpus.ids)
        with pytest.raises(DataError, match="phrases of the text are not those"):
            read(TEXT + "a new york\n" * 9, tmp_path, run=run, **given)


def test_phrases_are_of_words(tmp_path: Path) -> None:
    for given in ({"tokenizer": "char"}, {"vocab": str(tmp_path / "list"), "min_count": None}):
        (tmp_path / "list").write_text("in\nnew\n")
        with pytest.raises(UsageError, match="phrases needs words"):
            read(TEXT, tmp_path, phrases=1, **given)
