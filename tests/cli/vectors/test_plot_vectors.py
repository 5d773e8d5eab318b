"""`seqlm vectors plot` and `analogy --plot`: places on stdout, and pictures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from seqlm.evaluation.vector_maps.word_map import map_words
from seqlm.runs.loading.load_vectors import load_vectors
from seqlm.runs.loading.locate import locate
from tests.command import Result, seqlm_inside
from tests.runs.vector_files.vector_file_bytes import text_lines

WORDS = ["the", "king", "queen", "man", "woman", "frog"]
VECTORS = np.array(
    [[3, 1, 1], [1, 0, 1], [1, 1, 1.2], [1, 0, 0], [1, 1, 0], [-1, 2, 0.5]], np.float32
)


@pytest.fixture(autouse=True)
def glove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("glove.txt").write_bytes(text_lines(WORDS, VECTORS))


def plot(*arguments: str, stdin: bytes = b"") -> Result:
    return seqlm_inside("vectors", "plot", "-m", "glove.txt", *arguments, stdin=stdin)


def places_of(result: Result) -> dict[str, list[float]]:
    assert result.code == 0, result.err
    header, *rows = csv.reader(io.StringIO(result.out), csv.excel_tab)
    assert header == ["word", "x", "y"]
    return {word: [float(x), float(y)] for word, x, y in rows}


def test_the_places_of_words_are_printed() -> None:
    table = load_vectors(locate("glove.txt", "vectors"))
    result = plot("king", "queen", "man", "king")
    expected = map_words(table, ["king", "queen", "man"])
    found = places_of(result)
    assert list(found) == expected.words
    np.testing.assert_allclose(list(found.values()), expected.places, atol=1e-8)
    assert expected.shares is not None
    assert f"{expected.shares[0]:.1%} and " in result.err
    assert places_of(plot("-", stdin=b"king\n\n queen\nman\n")) == found
    records = [json.loads(line) for line in plot("king", "queen", "man", "--json").out.splitlines()]
    assert [record["word"] for record in records] == expected.words


def test_the_first_words_are_shown_if_none_is_named() -> None:
    assert list(places_of(plot())) == WORDS
    assert list(places_of(plot("--most", "3"))) == WORDS[:3]


def test_words_without_a_direction_are_left_out_unless_named() -> None:
    vectors = np.where(np.arange(6)[:, None] == 1, 0, VECTORS)
    Path("glove.txt").write_bytes(text_lines(WORDS, vectors))
    assert list(places_of(plot())) == [word for word in WORDS if word != "king"]
    assert "the vector of 'king' is all zeros" in plot("king", "man").error


def test_tsne_is_the_same_for_the_same_seed() -> None:
    drawn = [plot("--method", "tsne", *seed).out for seed in ([], [], ["--seed", "1"])]
    assert drawn[0] == drawn[1] != drawn[2]
    result = plot("--method", "tsne", "--perplexity", "2", "--seed", "1")
    assert "Kullback-Leibler divergence of the map: " in result.err
    assert result.out != drawn[2]


def test_a_picture_is_written() -> None:
    pytest.importorskip("matplotlib")
    result = plot("king", "queen", "man", "-o", "it.png")
    assert places_of(result)
    assert result.err.splitlines()[-1] == "it.png"
    assert Path("it.png").read_bytes().startswith(b"\x89PNG")
    refused = plot("king", "queen", "man", "-o", "it.png")
    assert refused.error == "it.png exists already; set --overwrite to replace it"
    assert plot("king", "queen", "man", "-o", "it.png", "--overwrite", "-q").err == ""


def test_an_analogy_is_drawn() -> None:
    pytest.importorskip("matplotlib")
    command = ["vectors", "analogy", "-m", "glove.txt"]
    result = seqlm_inside(*command, "man", "king", "woman", "--plot", "it.svg")
    assert (result.code, result.out.splitlines()[1].split("\t")[3]) == (0, "queen")
    assert "king − man + woman" in Path("it.svg").read_text()
    piped = seqlm_inside(*command, "--plot", "other.svg", stdin=b"man king woman\n")
    assert (piped.code, piped.error) == (2, "--plot draws one analogy: name its three words")
    named = seqlm_inside(*command, "man", "king", "woman", "--plot", "it.doc")
    assert (named.code, named.out) == (2, "")


def test_what_is_wrong_is_one_line() -> None:
    cases = {
        ("--seed", "1"): "--seed is for --method tsne",
        ("--perplexity", "2"): "--perplexity is for --method tsne",
        ("--method", "umap"): "--method 'umap'; there are pca, tsne",
        ("king",): "a map has at least 2 words, and there are 1",
        ("king", "quen"): "no vector of 'quen' in glove.txt; did you mean 'queen'?",
        ("--method", "tsne", "--perplexity", "9"): "perplexity is 9: it is from 1 to 5, the number",
        ("king", "queen", "--most", "5"): "--most is for a map of the first words",
        ("king", "-"): "- stands for standard input, and not beside words",
        ("-m", "glove.txt"): "seqlm vectors plot takes one --model, and 2 are named",
        ("-o", "it.gif"): "it.gif: the name of a plot ends in .png, .svg, .pdf",
        ("-o", "none/it.png"): "none/it.png: there is no folder none",
    }
    for arguments, message in cases.items():
        result = plot(*arguments)
        assert (result.code, result.out) == (2, "")
        assert message in result.error
