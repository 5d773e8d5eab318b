"""Pictures of maps: what is in the files, and that no label is lost without being counted."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from seqlm.errors import UsageError
from seqlm.evaluation.vector_maps.word_map import WordMap, map_analogy, map_words
from tests.evaluation.vectors.tables import table_of

WORDS = ["man", "king", "woman", "queen", "$5", "zero"]
VECTORS = np.array([[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1.2], [0, 3, 1], [0, 0, 0]], np.float32)
TABLE = table_of(WORDS, VECTORS)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt(sum(number * number for number in vector))


def test_a_map_keeps_the_distances_of_unit_vectors_as_far_as_a_plane_can() -> None:
    made = map_words(TABLE, ["man", "king", "man", "woman"])
    assert made.words == ["man", "king", "woman"]
    x = [unit(VECTORS[WORDS.index(word)]) for word in made.words]
    for i in range(3):  # three points lie in a plane
        for j in range(3):
            distance = np.linalg.norm(made.places[i] - made.places[j])
            assert distance == pytest.approx(np.linalg.norm(x[i] - x[j]), abs=1e-6)
    assert made.shares is not None
    assert sum(made.shares) == pytest.approx(1)
    assert made.cost is None


def test_neighbors_by_tsne() -> None:
    made = map_words(TABLE, WORDS[:4], "tsne", seed=1)
    assert made.shares is None
    assert made.cost is not None
    assert made.places.shape == (4, 2)


def test_an_analogy_lies_in_the_plane_of_its_words() -> None:
    made = map_analogy(TABLE, "man", "king", "woman", "queen")
    a, b, c, _ = (unit(vector) for vector in VECTORS[:4].astype(np.float64))
    center = np.mean([unit(vector) for vector in VECTORS[:4].astype(np.float64)], axis=0)
    # The fourth corner of the parallelogram: places are linear in the vectors.
    np.testing.assert_allclose(
        made.target, made.places[1] - made.places[0] + made.places[2], atol=1e-6
    )
    assert np.linalg.norm(made.target) <= np.linalg.norm(b - a + c - center) + 1e-6


def test_words_that_cannot_be_mapped() -> None:
    with pytest.raises(UsageError, match="a map has at least 2 words, and there are 1"):
        map_words(TABLE, ["man", "man"])
    with pytest.raises(UsageError, match="no vector of 'mna' in toy"):
        map_words(TABLE, ["man", "mna"])
    with pytest.raises(UsageError, match="'zero' is all zeros"):
        map_words(TABLE, ["man", "zero"])


# ----------------------------------------------------------------------------------------- pictures


def labels_of(svg: str) -> list[str]:
    """The texts of a picture, which matplotlib writes as comments beside their outlines."""
    return [text.replace("\\$", "$") for text in re.findall(r"<!-- (.*?) -->", svg)]


@pytest.fixture
def figures() -> object:
    pytest.importorskip("matplotlib")
    from seqlm.evaluation.vector_maps import map_figure

    return map_figure


@pytest.mark.parametrize("name", ["it.png", "it.SVG", "it.pdf"])
def test_files_are_the_same_each_time(name: str, figures, tmp_path: Path) -> None:
    made = map_words(TABLE, WORDS[:5])
    pictures = []
    while len(pictures) < 2:
        assert figures.draw_map(str(tmp_path / name), made) == 0
        pictures.append((tmp_path / name).read_bytes())
    magic = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[Path(name).suffix.lower()]
    assert pictures[0].startswith(magic)
    assert pictures[0] == pictures[1]


def test_a_map_has_the_label_of_each_word(figures, tmp_path: Path) -> None:
    figures.draw_map(str(tmp_path / "it.svg"), map_words(TABLE, WORDS[:5]))
    labels = labels_of((tmp_path / "it.svg").read_text())
    assert set(WORDS[:5]) <= set(labels)
    assert any(label.startswith("first component (") for label in labels)


def test_labels_without_room_are_counted(figures, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    words = [f"word-{number}" for number in range(300)]
    crowded = WordMap(words, np.append(rng.normal(size=(299, 2)), [[40, 40]], 0), cost=1.0)
    unlabeled = figures.draw_map(str(tmp_path / "it.svg"), crowded)
    labels = labels_of((tmp_path / "it.svg").read_text())
    assert 0 < unlabeled < 300
    assert len(labels) == len(set(labels)) == 300 - unlabeled
    assert "word-299" in labels


def test_words_at_one_place(figures, tmp_path: Path) -> None:
    for places in (np.zeros((3, 2)), np.array([[0.0, 0], [1, 0], [2, 0]])):
        figures.draw_map(str(tmp_path / "it.svg"), WordMap(["a", "b", "c"], places, (1.0, 0.0)))


def test_an_analogy_is_drawn_with_its_sum(figures, tmp_path: Path) -> None:
    made = map_analogy(TABLE, "man", "king", "woman", "queen")
    figures.draw_analogy(str(tmp_path / "it.svg"), made)
    labels = labels_of((tmp_path / "it.svg").read_text())
    assert {"man", "king", "woman", "queen", "king − man + woman"} <= set(labels)


def test_letters_that_the_font_lacks_are_warned_of_once(figures, tmp_path: Path) -> None:
    places = np.array([[0.0, 0], [1, 1]])
    with pytest.warns(UserWarning, match="the font lacks some letters") as caught:
        figures.draw_map(
            str(tmp_path / "it.svg"), WordMap(["\U0001f438", "猫"], places, (1.0, 0.0))
        )
    assert len(caught) == 1
