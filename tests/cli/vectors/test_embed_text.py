"""`seqlm vectors embed`: vectors of words and sentences, beside those of one sentence at a time."""

from __future__ import annotations

import csv
import io
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from seqlm.decoding import contextual_vectors, embed_sentences
from seqlm.decoding.contextual_vectors import ContextualVectors
from seqlm.runs.loading.load_labeler import load_labeler
from seqlm.runs.loading.load_model import load_model
from seqlm.runs.loading.locate import locate
from tests.command import COMMAND, Result, environment, seqlm_inside
from tests.runs.vector_files.vector_file_bytes import (
    VECTORS,
    fasttext_bytes,
    text_lines,
)
from tests.training.labeled_toy import tagged_text

TEXT = 'the old frog sees a pike .\n\nunheard "quoted" words\na frog\n'
SENTENCES = [line.split() for line in TEXT.splitlines()]
DIRECTIONS = ("forward", "backward")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forward and a backward language model of pieces, and a tagger that reads both."""
    folder = tmp_path_factory.mktemp("models")
    rng = random.Random(1)
    words = ["the", "old", "frog", "sees", "a", "pike", ".", "heron", "newt", "sleeps"]
    lines = [" ".join(rng.choices(words, k=rng.randrange(2, 9))) for _ in range(200)]
    (folder / "text").write_text("\n".join(lines) + "\n")
    (folder / "tagged").write_text(tagged_text(20))
    small = ["--width", 6, "--epochs", 1, "--quiet"]
    for direction in DIRECTIONS:
        run("train", folder / "text", *small, "--direction", direction, "--tokenizer", "bpe",
            "--vocab-size", 270, "-o", folder / direction)  # fmt: skip
    run("train", folder / "tagged", "--task", "tagging", "--label-column", "pos", *small,
        "--character-width", 4, "--features-from", f"{folder}/forward,{folder}/backward",
        "--lr", 0.1, "-o", folder / "tagger")  # fmt: skip
    return folder


def run(*arguments: object, stdin: str = TEXT) -> Result:
    result = seqlm_inside(*arguments, stdin=stdin.encode())
    assert result.code == 0, result.err
    return result


@pytest.fixture
def embed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`seqlm vectors embed` of models in the folder, on TEXT."""
    monkeypatch.chdir(tmp_path)

    def embed_text(models: list[str], *flags: object, stdin: str = TEXT) -> Result:
        named = [flag for name in models for flag in ("-m", folder / name)]
        return seqlm_inside("vectors", "embed", *named, *flags, stdin=stdin.encode())

    return embed_text


def rows_of(text: str) -> tuple[list[str], list[list[str]], np.ndarray]:
    """The header of a table, its cells before the numbers, and the numbers."""
    header, *rows = csv.reader(io.StringIO(text), csv.excel_tab)
    width = sum(name.startswith("x") for name in header)
    numbers = np.array([row[-width:] for row in rows], np.float32)
    return header, [row[:-width] for row in rows], numbers


def layers_slowly(folder: Path, name: str) -> list[list[np.ndarray]]:
    """Of each sentence on its own, the vectors of each layer."""
    vectors = ContextualVectors(load_model(locate(folder / name)))
    arrays = [vectors.embed([words])[0] for words in SENTENCES]
    return [
        [array[:, layer, :width] for layer, width in enumerate(vectors.layer_widths)]
        for array in arrays
    ]


# ------------------------------------------------------------------------------ what is computed


@pytest.mark.parametrize("words_at_once", [1, 5, 4096])
def test_models_stand_side_by_side_and_the_batch_changes_nothing(
    words_at_once: int, embed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_sentences, "WORDS_AT_ONCE", words_at_once)
    monkeypatch.setattr(contextual_vectors, "POSITIONS", 3 * words_at_once)
    header, cells, numbers = rows_of(embed(DIRECTIONS, "--layers", "all").out)
    assert cells == [
        [str(number), word] for number, words in enumerate(SENTENCES, 1) for word in words
    ]
    of_models = [layers_slowly(folder, name) for name in DIRECTIONS]
    expected = [np.concatenate([*one, *other], 1) for one, other in zip(*of_models)]
    assert header == ["sentence", "word", *(f"x{n + 1}" for n in range(expected[0].shape[1]))]
    np.testing.assert_allclose(numbers, np.concatenate(expected), atol=1e-5)


