"""`seqlm eval --per-word`: tables of texts and of items, under one model or several."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pandas
import pytest

import seqlm as library
from seqlm.evaluation.words import word_tables

COLUMNS = [
    "sentence_id", "word_id", "word", "surprisal", "entropy", "rank", "oov", "start", "end",
]  # fmt: skip
ITEMS = """item\tsentence\tcondition
1\tthe old frog sees every heron .\t"a ""quoted"" one"
2\t"a ""toad""  forgets no reed !"\tNA
3\t\t
"""


def rows_of(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table), dialect=csv.excel_tab))


@pytest.fixture
def items(workplace) -> Path:
    path = workplace / "items.tsv"
    path.write_text(ITEMS)
    return path


def test_words_of_a_text_add_up_to_its_bits(family, toy, seqlm):
    result = seqlm("eval", "-m", family, "--per-word", toy.test)
    assert result.code == 0, result.err
    rows = rows_of(result.out)
    assert list(rows[0]) == COLUMNS
    tokens = rows_of(seqlm("eval", "-m", family, "--per-token", toy.test).out)
    for table_sum, token_sum in zip(*(sentence_sums(table) for table in (rows, tokens))):
        assert table_sum == pytest.approx(token_sum, rel=1e-4)
    words = [row["word"] for row in rows if row["word"] != "</s>"]
    assert words == toy.test.read_text(encoding="utf-8").split()
    signature = result.err.splitlines()[-1]
    assert "words:" in signature
    assert ("ends:" in signature) == ("unit:word" not in signature)


def sentence_sums(rows: list[dict[str, str]]) -> list[float]:
    sums: dict[str, list[float]] = {}
    for row in rows:
        sums.setdefault(row["sentence_id"], []).append(float(row["surprisal"]))
    return [math.fsum(of_sentence) for of_sentence in sums.values()]


def test_files_are_texts_of_their_own_and_lines_are_numbered_on(lstm, toy, seqlm):
    once = rows_of(seqlm("eval", "-m", lstm, "--per-word", toy.test).out)
    twice = rows_of(seqlm("eval", "-m", lstm, "--per-word", toy.test, toy.test).out)
    lines = int(once[-1]["sentence_id"])
    again = [{**row, "sentence_id": str(int(row["sentence_id"]) - lines)} for row in twice]
    assert twice[: len(once)] == once
    assert again[len(once) :] == once


@pytest.mark.parametrize("size", [1, 100])
def test_a_text_is_scored_in_parts(size, lstm, toy, seqlm, monkeypatch):
    whole = seqlm("eval", "-m", lstm, "--per-word", toy.test)
    monkeypatch.setattr(word_tables, "BYTES_AT_ONCE", size)
    parts = seqlm("eval", "-m", lstm, "--per-word", toy.test)
    assert parts.err == whole.err
    for row, expected in zip(rows_of(parts.out), rows_of(whole.out), strict=True):
        surprisal = float(row.pop("surprisal")), float(row.pop("entropy"))
        assert surprisal == pytest.approx(
            (float(expected.pop("surprisal")), float(expected.pop("entropy"))), rel=1e-4, abs=1e-4
        )
        assert row == expected


def test_items_are_scored_on_their_own_and_keep_their_other_columns(family, items, seqlm):
    result = seqlm("eval", "-m", family, "--per-word", "--table", items)
    assert result.code == 0, result.err
    rows = rows_of(result.out)
    assert list(rows[0]) == ["item", "condition", *COLUMNS]
    table = rows_of(ITEMS)
    for number, item in enumerate(table, 1):
        words = library.load(family).word_surprisal(item["sentence"])
        of_item = [row for row in rows if row["sentence_id"] == str(number)]
        assert [row["word"] for row in of_item] == [word.word for word in words]
        for row, word in zip(of_item, words):
            assert (row["item"], row["condition"]) == (item["item"], item["condition"])
            assert float(row["surprisal"]) == pytest.approx(word.surprisal, rel=1e-4, abs=1e-4)
            assert item["sentence"][int(row["start"]) : int(row["end"])] == word.word or (
                word.word == "</s>"
            )
    assert "context:sentence" in result.err


def test_three_models_of_three_vocabularies_stand_side_by_side(models, items, seqlm):
    names = ["ngram-word", "lstm-bpe", "transformer-char"]
    arguments = [argument for name in names for argument in ("-m", models(name))]
    result = seqlm("eval", *arguments, "--each", "--per-word", "--table", items)
    assert result.code == 0, result.err
    rows = rows_of(result.out)
    measures = ["surprisal", "entropy", "rank", "oov"]
    assert list(rows[0]) == [
        "item", "condition", "sentence_id", "word_id", "word",
        *(f"{measure}.{name}" for measure in measures for name in names), "start", "end",
    ]  # fmt: skip
    for name in names:
        alone = seqlm("eval", "-m", models(name), "--per-word", "--table", items)
        for row, of_one in zip(rows, rows_of(alone.out), strict=True):
            assert row["word"] == of_one["word"]
            for measure in measures:
                assert row[f"{measure}.{name}"] == of_one[measure]
        assert alone.err.splitlines()[-1] in result.err


def test_each_reads_standard_input_once(models, seqlm):
    arguments = ["-m", models("ngram-word"), "-m", models("ngram-char"), "--each", "--per-word"]
    result = seqlm("eval", *arguments, "--no-entropy", "-q", stdin=b"the frog sees\n")
    assert [row["word"] for row in rows_of(result.out)] == ["the", "frog", "sees", "</s>"]
    assert "entropy" not in result.out


def test_models_of_one_name_have_their_paths(ngram, lstm, workplace, seqlm):
    for folder, run in (("a", ngram), ("b", lstm)):
        (workplace / folder).mkdir()
        (workplace / folder / "run").symlink_to(run)
    arguments = ["-m", "a/run", "-m", "b/run", "--each", "--per-word", "--no-entropy"]
    header = seqlm("eval", *arguments, stdin=b"a\n").out.splitlines()[0].split("\t")
    assert header[3:5] == ["surprisal.a/run", "surprisal.b/run"]
    twice = seqlm("eval", "-m", "a/run", "-m", "a/run", "--each", "--per-word", stdin=b"a\n")
    assert twice.code == 2
    assert "twice" in twice.error


def test_json_has_the_rows_of_the_table(models, items, seqlm):
    arguments = ["eval", "-m", models("lstm-bpe"), "--per-word", "--table", items]
    rows = rows_of(seqlm(*arguments).out)
    objects = [json.loads(line) for line in seqlm(*arguments, "--json").out.splitlines()]
    assert len(rows) == len(objects)
    for row, record in zip(rows, objects):
        assert list(row) == list(record)
        assert row["condition"] == record["condition"]
        assert float(row["surprisal"]) == pytest.approx(record["surprisal"])
        assert int(row["rank"]) == record["rank"]


def test_default_readers_of_pandas_read_the_table(lstm, workplace, seqlm):
    table = 'sentence,said\n"""Well"", NA said null .","a, ""b"""\n'
    (workplace / "items.csv").write_text(table)
    result = seqlm("eval", "-m", lstm, "--per-word", "--table", "items.csv")
    frame = pandas.read_csv(io.StringIO(result.out), sep="\t", keep_default_na=False)
    assert list(frame.word) == ['"Well",', "NA", "said", "null", ".", "</s>"]
    assert set(frame.said) == {'a, "b"'}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--each"], 2, ["--each", "--per-word"]),
        (["--table", "items.tsv"], 2, ["--table", "--per-word"]),
        (["--no-entropy"], 2, ["--no-entropy", "--per-word"]),
        (["--per-word", "--text-column", "x"], 2, ["--text-column", "--table"]),
        (["--per-word", "--per-token"], 2, ["--per-word", "--per-token"]),
        (["--per-word", "--metric", "ppl"], 2, ["--per-word", "--metric"]),
        (["--per-word", "--each", "--cache", "5"], 2, ["--each", "--cache"]),
        (["--per-word", "--each", "--tune", "items.tsv"], 2, ["--each", "--tune"]),
        (["--per-word", "--table", "items.tsv", "items.tsv"], 2, ["TEXT", "--table"]),
        (["--per-word", "--table", "items.tsv", "--text-column", "item2"], 2, ["item2", "'item'"]),
        (["--per-word", "--table", "bad.tsv"], 3, ["bad.tsv, line 3", "</s>"]),
        (["--per-word", "--table", "empty.tsv"], 3, ["empty.tsv", "no items"]),
        (["--per-word", "--table", "absent.tsv"], 3, ["absent.tsv"]),
    ],
)
def test_what_does_not_go_together_is_said(arguments, code, words, lstm, items, seqlm):
    (items.parent / "bad.tsv").write_text("sentence\nthe frog\nthe </s> frog\n")
    (items.parent / "empty.tsv").write_text("sentence\n")
    result = seqlm("eval", "-m", lstm, *arguments, stdin=b"the frog\n")
    assert result.code == code, result.err
    for word in words:
        assert word in result.error
