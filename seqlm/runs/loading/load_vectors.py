"""Word vectors in memory: of a run, or of a file of any format that `vector_files` reads.

    v_w               the vector of word w, as it is stored
    |v_w|             its norm
    cos(w, u)         v_w · u / |v_w| |u|, which needs no normalized copy of the table

The table is the only copy in memory: what is computed of it is computed where it lies.

    N words · D numbers of a vector
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from seqlm.errors import UsageError, nearest, shown
from seqlm.runs.loading.locate import ModelPath, WrongTask
from seqlm.runs.run_config import RunConfig
from seqlm.runs.tensor_files import read_tensors
from seqlm.runs.untrusted.file_digest import digest
from seqlm.runs.vector_files.fasttext_model import (
    MAGIC,
    FastTextModel,
    compose_vectors,
    listed_vectors,
)
from seqlm.runs.vector_files.read_vectors import first_bytes, read_vectors
from seqlm.text.vocabulary import RESERVED

Compose = Callable[[Sequence[str]], tuple[list[str], np.ndarray]]
"""Words -> those of them that have a vector, and their vectors, (n, D) float32."""
ROWS_AT_ONCE = 1 << 14
"""Rows of the table whose norms are computed together; it bounds memory and changes nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedVectors:
    """Words and their vectors, and what belongs to them."""

    words: list[str]
    """By falling frequency where that is known, else in the order of the file."""
    vectors: np.ndarray
    """(N, D) float32, as stored: not normalized."""
    path: Path
    """The run folder, or the file."""
    weights_digest: str
    """12 digits that name the vectors."""
    counts: np.ndarray | None = None
    """(N,) int64, how often each word was seen, where that is known."""
    config: RunConfig | None = None
    """That of the run."""
    compose: Compose | None = None
    """Gives vectors to words that are not in the table, where the model can do so."""

    def __post_init__(self) -> None:
        assert self.vectors.shape[:1] == (len(self.words),), "a vector for each word"

    def __len__(self) -> int:
        return len(self.words)

    @property
    def width(self) -> int:
        """D"""
        return int(self.vectors.shape[1])

    @cached_property
    def norms(self) -> np.ndarray:
        """(N,) float32, |v_w|."""
        norms = np.empty(len(self), np.float32)
        with np.errstate(over="ignore"):  # of numbers near the largest, the norm is infinite
            for start in range(0, len(self), ROWS_AT_ONCE):
                rows = self.vectors[start : start + ROWS_AT_ONCE].astype(np.float64)
                norms[start : start + len(rows)] = np.sqrt(np.einsum("nd,nd->n", rows, rows))
        return norms

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each word in the table."""
        return {word: row for row, word in enumerate(self.words)}

    def row(self, word: str) -> int | None:
        """The row of `word`, which is looked up as it is."""
        return self.rows.get(word)

    def vector(self, word: str) -> np.ndarray:
        """(D,) float32, the vector of `word`; of a fastText model, composed of its character
        n-grams where the word is not in the table.

        Errors: UsageError naming the word, and one that is spelled like it.
        """
        if not isinstance(word, str):
            raise UsageError(f"{shown(word)} is no word")
        row = self.row(word)
        if row is not None:
            return np.asarray(self.vectors[row])
        if self.compose is not None:
            _, composed = self.compose([word])
            if len(composed):
                return np.asarray(composed[0])
        raise UsageError(f"no vector of {shown(word)} in {self.path}{self.similar_spelling(word)}")

    def similar_spelling(self, word: str) -> str:
        """'; did you mean X?' with a word of the table that is spelled like `word`, or ''."""
        for other in (word.lower(), word.capitalize(), word.upper(), word.strip()):
            if other in self.rows:
                return f"; did you mean {other!r}?"
        return nearest(word, similar_words(word, self.words), cutoff=0.7)

    def with_vectors(self, vectors: np.ndarray) -> LoadedVectors:
        """The same words with other vectors, (N, D'); words that are not in the table have none."""
        rows = np.ascontiguousarray(vectors, np.float32)
        name = hashlib.sha256(rows.data).hexdigest()[:12]
        return replace(self, vectors=rows, weights_digest=name, compose=None)


def similar_words(word: str, words: Sequence[str]) -> Iterator[str]:
    """Those of `words` that begin as `word` does and are about as long: few enough to compare."""
    start, length = word[:1], len(word)
    for other in words:
        if other.startswith(start) and abs(len(other) - length) <= 2:
            yield other


def load_vectors(model_path: ModelPath) -> LoadedVectors:
    """The word vectors at `model_path`: of a run, or of a file.

    Errors: ModelError where there are none, or they cannot be read.
    """
    if model_path.run is not None:
        return load_run_vectors(model_path)
    if model_path.vectors is None:
        raise WrongTask(model_path.path, model_path.config.task, "vectors")
    return load_vectors_file(model_path.vectors)


def load_run_vectors(model_path: ModelPath) -> LoadedVectors:
    """The word vectors of a run. Errors: ModelError where it has none, or cannot be read."""
    # These import torch, which takes longer than most files.
    from seqlm.models.vectors.word_vector_model import WordVectorModel
    from seqlm.runs.loading.load_model import (
        build_model,
        check_config,
        read_weights,
        weights_digest,
    )

    run, config = model_path.run, model_path.config
    assert run is not None
    if config.task != "vectors":
        raise WrongTask(model_path.path, config.task, "vectors")
    options = check_config(run, config)
    folder, tensors, entry = read_weights(run, model_path.checkpoint, read_tensors)
    model = build_model(config, options, tensors, folder / "model.safetensors")
    assert isinstance(model, WordVectorModel)
    first = len(RESERVED)
    names = f"{entry['sha256']} {run.tokenizer.digest}"  # the vectors are those of its words
    return LoadedVectors(
        words=run.tokenizer.words,
        vectors=model.word_vectors()[first:].numpy(),
        path=run.path,
        weights_digest=weights_digest(names, model.settings()),
        counts=model.counts[first:].numpy(),
        config=config,
        compose=model.compose if model.composes else None,
    )


def load_vectors_file(path: Path) -> LoadedVectors:
    """The word vectors of a file. Errors: ModelError naming the line, where it cannot be read."""
    compose: Compose | None = None
    if first_bytes(path).startswith(MAGIC):
        model = FastTextModel(path)
        found, compose = listed_vectors(model), partial(compose_vectors, model)
    else:
        found = read_vectors(path)
    return LoadedVectors(
        words=found.words,
        vectors=found.vectors,
        path=path,
        weights_digest=digest(path)[:12],
        compose=compose,
    )
