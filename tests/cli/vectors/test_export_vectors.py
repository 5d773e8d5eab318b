"""`seqlm vectors export`: files that are read back, and what cannot be written."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import numpy as np
import pytest

from seqlm.runs.vector_files.read_vectors import read_vectors
from seqlm.runs.vector_files.vector_formats import FORMATS
from tests.command import COMMAND, environment, seqlm_inside
from tests.runs.vector_files.vector_file_bytes import (
    VECTORS,
    WORDS,
    fasttext_bytes,
    text_lines,
    word2vec_binary,
    word2vec_text,
)


@pytest.fixture
def glove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of vectors in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("glove.txt").write_bytes(text_lines())
    return "glove.txt"


@pytest.mark.parametrize("to", FORMATS)
def test_a_file_is_converted_and_read_back(glove: str, to: str) -> None:
    result = seqlm_inside("vectors", "export", "-m", glove, "--to", to, "-o", "made")
    assert (result.code, result.out) == (0, "made\n")
    assert "4 words of 3 numbers" in result.err
    found = read_vectors("made")
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, VECTORS)
    back = seqlm_inside("vectors", "export", "-m", "made", "--to", "glove", "-q")
    assert (back.code, back.out, back.err) == (0, text_lines().decode(), "")


def test_the_format_is_word2vecs_text_if_none_is_named(glove: str) -> None:
    assert seqlm_inside("vectors", "export", "-m", glove).out == word2vec_text().decode()


def test_binary_on_standard_output(glove: str) -> None:
    command = ["vectors", "export", "-m", glove, "--to", "word2vec-binary", "-o", "-"]
    result = subprocess.run(
        [*COMMAND, *command], capture_output=True, env=environment(), check=True
    )
    assert result.stdout == word2vec_binary(end=b"\n")


def test_the_first_words_compressed(glove: str) -> None:
    seqlm_inside("vectors", "export", "-m", glove, "--most", "2", "-o", "two.txt.gz")
    expected = word2vec_text(WORDS[:2], VECTORS[:2])
    assert gzip.decompress(Path("two.txt.gz").read_bytes()) == expected
    more = seqlm_inside("vectors", "export", "-m", glove, "--most", "99")
    assert more.out == word2vec_text().decode()


def test_no_more_is_read_than_is_written(glove: str) -> None:
    with Path(glove).open("ab") as file:
        file.write(b"no row\n")
    result = seqlm_inside("vectors", "export", "-m", glove, "--most", "4")
    assert (result.code, result.out) == (0, word2vec_text().decode())
    assert seqlm_inside("vectors", "export", "-m", glove).code == 4


def test_a_fasttext_model_gives_the_vectors_of_its_words(glove: str) -> None:
    rows = np.arange(24, dtype=np.float32).reshape(-1, 2)
    Path("model.bin").write_bytes(fasttext_bytes([b"</s>", b"frog"], rows))
    result = seqlm_inside("vectors", "export", "-m", "model.bin", "--to", "vec", "-o", "made.vec")
    assert result.code == 0
    found = read_vectors("made.vec")
    np.testing.assert_array_equal(found.vectors, read_vectors("model.bin").vectors)
    assert found.words == ["</s>", "frog"]


def test_words_that_cannot_be_written(glove: str) -> None:
    Path("spaces.txt").write_bytes(text_lines(["the", ". .", "a b", "c"], VECTORS))
    result = seqlm_inside("vectors", "export", "-m", "spaces.txt", "-o", "made")
    assert result.code == 4
    assert result.error == (
        "--to word2vec cannot hold the word '. .', which has white space or a control character;"
        " --skip leaves out such words, 2 of 4"
    )
    assert not Path("made").exists()
    result = seqlm_inside("vectors", "export", "-m", "spaces.txt", "--skip", "-o", "made")
    assert result.code == 0
    assert result.warnings == ["left out, as the format cannot hold them: 2 words"]
    assert read_vectors("made").words == ["the", "c"]


def test_usage_errors(glove: str) -> None:
    Path("other").write_text("precious")
    cases = {
        ("--to", "word2vek"): "--to is 'word2vek'; did you mean 'word2vec'?",
        ("-o", "other"): "other exists already; set --overwrite to replace it",
        ("-o", glove, "--overwrite"): "glove.txt is the model that is read; name another --output",
        ("-o", "no/file"): "no/file: there is no folder no",
    }
    for flags, message in cases.items():
        result = seqlm_inside("vectors", "export", "-m", glove, *flags)
        assert (result.code, result.error) == (2, message)
    assert Path("other").read_text() == "precious"
    assert seqlm_inside("vectors", "export", "-m", glove, "-o", "other", "--overwrite").code == 0
    assert Path("other").read_bytes() == word2vec_text()
