"""`seqlm vectors weat`, `bias` and `cluster-test`: figures, notes and errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from seqlm.evaluation.bias.association_tests import run_tests
from seqlm.evaluation.bias.bias_direction import find_direction, project
from seqlm.evaluation.bias.bias_settings import WeatSettings
from seqlm.evaluation.bias.word_sets import published_word_sets, read_tests
from seqlm.runs.vector_files.write_vectors import write_vectors
from tests.command import Result, seqlm_inside
from tests.evaluation.bias.tables import PAIRS, biased_table

TABLE = biased_table()
SETS = "X: w1 w2 w3 w4\nY: w5 w6 w7 no-word\nA: f0 f1 f2\nB: m0 m1 m2\n"


@pytest.fixture(autouse=True)
def folder(workplace: Path) -> Path:
    """Vectors, pairs, a test and lists of words in the current folder."""
    write_vectors(workplace / "toy.txt", TABLE.words, TABLE.vectors)
    (workplace / "pairs.txt").write_text("".join(f"{a} {b}\n" for a, b in PAIRS))
    (workplace / "toy.yaml").write_text(SETS)
    (workplace / "words.txt").write_text("w1 w2\nw3 no-word\n")
    return workplace


def run(command: str, *arguments: str) -> Result:
    return seqlm_inside("vectors", command, "-m", "toy.txt", *arguments)


def table(result: Result) -> list[dict[str, str]]:
    """The rows of a table by the names of its columns."""
    assert result.code == 0, result.err
    header, *lines = [line.split("\t") for line in result.out.splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


# ------------------------------------------------------------------------------------------- weat


def test_a_test_of_a_file() -> None:
    result = run("weat", "toy.yaml")
    [row] = table(result)
    [wanted] = run_tests(TABLE, read_tests("toy.yaml"), WeatSettings())
    assert wanted.figures is not None
    assert float(row["effect_size"]) == pytest.approx(wanted.figures.effect_size, rel=1e-8)
    assert float(row["p"]) == pytest.approx(wanted.figures.p, rel=1e-8)
    others = {name: row[name] for name in ("test", "partitions", "exact", "x", "y", "missing")}
    assert [*others.values()] == ["toy", "35", "true", "4", "3", "1"]
    assert result.warnings == ["toy: no vectors of no-word"]
    assert result.err.splitlines()[-1].startswith("measure:weat|std:sample|sided:one|ties:counted|")


def test_the_choices_of_formula() -> None:
    chosen = {"std": "population", "sided": "two", "ties": "excluded", "missing": "balance"}
    flags = [part for name, value in chosen.items() for part in (f"--{name}", value)]
    result = run("weat", "toy.yaml", *flags, "--samples", "70", "--seed", "4", "--json")
    record = json.loads(result.out)
    [wanted] = run_tests(TABLE, read_tests("toy.yaml"), WeatSettings(**chosen))
    assert (record["effect_size"], record["p"], record["statistic"]) == wanted.figures[:3]
    assert (record["x"], record["y"], record["missing"]) == (3, 3, ["no-word"])
    assert record["signature"] == result.err.splitlines()[-1]
    assert (
        "|std:population|sided:two|ties:excluded|p:exact.200000,sampled.70.4|missing:balance|"
        in (record["signature"])
    )


def test_sampled_p() -> None:
    x, y = (" ".join(f"w{n}" for n in range(start, start + 15)) for start in (10, 30))
    Path("many.yaml").write_text(f"X: {x}\nY: {y}\nA: f0 f1\nB: m0 m1\n")
    first, again, other = (
        table(run("weat", "many.yaml", "--samples", "200", "--seed", seed))[0]
        for seed in ("1", "1", "2")
    )
    assert first == again
    assert first["p"] != other["p"]
    assert (first["partitions"], first["exact"]) == ("200", "false")


def test_all_published_tests_are_printed_by_default() -> None:
    """Those without words in the vectors have no figures."""
    weat7 = published_word_sets()["weat7"]
    words = [word for letter in weat7[1:] for word in letter]
    write_vectors(Path("toy.txt"), words, TABLE.vectors[: len(words)])
    result = run("weat")
    rows = table(result)
    assert [row["test"] for row in rows] == [*published_word_sets()]
    assert [row["test"] for row in rows if row["effect_size"]] == ["weat7"]
    nothing = next(row for row in rows if row["test"] == "weat9")
    assert [*nothing.values()] == ["weat9", *[""] * 5, *["0"] * 4, "26"]
    assert len([each for each in result.warnings if "there is no figure" in each]) == 6
    assert not any("weat7" in each for each in result.warnings)


def test_associations_of_words() -> None:
    rows = table(run("weat", "toy.yaml", "--associations"))
    assert [(row["set"], row["word"]) for row in rows] == [
        ("X", "w1"), ("X", "w2"), ("X", "w3"), ("X", "w4"), ("Y", "w5"), ("Y", "w6"), ("Y", "w7"),
    ]  # fmt: skip
    assert all(-2 <= float(row["association"]) <= 2 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["weat7"], 3, "toy.txt has no word of X, Y, A, B of weat7; missing are math, algebra"),
        (["toy.yaml", "--missing", "refuse"], 3, "lacks words of toy: no-word (--missing refuse)"),
        (["toy.yml"], 2, "no file and no published test 'toy.yml'"),
        (["words.txt"], 3, "words.txt has no sets of words: these are lines as X:"),
        (["toy.yaml", "--std", "n"], 2, "--std is 'n'; there are sample, population"),
        (["toy.yaml", "--samples", "0"], 2, "--samples is 0; it must be"),
    ],
)
def test_errors_of_weat(arguments, code, message) -> None:
    result = run("weat", *arguments)
    assert (result.code, result.out) == (code, "")
    assert message in result.error


# ------------------------------------------------------------------------------------------- bias


def test_projections_of_words() -> None:
    result = run("bias", "w1", "W2", "--words", "words.txt", "--pairs", "pairs.txt")
    rows = table(result)
    g = find_direction(TABLE, PAIRS).g
    lies_at = project(TABLE, g)
    assert [row["word"] for row in rows] == ["w1", "W2", "w3"]
    for row, n in zip(rows, (1, 2, 3)):
        assert float(row["projection"]) == pytest.approx(lies_at[n], rel=1e-8)
    assert result.warnings == ["no vector for 1 word: no-word"]
    assert "direction: 8 pairs, " in result.err
    assert "measure:projection|direction:pca.8." in result.err


def test_one_pair_is_a_direction() -> None:
    row = json.loads(run("bias", "w1", "--direction", "f0, m0", "--json").out)
    lies_at = project(TABLE, find_direction(TABLE, [("f0", "m0")]).g)
    assert row == {"word": "w1", "projection": pytest.approx(lies_at[1])}


def test_without_words_the_farthest_are_printed() -> None:
    rows = table(run("bias", "--pairs", "pairs.txt", "-k", "3", "--vocabulary", "300"))
    lies_at = project(TABLE, find_direction(TABLE, PAIRS).g, 300)
    order = sorted(range(300), key=lambda n: -lies_at[n])
    assert [row["word"] for row in rows] == [f"w{n}" for n in order[:3] + order[-3:]]
    assert len(table(run("bias", "--direction", "f0,m0"))) == 20


def test_the_method_of_the_direction() -> None:
    chosen = run("bias", "w1", "--pairs", "pairs.txt", "--method", "difference")
    lies_at = project(TABLE, find_direction(TABLE, PAIRS, "difference").g)
    assert float(table(chosen)[0]["projection"]) == pytest.approx(lies_at[1], rel=1e-8)


def test_direct_bias() -> None:
    lies_at = project(TABLE, find_direction(TABLE, PAIRS).g)[1:4]
    flags = ["--direct", "--words", "words.txt", "--pairs", "pairs.txt"]
    assert float(run("bias", *flags).out) == pytest.approx(abs(lies_at).mean())
    found = json.loads(run("bias", *flags, "--strictness", "2", "--json").out)
    assert found["direct-bias"] == pytest.approx((lies_at**2).mean())
    assert (found["words"], found["missing"]) == (3, ["no-word"])
    assert found["signature"].startswith("measure:direct-bias.2|direction:pca.8.")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["w1"], 2, "a bias has a direction: give --pairs or --direction"),
        (["--pairs", "gender", "--direction", "f0,m0"], 2, "--pairs and --direction both give"),
        (["--direction", "f0"], 2, "--direction f0: it takes two different words"),
        (["--direction", "f0,f0"], 2, "--direction f0,f0: it takes two different words"),
        (["--direction", "f0,he"], 3, "toy.txt has both words of none of the 1 pairs; missing are"),
        (["--pairs", "pair.txt"], 2, "no file and no published pairs 'pair.txt'; there are gender"),
        (["--pairs", "gender"], 3, "toy.txt has both words of none of the 10 pairs"),
        (["--direct", "--direction", "f0,m0"], 2, "--direct is of words that should be neutral"),
        (["w10000", "--direction", "f0,m0"], 2, "no vector of 'w10000' in toy.txt; did you mean"),
        (["--words", "none.txt", "--direction", "f0,m0"], 3, "no file none.txt"),
        (["--strictness", "0", "--direction", "f0,m0"], 2, "--strictness is 0.0; it must be above"),
    ],
)  # fmt: skip
def test_errors_of_bias(arguments, code, message) -> None:
    result = run("bias", *arguments)
    assert (result.code, result.out) == (code, "")
    assert message in result.error


def test_words_that_are_all_missing() -> None:
    Path("words.txt").write_text("one two")
    result = run("bias", "--words", "words.txt", "--direction", "f0,m0")
    assert (result.code, result.error) == (3, "toy.txt has none of the 2 words")


# ---------------------------------------------------------------------------------- cluster-test


def test_clusters_of_two_sets_of_vectors() -> None:
    assert run("debias", "--pairs", "pairs.txt", "-o", "after.txt").code == 0
    flags = ["--pairs", "pairs.txt", "--most-biased", "40"]
    result = run("cluster-test", *flags, "--debiased", "after.txt", "--debiased", "toy.txt")
    rows = table(result)
    assert [row["vectors"] for row in rows] == ["toy.txt", "after.txt", "toy.txt"]
    assert {row["words"] for row in rows} == {"80"}
    before, after, same = (float(row["accuracy"]) for row in rows)
    assert before == same == 1
    assert 0.5 <= after < 1
    assert "measure:cluster-accuracy.1|direction:pca.8." in result.err


def test_kept_words_and_those_not_in_all_vectors_are_left_out() -> None:
    flags = ["--pairs", "pairs.txt", "--most-biased", "10"]
    first = run("bias", "--pairs", "pairs.txt", "-k", "1")
    farthest = table(first)[0]["word"]
    Path("keep.txt").write_text(farthest)
    rows = [row for row in range(len(TABLE)) if TABLE.words[row] != farthest]
    write_vectors(Path("less.txt"), [TABLE.words[row] for row in rows], TABLE.vectors[rows])
    result = run("cluster-test", *flags, "--debiased", "less.txt")
    assert table(result)[0]["words"] == "19"
    assert result.warnings == ["left out, as not all vectors have them: 1 word"]
    result = run("cluster-test", *flags, "--debiased", "less.txt", "--keep", "keep.txt")
    assert table(result)[0]["words"] == "20"
    assert result.warnings == []


def test_on_a_terminal_figures_stand_in_columns(monkeypatch) -> None:
    monkeypatch.setattr("tests.command.Output.isatty", lambda self: True, raising=False)

    def lines(*arguments: str) -> list[str]:
        return re.sub(r"\x1b\[\d*m", "", run(*arguments).out).splitlines()

    header, *rows = lines("bias", "w1", "w2", "--direction", "f0,m0")
    assert [header.split(), *(row.split()[0] for row in rows)] == [
        ["word", "projection"],
        "w1",
        "w2",
    ]
    assert len({len(line.rstrip()) for line in (header, *rows)}) == 1
    assert lines("weat", "toy.yaml")[1].split()[0] == "toy"
    assert json.loads(run("weat", "toy.yaml", "--json").out)["test"] == "toy"
