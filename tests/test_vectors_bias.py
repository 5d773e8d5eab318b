"""The bias of word vectors in Python: what `seqlm vectors` does, on one's own words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seqlm
from seqlm.evaluation.bias.bias_direction import find_direction, project
from seqlm.runs.vector_files.write_vectors import write_vectors
from seqlm.vectors import Vectors
from tests.evaluation.bias.tables import PAIRS, biased_table

TABLE = biased_table()
SETS = {"X": ["w1", "w2"], "Y": ["w3", "no-word"], "A": ("f0", "f1"), "B": "m0 m1"}


@pytest.fixture
def vectors(tmp_path: Path) -> Vectors:
    write_vectors(tmp_path / "toy.txt", TABLE.words, TABLE.vectors)
    loaded = seqlm.load(tmp_path / "toy.txt")
    assert isinstance(loaded, Vectors)
    return loaded


def test_weat(vectors, tmp_path) -> None:
    found = vectors.weat(SETS, std="population")
    assert found.sets.missing == ["no-word"]
    assert found.figures.effect_size == pytest.approx(
        vectors.weat(SETS).figures.effect_size * np.sqrt(3 / 2)
    )
    (tmp_path / "one.yaml").write_text("X: w1 w2\nY: w3\nA: f0 f1\nB: m0 m1\n")
    assert vectors.weat(tmp_path / "one.yaml").figures == vectors.weat(SETS).figures
    (tmp_path / "two.yaml").write_text("a: {X: a, Y: b, A: c, B: d}\nb: {X: a, Y: b, A: c, B: d}\n")
    with pytest.raises(seqlm.UsageError, match="has several tests, a, b: give the sets of one"):
        vectors.weat(tmp_path / "two.yaml")
    with pytest.raises(seqlm.DataError, match="no word of X, Y, A, B of weat7"):
        vectors.weat("weat7")
    with pytest.raises(seqlm.DataError, match="the test: the sets are X; they must be X, Y, A"):
        vectors.weat({"X": ["a"]})
    with pytest.raises(seqlm.UsageError, match="no setting 'st'"):
        vectors.weat(SETS, st="sample")


def test_bias(vectors) -> None:
    lies_at = project(TABLE, find_direction(TABLE, PAIRS, "difference").g)
    [first] = vectors.bias(["w1", "no-word"], PAIRS, method="difference")
    assert (first.word, first.projection) == ("w1", pytest.approx(lies_at[1]))
    farthest = vectors.bias(pairs=PAIRS, k=2)
    assert [each.projection for each in farthest] == sorted(
        (each.projection for each in farthest), reverse=True
    )
    assert farthest[0].word == vectors.bias(pairs=PAIRS, k=1)[0].word
    for pairs, message in [
        ([("f0", "f0")], "is no pair of two different words"),
        ([("f0", "f1", "f2")], "is no pair of two different words"),
        ([], "there are no pairs"),
        ("sex", "no file and no published pairs 'sex'"),
    ]:
        with pytest.raises(seqlm.UsageError, match=message):
            vectors.bias(pairs=pairs)
    with pytest.raises(seqlm.UsageError, match="method is 'svd'; there are pca, difference"):
        vectors.bias(pairs=PAIRS, method="svd")


def test_debias(vectors) -> None:
    g = find_direction(TABLE, PAIRS).g
    after = vectors.debias(PAIRS, keep=["w3"])
    assert np.abs(after.matrix[:400] @ g).argmax() == 3
    assert np.abs(np.delete(after.matrix[:400] @ g, 3)).max() < 1e-6
    assert after.words == vectors.words
    assert vectors.matrix @ g == pytest.approx(TABLE.vectors @ g)  # these are as they were
    other = vectors.debias(PAIRS, equalize=[("f0", "m1")])
    assert other.matrix[400] @ g == pytest.approx(-(other.matrix[403] @ g))


def test_erase_what_a_probe_finds(vectors) -> None:
    labels = vectors.most_biased(PAIRS, most=40)
    assert sorted(set(labels.values())) == ["negative", "positive"]
    assert len(labels) == 80
    assert vectors.probe(labels).accuracy > 0.9
    for whitening in ("all", "labeled"):
        found = vectors.erase(labels, whitening).probe(labels)
        assert found.accuracy <= found.majority == found.training_accuracy == 0.5
    with pytest.raises(seqlm.UsageError, match="whitening is 'some'; there are all, labeled"):
        vectors.erase(labels, "some")
    with pytest.raises(seqlm.DataError, match="only words of the label 'a'"):
        vectors.erase({"w1": "a", "no-word": "b"})
