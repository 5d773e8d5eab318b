"""`seqlm eval` of word vectors: its figures, how they are printed, what it refuses."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seqlm.cli import console
from tests.command import Result
from tests.evaluation.vectors.tables import KINGS

ANALOGIES = (
    ": family\nman king woman queen\nking queen man woman\nCat king man zero\n"
    ": gram1\nking man cat queen\nking man foo queen\n"
)
PAIRS = "# words\nking,queen,9\nMan,woman,8.5\ncat,king,1\nfoo,bar,3\n"
Run = Callable[..., Result]


@pytest.fixture
def folder(workplace: Path) -> Path:
    """The current folder: vectors, and a file of each kind."""
    lines = [f"{word} {' '.join(map(str, vector))}\n" for word, vector in KINGS.items()]
    (workplace / "kings.vec").write_text("".join(lines))
    (workplace / "few.vec").write_text("".join(lines[:4]))
    (workplace / "analogies").write_text(ANALOGIES)
    (workplace / "pairs").write_text(PAIRS)
    return workplace


def rows_of(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out), dialect=csv.excel_tab))


def test_the_figures_of_analogies(folder, seqlm):
    result = seqlm("eval", "-m", "kings.vec", "analogies")
    assert result.out == ("accuracy\t0.5\nsemantic-accuracy\t0.6666666667\nsyntactic-accuracy\t0\n")
    said, signature = result.err.splitlines()
    assert said == "4 of 5 analogies are answered"
    assert "|formula:3cosadd|vocabulary:300000|case:lower|oov:skip|answered:4/5|" in signature


def test_one_metric_is_a_number_and_nothing_else(folder, seqlm):
    result = seqlm("eval", "-q", "-m", "kings.vec", "analogies", "--metric", "accuracy")
    assert (result.code, result.out, result.err) == (0, "0.5\n", "")


def test_the_figures_of_pairs(folder, seqlm):
    result = seqlm("eval", "-m", "kings.vec", "pairs", "--json")
    found = json.loads(result.out)
    assert found["spearman"] == pytest.approx(1)
    assert (found["answered"], found["asked"], found["sections"]) == (3, 4, [])
    assert found["signature"] in result.err
    piped = seqlm("eval", "-m", "kings.vec", "--metric", "spearman", stdin=PAIRS.encode())
    assert float(piped.out) == pytest.approx(found["spearman"])


def test_settings_reach_the_figures_and_the_signature(folder, seqlm):
    flags = ["--case", "keep", "--vocabulary", 4, "--formula", "mul"]
    result = seqlm("eval", "-m", "kings.vec", "analogies", *flags, "--metric", "accuracy")
    assert result.out == "1\n"
    assert "|formula:3cosmul|vocabulary:4|case:keep|oov:skip|answered:2/5|" in result.err


def test_a_table_of_sections(folder, seqlm):
    result = seqlm("eval", "-m", "kings.vec", "analogies", "--sections", "--vocabulary", 4)
    assert result.out == (
        "section\tcorrect\tanswered\tasked\taccuracy\n"
        "family\t2\t2\t3\t1\ngram1\t0\t0\t2\t\ntotal\t2\t2\t5\t1\n"
    )
    objects = seqlm("eval", "-m", "kings.vec", "analogies", "--sections", "--json").out
    assert json.loads(objects.splitlines()[0])["section"] == "family"


def test_several_models_and_texts_are_a_table(folder, seqlm):
    models = ["-m", "kings.vec", "-m", "few.vec"]
    result = seqlm("eval", *models, "pairs", "analogies", "--metric", "accuracy")
    assert result.error.startswith("no metric 'accuracy' of pairs, which has pairs of words")
    result = seqlm("eval", *models, "pairs", "analogies")
    rows = rows_of(result)
    assert [(row["model"], row["file"]) for row in rows if row["metric"] == "accuracy"] == [
        ("kings.vec", "analogies"), ("few.vec", "analogies")
    ]  # fmt: skip
    assert len(rows) == 2 * (2 + 3)
    assert result.warnings == [
        f"{file}: kings.vec answers {first} of {asked} questions and few.vec 2: their figures are"
        " of different questions"
        for file, first, asked in (("pairs", 3, 4), ("analogies", 4, 5))
    ]


def test_a_figure_that_is_not_defined_is_null(folder, seqlm):
    (folder / "one").write_text("king queen 5\n")
    found = json.loads(seqlm("eval", "-m", "kings.vec", "one", "--json").out)
    assert found["spearman"] is found["pearson"] is None


def test_people_read_percent(folder, seqlm, monkeypatch):
    monkeypatch.setattr(console, "is_tty", lambda stream: stream is sys.stdout)
    result = seqlm("eval", "-m", "kings.vec", "analogies")
    assert [line.split()[1:] for line in result.out.splitlines()] == [
        ["50.00", "%"], ["66.67", "%"], ["0.00", "%"]
    ]  # fmt: skip
    result = seqlm("eval", "-m", "kings.vec", "pairs", "--metric", "spearman")
    assert result.out.split() == ["spearman", "1.0000"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["analogies", "--metric", "ppl"], 2, "no metric 'ppl'"),
        (["analogies", "--metric", "spearman"], 2, "no metric 'spearman' of analogies"),
        (["pairs", "--sections"], 2, "--sections is of analogies, and pairs has pairs of words"),
        (["pairs", "analogies", "--sections"], 2, "--sections is of one model and one text"),
        (["analogies", "--sections", "--metric", "accuracy"], 2, "leave out --metric"),
        (["analogies", "--per-word"], 2, "--per-word is for language models, and not for"),
        (["analogies", "--per-class"], 2, "--per-class is for taggers and classifiers"),
        (["analogies", "--oracle", "kings.vec"], 2, "--oracle has no effect without"),
        (["analogies", "--vocabulary", 0], 2, "--vocabulary is 0; it must be at least 1"),
        (["analogies", "--formula", "ad"], 2, "--formula is 'ad'; did you mean 'add'?"),
        (["-m", "kings.vec", "-"], 2, "standard input can be read once"),
        (["kings.vec"], 3, "kings.vec: no pair has vectors for all of its words"),
        (["three"], 3, "three, line 3: an analogy has four words, and 'man king woman' has 3"),
        (["missing"], 3, "no file missing"),
        (["binary"], 3, "binary, line 1: invalid UTF-8 at byte 2 (--errors replace"),
        (["foo"], 3, "foo: no analogy has vectors for all of its words"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, code, message, folder, seqlm):
    (folder / "binary").write_bytes(b"a \xff b c\n")
    (folder / "foo").write_text("foo bar foo bar\n")
    (folder / "three").write_text(": family\n\nman king woman\n")
    result = seqlm("eval", "-m", "kings.vec", *arguments)
    assert result.code == code
    assert message in result.error


def test_options_of_vectors_are_not_for_other_models(ngram, toy, seqlm):
    result = seqlm("eval", "-m", ngram, toy.test, "--sections")
    assert result.error == "--sections is for word vectors: name them by --model"
    result = seqlm("eval", "--source", toy.test, "--target", toy.test, "--vocabulary", 9)
    assert result.error.startswith("--vocabulary is for word vectors: leave it out")


def test_word_vectors_do_not_stand_in_for_a_language_model(folder, ngram, toy, seqlm):
    result = seqlm("eval", "-m", ngram, "-m", "kings.vec", toy.test)
    assert result.code == 4
    assert "kings.vec is a set of word vectors, and this needs a language model" in result.error
    result = seqlm("eval", "-m", "kings.vec", "-m", ngram, "pairs")
    assert result.code == 4
    assert result.error == f"{ngram} is a language model, and this needs a set of word vectors"