def test_layers_are_chosen_and_mixed(embed, folder: Path) -> None:
    layers = layers_slowly(folder, "forward")
    assert len(layers[0]) == 3
    widest = max(layer.shape[1] for layer in layers[0])
    for flags in ([], ["--layers", "mean"]):
        numbers = rows_of(embed(["forward"], *flags).out)[2]
        filled = [
            sum(np.pad(layer, [(0, 0), (0, widest - layer.shape[1])]) for layer in sentence) / 3
            for sentence in layers
        ]
        np.testing.assert_allclose(numbers, np.concatenate(filled), atol=1e-5)
    for chosen in ([0], [2], [0, 2], [2, 1]):
        numbers = rows_of(embed(["forward"], "--layers", ",".join(map(str, chosen))).out)[2]
        expected = [np.concatenate([sentence[k] for k in chosen], 1) for sentence in layers]
        np.testing.assert_allclose(numbers, np.concatenate(expected), atol=1e-5)


def test_the_pieces_of_a_word_make_a_difference(embed) -> None:
    """A word of one piece has one vector, and another word has three."""
    found = {
        pieces: rows_of(embed(["forward"], "--layers", "2", "--pieces", pieces).out)[2]
        for pieces in ("last", "first", "mean")
    }
    unheard = len(SENTENCES[0])
    for one, other in [("last", "first"), ("last", "mean"), ("first", "mean")]:
        assert np.abs(found[one] - found[other])[unheard].max() > 1e-3


def test_a_labeler_gives_the_mix_that_it_has_learned(embed, folder: Path) -> None:
    loaded = load_labeler(locate(folder / "tagger"))
    expected = []
    for name, mix in zip(DIRECTIONS, loaded.model.word_features.mixes):
        weights = mix.weights.detach().numpy()
        exponentials, scale = np.exp(weights), mix.scale.item()
        assert np.ptp(weights) > 1e-3
        layers = layers_slowly(folder, name)
        widest = max(layer.shape[1] for layer in layers[0])
        sums = [
            sum(
                scale * weight / exponentials.sum()
                * np.pad(layer, [(0, 0), (0, widest - layer.shape[1])])
                for weight, layer in zip(exponentials, sentence)
            )
            for sentence in layers
        ]  # fmt: skip
        expected.append(np.concatenate(sums))
    numbers = rows_of(embed(["tagger"]).out)[2]
    np.testing.assert_allclose(numbers, np.concatenate(expected, 1), atol=1e-5)
    without = rows_of(embed(["tagger"], "--layers", "1").out)[2]
    np.testing.assert_array_equal(without, rows_of(embed(DIRECTIONS, "--layers", "1").out)[2])


def test_one_vector_a_sentence_is_the_mean_of_its_words(embed) -> None:
    _, cells, numbers = rows_of(embed(["forward"]).out)
    header, lines, means = rows_of(embed(["forward"], "--pool", "mean").out)
    assert header[:2] == ["sentence", "x1"]
    assert lines == [["1"], ["2"], ["3"], ["4"]]
    for number, mean in enumerate(means, 1):
        of_words = [row for (line, _), row in zip(cells, numbers) if line == str(number)]
        expected = np.mean(of_words, axis=0) if of_words else np.zeros_like(mean)
        np.testing.assert_allclose(mean, expected, atol=1e-6)


# ------------------------------------------------------------------------------------ word vectors


@pytest.fixture
def glove(embed) -> Path:
    Path("glove.txt").write_bytes(text_lines(["the", "frog", "a", '"quoted"'], VECTORS))
    return Path("glove.txt").absolute()


def test_word_vectors_are_looked_up_and_unknown_words_have_zeros(embed, glove: Path) -> None:
    result = embed([glove])
    _, cells, numbers = rows_of(result.out)
    table = dict(zip(["the", "frog", "a", '"quoted"'], VECTORS))
    expected = [table.get(word, np.zeros(3)) for _, word in cells]
    np.testing.assert_array_equal(numbers, np.array(expected))
    assert result.warnings == [f"6 of 12 words have no vector in {glove}, and have zeros"]
    assert "device" not in result.err


def test_unknown_words_are_composed_where_they_have_ngrams(embed) -> None:
    rows = np.arange(2 * 9, dtype=np.float32).reshape(-1, 2)
    Path("model.bin").write_bytes(fasttext_bytes([b"frog", b"a"], rows, min_n=4))
    result = embed([Path("model.bin").absolute()], stdin="a toad\ntoad o\n")
    _, cells, numbers = rows_of(result.out)
    assert [word for _, word in cells] == ["a", "toad", "toad", "o"]
    assert numbers[1].any()
    assert (numbers[1] == numbers[2]).all()
    assert not numbers[3].any()
    assert "1 of 4 words have no vector" in result.warnings[0]


def test_word_vectors_beside_contextual_ones(embed, glove: Path) -> None:
    both = rows_of(embed(["forward", glove], "--layers", "1").out)[2]
    alone = [rows_of(embed(["forward"], "--layers", "1").out)[2], rows_of(embed([glove]).out)[2]]
    np.testing.assert_array_equal(both, np.concatenate(alone, 1))


