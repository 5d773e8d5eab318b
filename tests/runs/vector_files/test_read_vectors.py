"""Files of word vectors that are none, or were changed at random: one line says so."""

from __future__ import annotations

import doctest
import gzip
import os
import random
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from seqlm.errors import ModelError
from seqlm.runs.vector_files.read_vectors import read_vectors
from seqlm.text import reading
from tests.runs.untrusted.mutations import mutate_bytes
from tests.runs.vector_files.vector_file_bytes import (
    fasttext_bytes,
    text_lines,
    word2vec_binary,
    word2vec_text,
)

ROWS = np.random.default_rng(1).normal(size=(12, 3))
FILES: dict[str, bytes] = {
    "text": text_lines(),
    "header": word2vec_text(),
    "binary": word2vec_binary(),
    "lines": word2vec_binary(end=b"\n"),
    "fasttext": fasttext_bytes([b"</s>", b"frog", "Café".encode()], ROWS),
    "classifier": fasttext_bytes([b"frog", b"toad"], ROWS, [b"__label__1"], model=3),
    "gzip": gzip.compress(word2vec_binary()),
}
MUTATIONS = 3000


def test_no_change_of_a_file_is_an_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK_SIZE", 1 << 12)  # quicker
    rng, messages = random.Random(1), list[str]()
    for number in range(MUTATIONS):
        path = tmp_path / str(number)  # quicker than to write to one file again and again
        name, other = rng.choice(list(FILES)), rng.choice(list(FILES))
        path.write_bytes(mutate_bytes(FILES[name], FILES[other], rng))
        wanted = rng.choice([None, ["frog", "toad", "中文"]])
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*(repeats|NUL bytes|FFFD)")
                vectors = read_vectors(path, wanted, rng.choice([None, 2]))
        except ModelError as error:
            messages.append(str(error))
        else:
            assert len(vectors.words) == len(set(vectors.words)) == len(vectors.vectors)
            assert np.isfinite(vectors.vectors).all()
            assert set(vectors.words) <= set(wanted or vectors.words)
    assert all("\n" not in message and len(message) < 500 for message in messages)
    assert 0.3 * MUTATIONS < len(messages) < 0.9 * MUTATIONS


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_bytes(text_lines())
    os.mkfifo(tmp_path / "pipe")
    refused = {
        "glove.tx": "did you mean 'glove.txt'",
        "pipe": "is a pipe, not a file",
        ".": "is a folder",
        "a\0b": "cannot be read",
    }
    for name, message in refused.items():
        with pytest.raises(ModelError, match=message):
            read_vectors(f"{tmp_path}/{name}")
    with pytest.raises(ModelError, match="- cannot be read: No such file"):
        read_vectors("-")


def test_a_compressed_fasttext_model_is_to_be_decompressed(tmp_path: Path) -> None:
    path = tmp_path / "model.bin.gz"
    path.write_bytes(gzip.compress(FILES["fasttext"]))
    with pytest.raises(ModelError, match=r"compressed fastText model: decompress it first"):
        read_vectors(path)


@pytest.mark.parametrize(
    "module", ["models.vectors.character_ngrams", "runs.vector_files.text_vectors"]
)
def test_examples_give_what_they_say(module: str) -> None:
    result = doctest.testmod(import_module(f"seqlm.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
