"""`seqlm vectors debias` and `erase`: the files that they write, and what they print."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seqlm.evaluation.bias.bias_direction import biased_words, find_direction
from seqlm.evaluation.bias.find_words import label_words
from seqlm.evaluation.bias.hard_debiasing import debias_words
from seqlm.evaluation.bias.leace import erase_labels
from seqlm.runs.vector_files.read_vectors import read_vectors
from seqlm.runs.vector_files.write_vectors import write_vectors
from tests.cli.vectors.test_measure_bias import SETS, TABLE, run, table
from tests.command import Result
from tests.evaluation.bias.tables import PAIRS

DIRECTION = find_direction(TABLE, PAIRS)


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    """Vectors, pairs, a test, lists and labels in the current folder."""
    write_vectors(workplace / "toy.txt", TABLE.words, TABLE.vectors)
    (workplace / "pairs.txt").write_text("".join(f"{a} {b}\n" for a, b in PAIRS))
    (workplace / "toy.yaml").write_text(SETS)
    for name, words in (("even", range(0, 60, 2)), ("odd", range(1, 60, 2))):
        (workplace / f"{name}.txt").write_text(" ".join(f"w{n}" for n in words))
    (workplace / "labels.tsv").write_text(
        "".join(f"w{n}\t{'abc'[n % 3]}\n" for n in range(90)) + "no-word\ta\n"
    )
    return workplace


def figures(result: Result) -> dict[str, tuple[float, float]]:
    return {
        row["figure"]: tuple(float(row[name] or "nan") for name in ("before", "after"))
        for row in table(result)
    }


# ----------------------------------------------------------------------------------------- debias


def test_a_file_without_the_direction_is_written() -> None:
    result = run("debias", "--pairs", "pairs.txt", "-o", "after.txt")
    assert result.code == 0, result.err
    after = read_vectors("after.txt")
    assert after.words == TABLE.words
    np.testing.assert_array_equal(after.vectors, debias_words(TABLE, DIRECTION).vectors)
    assert "vectors: after.txt" in result.err
    assert "change:hard-debiasing|direction:pca.8." in result.err


def test_the_figures_of_debias() -> None:
    found = figures(run("debias", "--pairs", "pairs.txt", "--test", "toy.yaml"))
    assert list(found) == [
        "direct-bias", "probe-accuracy", "probe-training-accuracy", "probe-majority",
        "toy:effect-size", "toy:p", "cosine-to-original",
    ]  # fmt: skip
    before, after = found["direct-bias"]
    assert after < 1e-6 < before
    assert found["probe-majority"] == (0.5, 0.5)
    assert found["probe-accuracy"][0] > found["probe-accuracy"][1]
    assert np.isnan(found["toy:effect-size"][1])  # f and m are as near to every word


def test_words_are_kept_and_pairs_equalized() -> None:
    Path("keep.txt").write_text("w3 w7")
    Path("equal.txt").write_text("f0 m1\n")
    flags = ["--pairs", "pairs.txt", "--keep", "keep.txt", "--equalize", "equal.txt"]
    run("debias", *flags, "--to", "word2vec-binary", "-o", "after.bin")
    wanted = debias_words(TABLE, DIRECTION, ["w3", "w7"], [("f0", "m1")])
    np.testing.assert_array_equal(read_vectors("after.bin").vectors, wanted.vectors)


def test_labels_of_ones_own_are_probed() -> None:
    result = run("debias", "--pairs", "pairs.txt", "--labels", "labels.tsv", "--json")
    records = [json.loads(line) for line in result.out.splitlines()]
    assert result.warnings == ["no vector for 1 word with a label: no-word"]
    majority = next(each for each in records if each["figure"] == "probe-majority")
    assert majority == {"figure": "probe-majority", "before": 30 / 90, "after": 30 / 90}
    assert "|labels:90.3." in result.err


def test_published_tests_belong_to_gender() -> None:
    """They are printed with the published pairs, as far as the vectors have their words."""
    words = [*TABLE.words, "he", "man", "she", "woman", "math", "algebra", "poetry", "art"]
    vectors = np.concatenate([TABLE.vectors, TABLE.vectors[-8:]])
    write_vectors(Path("toy.txt"), words, vectors)
    found = figures(run("debias", "--pairs", "gender"))
    assert [name for name in found if name.startswith("weat")] == [
        "weat7:effect-size", "weat7:p",
    ]  # fmt: skip
    assert not any(
        name.startswith("weat") for name in figures(run("debias", "--direction", "f0,m0"))
    )


# ------------------------------------------------------------------------------------------ erase


@pytest.mark.parametrize("whitening", ["all", "labeled"])
def test_labels_of_a_file_are_erased(whitening) -> None:
    result = run("erase", "--labels", "labels.tsv", "--whitening", whitening, "-o", "after.txt")
    assert result.code == 0, result.err
    labeled = label_words(TABLE, {f"w{n}": "abc"[n % 3] for n in range(90)})
    wanted = erase_labels(TABLE, labeled, whitening)
    np.testing.assert_array_equal(read_vectors("after.txt").vectors, wanted.vectors)
    found = figures(result)
    assert "direct-bias" not in found  # three labels have no direction
    assert found["probe-training-accuracy"][1] == pytest.approx(1 / 3)
    assert found["probe-accuracy"][1] <= 1 / 3 + 0.01
    assert f"change:leace.{whitening}|labels:90.3." in result.err


def test_labels_of_lists_are_erased() -> None:
    result = run("erase", "--lists", "even.txt,odd.txt", "-o", "after.txt")
    labeled = label_words(
        TABLE, {f"w{n}": "eo"[n % 2] for n in [*range(0, 60, 2), *range(1, 60, 2)]}
    )
    np.testing.assert_array_equal(
        read_vectors("after.txt").vectors, erase_labels(TABLE, labeled).vectors
    )
    assert figures(result)["direct-bias"][1] < figures(result)["direct-bias"][0]


def test_the_most_biased_words_are_erased() -> None:
    flags = ["--pairs", "pairs.txt", "--most-biased", "50", "--test", "toy.yaml"]
    result = run("erase", *flags, "-o", "after.txt")
    wanted = erase_labels(TABLE, biased_words(TABLE, DIRECTION, 50))
    np.testing.assert_array_equal(read_vectors("after.txt").vectors, wanted.vectors)
    found = figures(result)
    assert list(found) == [
        "direct-bias", "probe-accuracy", "probe-training-accuracy", "probe-majority",
        "toy:effect-size", "toy:p", "probe-accuracy-new-words", "cosine-to-original",
    ]  # fmt: skip
    assert found["probe-accuracy"][0] > 0.9
    assert found["probe-accuracy"][1] <= 0.51
    assert found["probe-training-accuracy"][1] == 0.5


def test_a_few_words_are_erased_without_a_probe() -> None:
    Path("even.txt").write_text("w0 w2 w4")
    result = run("erase", "--lists", "even.txt,odd.txt")
    assert list(figures(result)) == ["direct-bias", "cosine-to-original"]
    assert result.warnings == ["a label has 3 words, and a probe needs 5: it is left out"]


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("command", "arguments", "code", "message"),
    [
        ("debias", [], 2, "a bias has a direction: give --pairs or --direction"),
        ("debias", ["--pairs", "pairs.txt", "--to", "glov"], 2, "--to is 'glov'; did you mean"),
        ("debias", ["--pairs", "pairs.txt", "-o", "toy.txt"], 2, "toy.txt"),
        ("debias", ["--pairs", "pairs.txt", "-o", "pairs.txt"], 2, "pairs.txt exists already"),
        ("debias", ["--pairs", "pairs.txt", "-o", "none/x"], 2, "there is no folder none"),
        ("debias", ["--pairs", "pairs.txt", "--keep", "no.txt"], 3, "no file no.txt"),
        ("debias", ["--pairs", "pairs.txt", "--test", "weat1"], 3, "no word of X, Y, A, B"),
        ("debias", ["--pairs", "pairs.txt", "--most-biased", "2"], 2, "--most-biased is 2"),
        ("erase", [], 2, "there are no labels to erase: give --labels, --lists, or --pairs"),
        ("erase", ["--labels", "labels.tsv", "--lists", "even.txt"], 2, "--labels and --lists"),
        ("erase", ["--lists", "even.txt"], 3, "toy.txt has only words of the label 'even'"),
        ("erase", ["--lists", "even.txt,even.txt"], 2, "two lists are called even"),
        ("erase", ["--labels", "pairs.txt"], 3, "pairs.txt, line 1: 'f0 m0' is no word and label"),
        ("erase", ["--labels", "labels.tsv", "--whitening", "no"], 2, "--whitening is 'no'"),
        ("erase", ["--direction", "f0,m0", "--pairs", "pairs.txt"], 2, "--pairs and --direc"),
    ],
)  # fmt: skip
def test_errors(command, arguments, code, message) -> None:
    result = run(command, *arguments)
    assert (result.code, result.out) == (code, "")
    assert message in result.error
    assert len(list(Path().glob("*"))) == 6  # nothing is written


def test_a_file_is_replaced_where_that_is_asked_for() -> None:
    Path("after.txt").write_text("x")
    flags = ["--pairs", "pairs.txt", "-o", "after.txt"]
    assert run("debias", *flags).code == 2
    assert run("debias", *flags, "--overwrite").code == 0
    assert len(read_vectors("after.txt").words) == len(TABLE)


def test_pairs_that_cannot_be_equalized() -> None:
    Path("equal.txt").write_text("f0 m0\nf0 m1\n")
    result = run("debias", "--pairs", "pairs.txt", "--equalize", "equal.txt", "-o", "after.txt")
    assert (result.code, result.error) == (3, "f0 is to be equalized twice, once in f0 and m0")
    assert not Path("after.txt").exists()
