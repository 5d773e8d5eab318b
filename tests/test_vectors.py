"""Word vectors from Python: the same answers as the commands print, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqlm as package
from seqlm.errors import DataError, ModelError, UsageError
from tests.command import Result, environment
from tests.evaluation.vectors.tables import KINGS
from tests.runs.vector_files.vector_file_bytes import fasttext_bytes

Run = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    lines = [f"{word} {' '.join(map(str, vector))}\n" for word, vector in KINGS.items()]
    (tmp_path / "kings.vec").write_text("".join(lines))
    return tmp_path / "kings.vec"


@pytest.fixture
def vectors(file: Path) -> package.Vectors:
    loaded = package.load(file)
    assert isinstance(loaded, package.Vectors)
    return loaded


def test_what_they_are(vectors: package.Vectors, file: Path) -> None:
    assert (len(vectors), vectors.width, vectors.path, vectors.task) == (6, 3, file, "vectors")
    assert vectors.words == [*KINGS]
    assert vectors.matrix.shape == (6, 3)
    assert "king" in vectors
    assert "King" not in vectors
    assert 3 not in vectors
    assert repr(vectors) == f"seqlm.Vectors({file})"


def test_the_vector_of_a_word_is_a_copy(vectors: package.Vectors) -> None:
    vector = vectors.vector("king")
    assert vector.tolist() == KINGS["king"]
    vector[:] = 9
    assert vectors.vector("king").tolist() == KINGS["king"]
    assert vectors.vectors(["king", "zero"]).tolist() == [KINGS["king"], KINGS["zero"]]
    assert vectors.vectors([]).shape == (0, 3)


def test_answers_are_those_of_the_commands(
    vectors: package.Vectors, file: Path, seqlm: Run
) -> None:
    def printed(command: str, *arguments: Any) -> Any:
        return json.loads(seqlm("vectors", command, "-m", file, *arguments, "--json").out)

    def as_dicts(found: list[Any], figure: str) -> list[dict[str, Any]]:
        return [{"word": each.word, figure: each.similarity} for each in found]

    nearest = vectors.nearest("king", k=3, vocabulary=5)
    flags = ["-k", 3, "--vocabulary", 5]
    assert printed("nearest", "king", *flags)["words"] == as_dicts(nearest, "similarity")
    for formula in ("add", "mul"):
        answers = vectors.analogy("man", "king", "woman", formula=formula)  # type: ignore[arg-type]
        found = printed("analogy", "man", "king", "woman", "--formula", formula)
        assert found["words"] == as_dicts(answers, "score")
    similarity = vectors.similarity("king", "zero"), vectors.similarity("king", "queen")
    assert similarity == (0, printed("similarity", "king", "queen")["similarity"])
    words = ["king", "queen", "Cat", "man"]
    assert vectors.odd_one_out(words) == printed("odd-one-out", *words)["odd_one_out"] == "Cat"


def test_the_words_nearest_to_a_vector(vectors: package.Vectors) -> None:
    assert vectors.nearest(vectors.vector("king"), k=1)[0].word == "king"
    assert vectors.nearest([0, 0, 2], k=1)[0].word == "Cat"


def test_figures_are_those_of_the_command(
    vectors: package.Vectors, file: Path, tmp_path: Path, seqlm: Run
) -> None:
    questions = tmp_path / "questions"
    questions.write_text(": family\nman king woman queen\nking man cat queen\n")
    found = vectors.evaluate(questions, case="keep")
    printed = json.loads(seqlm("eval", "-m", file, questions, "--case", "keep", "--json").out)
    assert found.figures == {"accuracy": printed["accuracy"]} == {"accuracy": 1.0}
    assert found.signature == printed["signature"]
    assert (found.answered, found.asked) == (1, 2)
    assert vectors.evaluate(questions, "accuracy").figures == {"accuracy": 0.5}


def test_a_fasttext_model_has_vectors_of_unseen_words(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(9, 2))
    (tmp_path / "model.bin").write_bytes(fasttext_bytes([b"frog", b"toad"], rows))
    vectors = package.load(tmp_path / "model.bin")
    assert "frogs" not in vectors
    assert vectors.vector("frogs").shape == (2,)
    assert {word for word, _ in vectors.nearest("frogs")} == {"frog", "toad"}
    assert vectors.similarity("frogs", "frogs") == pytest.approx(1)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("vector", ["quen"], "no vector of 'quen' in .*; did you mean 'queen'"),
        ("vectors", [["king", 3]], "it takes a text"),
        ("similarity", ["king", None], "None is no word"),
        ("nearest", ["zero"], "the vector of 'zero' is all zeros"),
        ("nearest", [[float("nan"), 1, 1]], "a number that is not finite"),
        ("nearest", [[1, 2]], "a vector of 2 numbers, where the vectors have 3"),
        ("nearest", [["king", "queen", "man"]], "is neither a word nor a vector"),
        ("nearest", [[[1], [2, 3]]], "is neither a word nor a vector"),
        ("nearest", ["king", 0], "k is 0; it must be at least 1"),
        ("nearest", ["king", 1, 0], "vocabulary is 0; it must be at least 1"),
        ("analogy", ["man", "king", "woman", 1, "product"], "formula is 'product'"),
        ("odd_one_out", [["king", "man"]], "one of 3 words or more"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    method: str, arguments: list[Any], message: str, vectors: package.Vectors
) -> None:
    with pytest.raises(UsageError, match=message):
        getattr(vectors, method)(*arguments)


def test_what_is_wrong_with_an_evaluation(vectors: package.Vectors, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no setting 'cases'; did you mean 'case'"):
        vectors.evaluate(tmp_path / "missing", cases="keep")
    with pytest.raises(UsageError, match="vocabulary is 'x'; it takes a whole number"):
        vectors.evaluate(tmp_path / "missing", vocabulary="x")
    with pytest.raises(DataError, match=r"no file .*missing"):
        vectors.evaluate(tmp_path / "missing")


def test_they_are_no_model(vectors: package.Vectors, tmp_path: Path) -> None:
    message = "is a set of word vectors, and this needs a language model or a translator"
    with pytest.raises(ModelError, match=message):
        package.export(vectors, tmp_path / "out.arpa")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=message):
        package.mix([vectors, vectors])  # type: ignore[list-item]


def test_they_need_no_torch(file: Path) -> None:
    code = (
        "import sys, seqlm; vectors = seqlm.load(sys.argv[1]); vectors.nearest('king');"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True,
        env=environment(),
    )  # fmt: skip
    assert done.stdout == "False\n"
