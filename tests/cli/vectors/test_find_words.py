"""`seqlm vectors` and its `nearest`, `analogy`, `similarity`, `odd-one-out`: what they print and
refuse."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seqlm.cli import console
from tests.command import COMMAND, Result, environment, run_pipeline
from tests.evaluation.vectors.tables import KINGS, slow_cosine

Run = Callable[..., Result]


@pytest.fixture
def kings(tmp_path: Path) -> Path:
    lines = [f"{word} {' '.join(map(str, vector))}\n" for word, vector in KINGS.items()]
    (tmp_path / "kings.vec").write_text(f"{len(KINGS)} 3\n" + "".join(lines))
    return tmp_path / "kings.vec"


@pytest.fixture
def vectors(kings: Path, seqlm: Run) -> Run:
    """`seqlm vectors COMMAND -m kings.vec ARGUMENTS`."""
    return lambda command, *arguments, **more: seqlm(
        "vectors", command, "-m", kings, *arguments, **more
    )


def rows_of(result: Result) -> list[dict[str, str]]:
    assert result.code == 0, result.err
    return list(csv.DictReader(io.StringIO(result.out), dialect=csv.excel_tab))


def cosine(first: str, second: str) -> float:
    return slow_cosine(KINGS[first], KINGS[second])


# -------------------------------------------------------------------------------- what they are


def test_the_group_says_what_the_vectors_are(kings, seqlm):
    result = seqlm("vectors", "-m", kings)
    assert result.code == 0
    assert "words: 6\nwidth: 3\nunseen_words: no vectors\n" in result.out
    assert "zero_vectors: 1\n" in result.out
    summary = json.loads(seqlm("vectors", "-m", kings, "--json").out)
    assert summary["first_words"] == [*KINGS]
    assert summary["path"] == str(kings)


def test_the_model_comes_after_the_command(kings, seqlm):
    result = seqlm("vectors", "-m", kings, "nearest", "king")
    assert result.code == 2
    assert result.error == (
        f"--model comes after the name of the command: seqlm vectors nearest -m {kings}"
    )


# ------------------------------------------------------------------------------------- nearest


def test_neighbors_are_a_table(vectors):
    rows = rows_of(vectors("nearest", "king", "Cat", "-k", 2))
    assert [(row["query"], row["word"]) for row in rows] == [
        ("king", "queen"), ("king", "man"), ("Cat", "woman"), ("Cat", "queen"),
    ]  # fmt: skip
    for row in rows:
        assert float(row["similarity"]) == pytest.approx(cosine(row["query"], row["word"]))


def test_neighbors_are_an_object_a_query(vectors):
    [line] = vectors("nearest", "king", "-k", 1, "--json").out.splitlines()
    found = json.loads(line)
    assert found == {
        "query": "king", "words": [{"word": "queen", "similarity": pytest.approx(0.96)}]
    }  # fmt: skip


def test_neighbors_among_the_first_words(vectors):
    rows = rows_of(vectors("nearest", "Cat", "--vocabulary", 3))
    assert [row["word"] for row in rows] == ["queen", "king", "man"]


def test_every_line_of_a_pipe_is_answered_in_order(vectors):
    result = vectors("nearest", "-k", 1, stdin=b"king\n\n quen \r\nKing\nman")
    assert [(row["query"], row["word"]) for row in rows_of(result)] == [
        ("king", "queen"), ("quen", ""), ("King", ""), ("man", "woman"),
    ]  # fmt: skip
    assert [warning.split(" in ")[0] for warning in result.warnings] == [
        "<stdin>, line 3: no vector of 'quen'", "<stdin>, line 4: no vector of 'King'"
    ]  # fmt: skip
    assert [warning.split("; ")[1] for warning in result.warnings] == [
        "did you mean 'queen'?", "did you mean 'king'?"
    ]  # fmt: skip
    objects = vectors("nearest", "-", "--json", stdin=b"zero\n\xff\n")
    assert [json.loads(line)["words"] for line in objects.out.splitlines()] == [None, None]
    assert "line 1: the vector of 'zero' is all zeros: it has no direction" in objects.warnings[0]


def test_an_answer_comes_before_the_next_question(kings):
    process = subprocess.Popen(
        [*COMMAND, "vectors", "similarity", "-m", str(kings)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        for first, second in (("king", "queen"), ("man", "woman")):
            process.stdin.write(f"{first} {second}\n")
            process.stdin.flush()
            if first == "king":
                assert process.stdout.readline() == "first\tsecond\tsimilarity\n"
            row = process.stdout.readline().split("\t")
            assert float(row[2]) == pytest.approx(cosine(first, second))
        process.stdin.close()
    assert process.returncode == 0


@pytest.mark.parametrize("command", ["nearest", "analogy"])
def test_on_a_terminal_there_is_a_list(command, vectors, monkeypatch):
    monkeypatch.setattr(console, "is_tty", lambda stream: stream is sys.stdout)
    words = ["king"] if command == "nearest" else ["man", "king", "woman"]
    result = vectors(command, *words, "-k", 1)
    assert result.code == 0
    heading, line = result.out.splitlines()
    assert heading.split()[: len(words)] == words
    assert line.split()[0] == "queen"


# ------------------------------------------------------------------------------------ analogies


@pytest.mark.parametrize("formula", ["add", "mul"])
def test_an_analogy(formula, vectors):
    rows = rows_of(vectors("analogy", "man", "king", "woman", "--formula", formula))
    assert [row["word"] for row in rows] == ["queen", "Cat", "zero"]
    assert {tuple(row[name] for name in "abc") for row in rows} == {("man", "king", "woman")}
    piped = vectors("analogy", "--formula", formula, stdin=b"man\tking\twoman\n")
    assert rows_of(piped) == rows
    [line] = vectors("analogy", "man", "king", "woman", "-k", 1, "--json").out.splitlines()
    found = json.loads(line)
    assert (found["a"], found["words"][0]["word"]) == ("man", "queen")


# -------------------------------------------------------------------------------- given words


def test_the_similarity_of_two_words_is_a_number(vectors):
    result = vectors("similarity", "king", "queen")
    assert float(result.out) == pytest.approx(cosine("king", "queen"))
    [line] = vectors("similarity", "king", "queen", "--json").out.splitlines()
    assert json.loads(line)["similarity"] == pytest.approx(cosine("king", "queen"))


def test_the_similarities_of_a_pipe_are_a_table(vectors):
    result = vectors("similarity", stdin=b"king queen\nking\tkin\nzero king\n")
    rows = rows_of(result)
    assert [row["similarity"] for row in rows] == [rows[0]["similarity"], "", "0"]
    assert float(rows[0]["similarity"]) == pytest.approx(cosine("king", "queen"))
    assert len(result.warnings) == 1


def test_the_odd_one_out(vectors):
    assert vectors("odd-one-out", "king", "Cat", "queen", "man").out == "Cat\n"
    result = vectors("odd-one-out", stdin=b"king queen man Cat\nking foo man\nking zero man\n")
    assert [(row["words"], row["odd_one_out"]) for row in rows_of(result)] == [
        ("king queen man Cat", "Cat"), ("king foo man", ""), ("king zero man", ""),
    ]  # fmt: skip
    assert len(result.warnings) == 2
    [line] = vectors("odd-one-out", "king", "Cat", "man", "--json").out.splitlines()
    assert json.loads(line)["words"] == ["king", "Cat", "man"]


# ----------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "message"),
    [
        (["nearest", "king", "quen"], b"", 2, "; did you mean 'queen'?"),
        (["nearest", "zero"], b"", 2, "the vector of 'zero' is all zeros: it has no direction"),
        (["nearest", "king", "--formula", "add"], b"", 2, "no option --formula"),
        (["analogy", "man", "king"], b"", 2, "2 words, where a question has 3"),
        (["analogy"], b"a b c\nman king\n", 3, "<stdin>, line 2: 2 words, where a question has 3"),
        (["analogy", "a", "b", "c", "--formula", "ad"], b"", 2, "did you mean 'add'"),
        (["similarity", "king"], b"", 2, "1 word, where a question has 2"),
        (["similarity"], b"\nking queen man\n", 3, "<stdin>, line 2: 3 words"),
        (["odd-one-out", "king", "man"], b"", 2, "2 words, where a question has at least 3"),
        (["neares", "king"], b"", 2, "no command neares; did you mean 'nearest'?"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, stdin, code, message, vectors):
    result = vectors(*arguments, stdin=stdin)
    assert result.code == code
    assert message in result.error
    assert result.out == "" or stdin


def test_numbers_below_1_are_refused(vectors):
    for flag in ("-k", "--vocabulary"):
        assert vectors("nearest", "king", flag, 0).code == 2


def test_a_model_of_another_kind_is_refused(kings, ngram, seqlm):
    result = seqlm("vectors", "nearest", "-m", ngram, "king")
    assert result.code == 4
    assert result.error == (f"{ngram} is a language model, and this needs a set of word vectors")
    for command in (["sample"], ["next"], ["export", "--to", "arpa"]):
        result = seqlm(*command, "-m", kings)
        assert result.code == 4, command
        assert result.error == f"{kings} is a set of word vectors, and this needs a language model"
    result = seqlm("tag", "-m", kings, stdin=b"a\n")
    assert result.error.endswith("word vectors, and this needs a tagger or a classifier")


def test_a_file_that_is_cut_off_is_refused(tmp_path, seqlm):
    (tmp_path / "cut.vec").write_text("3 2\nking 1 2\nqueen 1\n")
    result = seqlm("vectors", "nearest", "-m", tmp_path / "cut.vec", "king")
    assert result.code == 4
    assert "cut.vec, line 3: a word and 1 numbers, where line 1 calls for 2" in result.error


def test_the_examples_run(kings, lstm, tmp_path, monkeypatch):
    from seqlm.cli.commands.vectors import EXAMPLES

    monkeypatch.chdir(tmp_path)
    kings.rename("glove.txt")
    for name in ("forward", "backward"):
        Path(name).symlink_to(lstm)
    for example in EXAMPLES:
        run_pipeline(example.command)
