"""gensim, where it is installed, reads what is written, and writes what is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqlm.evaluation.vectors.nearest_words import nearest_words
from seqlm.runs.loading.load_vectors import load_vectors_file
from seqlm.runs.vector_files.read_vectors import read_vectors
from seqlm.runs.vector_files.vector_formats import FORMATS
from seqlm.runs.vector_files.write_vectors import write_vectors

WORDS = [f"wörd{number}" for number in range(300)]
VECTORS = np.random.default_rng(1).normal(size=(300, 20)).astype(np.float32)

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""gensim leaves a file open where there is no header."""


@pytest.mark.parametrize("to", FORMATS)
def test_gensim_reads_what_is_written_and_has_the_same_neighbors(to: str, tmp_path: Path) -> None:
    models = pytest.importorskip("gensim.models")
    path = tmp_path / "file"
    write_vectors(path, WORDS, VECTORS, to)
    loaded = models.KeyedVectors.load_word2vec_format(
        str(path), binary=to == "word2vec-binary", no_header=to == "glove"
    )
    assert loaded.index_to_key == WORDS
    np.testing.assert_array_equal(loaded.vectors, VECTORS)
    table = load_vectors_file(path)
    for word in WORDS[::30]:
        found = nearest_words(table, table.vector(word), 10, exclude=[word])
        expected = loaded.most_similar(word, topn=10)
        assert [each.word for each in found] == [neighbor for neighbor, _ in expected]
        np.testing.assert_allclose(
            [each.similarity for each in found], [value for _, value in expected], atol=1e-5
        )


@pytest.mark.parametrize("binary", [False, True])
def test_what_gensim_writes_is_read(binary: bool, tmp_path: Path) -> None:
    models = pytest.importorskip("gensim.models")
    vectors = models.KeyedVectors(20)
    vectors.add_vectors(WORDS, VECTORS)
    vectors.save_word2vec_format(str(tmp_path / "file"), binary=binary)
    found = read_vectors(tmp_path / "file")
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, VECTORS)
