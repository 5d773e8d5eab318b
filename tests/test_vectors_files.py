"""Files, pictures and vectors of sentences from Python: the same as the commands give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import seqlm as package
from seqlm.errors import ModelError, UsageError
from tests.command import seqlm_inside
from tests.runs.vector_files.vector_file_bytes import VECTORS, WORDS, text_lines, word2vec_text


@pytest.fixture
def vectors(workplace: Path) -> package.Vectors:
    Path("glove.txt").write_bytes(text_lines())
    loaded = package.load("glove.txt")
    assert isinstance(loaded, package.Vectors)
    return loaded


def test_vectors_are_exported(vectors: package.Vectors) -> None:
    assert vectors.export("made.vec", "vec") == Path("made.vec")
    assert Path("made.vec").read_bytes() == word2vec_text()
    vectors.export("made.vec", "glove", most=2, overwrite=True)
    assert Path("made.vec").read_bytes() == text_lines(WORDS[:2], VECTORS[:2])
    with pytest.raises(UsageError, match="exists already"):
        vectors.export("made.vec")
    with pytest.raises(UsageError, match="is the model that is read"):
        vectors.export("glove.txt", overwrite=True)


def test_words_that_cannot_be_written_are_an_error_or_left_out(workplace: Path) -> None:
    Path("spaces.txt").write_bytes(text_lines(["a", "b c"], VECTORS[:2]))
    vectors = package.load("spaces.txt")
    with pytest.raises(ModelError, match="cannot hold the word 'b c'"):
        vectors.export("made")
    vectors.export("made", skip=True)
    assert Path("made").read_bytes() == word2vec_text(["a"], VECTORS[:1])


def test_vectors_of_sentences_are_looked_up(vectors: package.Vectors) -> None:
    found = vectors.embed_words(["the frog", ["toad"], ""])
    assert [array.tolist() for array in found] == [VECTORS[:2].tolist(), [[0, 0, 0]], []]
    assert vectors.embed_words("frog")[0].tolist() == [VECTORS[1].tolist()]


def test_places_and_pictures(vectors: package.Vectors) -> None:
    places = vectors.plot(["the", "frog", "中文"])
    assert places.shape == (3, 2)
    assert vectors.plot(WORDS, method="tsne").shape == (4, 2)
    with pytest.raises(UsageError, match=r"it\.gif: the name of a plot ends in"):
        vectors.plot(["the", "frog"], "it.gif")
    pytest.importorskip("matplotlib")
    assert (vectors.plot(["the", "frog"], Path("it.png")) != 0).any()
    assert Path("it.png").read_bytes().startswith(b"\x89PNG")


def test_contextual_vectors_are_those_of_the_command(lstm: Path, workplace: Path) -> None:
    model = package.load(lstm)
    for layers, pieces in [(None, None), (1, "last"), ("0,1", "mean"), ("all", "first")]:
        found = model.embed_words(["the old frog", [], ["a", "pike"]], layers, pieces)
        flags = ["--layers", layers or "mean", "--pieces", pieces or "last", "-o", "it.npy"]
        text = b"the old frog\n\na pike\n"
        result = seqlm_inside(
            "vectors", "embed", "-m", lstm, *flags, "--overwrite", stdin=text
        )  # fmt: skip
        assert result.code == 0, result.err
        assert [len(array) for array in found] == [3, 0, 2]
        np.testing.assert_array_equal(np.concatenate(found), np.load("it.npy"))


def test_what_gives_no_vectors(
    models: Callable[[str], Path], ngram: Path, lstm: Path, workplace: Path
) -> None:
    with pytest.raises(ModelError, match="it is no neural language model"):
        package.load(ngram).embed_words("the frog")
    model = package.load(lstm)
    with pytest.raises(ModelError, match="a mixture has no vectors of its own"):
        package.mix([model, model]).embed_words("the frog")
    with pytest.raises(UsageError, match="layers 9: the layers are 0"):
        model.embed_words("the frog", 9)
    with pytest.raises(UsageError, match=r"pieces is 'lst'; did you mean 'last'\?"):
        model.embed_words("the frog", pieces="lst")