# ------------------------------------------------------------------------------------------ output


def test_objects_have_the_same_numbers(embed) -> None:
    numbers = rows_of(embed(["forward"]).out)[2]
    objects = [json.loads(line) for line in embed(["forward"], "--json").out.splitlines()]
    assert [each["sentence"] for each in objects] == [1, 2, 3, 4]
    assert [each["words"] for each in objects] == SENTENCES
    found = [row for each in objects for row in each["vectors"]]
    np.testing.assert_array_equal(np.array(found, np.float32), numbers)
    means = rows_of(embed(["forward"], "--pool", "mean").out)[2]
    pooled = embed(["forward"], "--pool", "mean", "--json").out.splitlines()
    found = [json.loads(line)["vector"] for line in pooled]
    np.testing.assert_array_equal(np.array(found, np.float32), means)


def test_arrays_have_the_same_numbers(embed) -> None:
    numbers = rows_of(embed(["forward"]).out)[2]
    assert embed(["forward"], "-o", "a.npy").out == "a.npy\n"
    embed(["forward"], "-o", "a.safetensors")
    tensors = load_file("a.safetensors")
    for vectors, lengths in [
        (np.load("a.npy"), np.load("a.lengths.npy")),
        (tensors["vectors"], tensors["lengths"]),
    ]:
        np.testing.assert_array_equal(vectors, numbers)
        assert lengths.tolist() == [7, 0, 3, 2]
    embed(["forward"], "-o", "b.npy", "--pool", "mean")
    means = rows_of(embed(["forward"], "--pool", "mean").out)[2]
    np.testing.assert_array_equal(np.load("b.npy"), means)
    written = {path.name for path in Path().iterdir()}
    assert written == {"a.lengths.npy", "a.npy", "a.safetensors", "b.npy"}


def test_a_line_is_answered_before_the_next_one_comes(folder: Path) -> None:
    command = [*COMMAND, "vectors", "embed", "-m", str(folder / "forward"), "-q"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        for number, line in enumerate(["the frog", "a pike"], 1):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            rows = [process.stdout.readline().split("\t")[:2] for _ in range(2)]
            assert rows == [[str(number), word] for word in line.split()]
        process.stdin.close()
        assert process.wait() == 0


# ------------------------------------------------------------------------------------------ errors


def test_what_is_wrong_is_one_line(embed, folder: Path, glove: Path) -> None:
    Path("there.npy").write_text("precious")
    cases: list[tuple[list[object], list[str], int, str]] = [
        (["forward"], ["--layers", "7"], 2, "the layers are 0, which is the embedding, to 2"),
        (["forward"], ["--layers", "0,,1"], 2, "--layers 0,,1: the layers are"),
        (["forward"], ["--layers", "top"], 2, "--layers top: the layers are"),
        ([glove], ["--layers", "1"], 2, "--layers is for language models"),
        ([glove], ["--pieces", "mean"], 2, "--pieces is for language models"),
        (["tagger"], ["--pieces", "mean"], 2, "a labeler has learned its mix for the last piece"),
        (["forward"], ["--pool", "sum"], 2, "--pool 'sum'; "),
        (["forward"], ["--pieces", "lst"], 2, "--pieces 'lst'; did you mean 'last'?"),
        (["forward"], ["-o", "a.txt"], 2, "ends in .npy or .safetensors"),
        (["forward"], ["-o", "there.npy"], 2, "there.npy exists already; set --overwrite"),
        (["forward"], ["-o", "a.npy", "--json"], 2, "leave out one"),
        (["forward"], ["no-file"], 3, "no file no-file"),
        (["nothing"], [], 4, "no model"),
    ]
    for models, flags, code, message in cases:
        result = embed(models, *flags)
        assert (result.code, result.out) == (code, "")
        assert message in result.error
    assert Path("there.npy").read_text() == "precious"
    latin = seqlm_inside("vectors", "embed", "-m", glove, stdin=b"the\nfr\xf6g\n")
    assert (latin.code, latin.error[:31]) == (3, "<stdin>, line 2: invalid UTF-8 ")


def test_an_ngram_model_has_no_vectors(embed, ngram: Path) -> None:
    result = embed([ngram])
    assert result.code == 4
    assert "has no vectors: it is no neural language model" in result.error


def test_a_long_line_is_refused(embed, glove: Path) -> None:
    result = embed([glove], stdin="frog\n" + "the " * 3_000_000)
    assert result.code == 3
    assert result.error == "<stdin>, line 2: the line is too long for a sentence"
