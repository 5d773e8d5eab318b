"""`seqlm rescore`: lists with one more field, in the order of new scores, and tuned weights."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqlm as front_door
from tests.command import COMMAND, Result, environment

ARPA = """\\data\\
ngram 1=6
ngram 2=4

\\1-grams:
-99\t<s>\t-0.3
-1.0\t</s>\t0
-1.5\t<unk>\t0
-0.8\twreck\t-0.2
-0.9\trecognize\t-0.4
-0.7\tspeech\t-0.1

\\2-grams:
-0.5\t<s> recognize
-0.2\trecognize speech
-0.4\tspeech </s>
-1.1\t<s> wreck

\\end\\
"""
LISTS = """u1 ||| wreck speech ||| AM= -100.0 ||| -100.0
u1 ||| recognize speech ||| AM= -102.5 ||| -102.5
u1 ||| recognize beach ||| AM= -99.5 ||| -99.5
u2 ||| speech ||| AM= -50 ||| -50
"""
LOG10 = {
    "wreck speech": -1.1 + (-0.2 - 0.7) - 0.4,
    "recognize speech": -0.5 - 0.2 - 0.4,
    "recognize beach": -0.5 + (-0.4 - 1.5) + (0 - 1.0),
    "speech": (-0.3 - 0.7) - 0.4,
}
"""What KenLM says of each text, added up by hand: with backoff, and `beach` as <unk>."""


@pytest.fixture
def lm(workplace: Path) -> str:
    (workplace / "lm.arpa").write_text(ARPA)
    (workplace / "lists").write_text(LISTS)
    return "lm.arpa"


@pytest.fixture
def rescore(seqlm: Callable[..., Result]) -> Callable[..., str]:
    def run(*arguments: object, **options: Any) -> str:
        result = seqlm("rescore", *arguments, **options)
        assert result.code == 0, result.err
        return result.out

    return run


# ----------------------------------------------------------------------------------- by hand


def test_a_log_linear_reranking_by_hand(lm, rescore):
    """total = AM + alpha ln p + beta |y|, as decoders with a KenLM combine them."""
    alpha, beta = 1.5, 0.5
    out = rescore("-m", lm, "lists", "--feature-weights", f"lm={alpha},words={beta}", "--rerank")
    totals = {}
    for line in LISTS.splitlines():
        list_id, text, _, score = (part.strip() for part in line.split("|||"))
        total = float(score) + alpha * math.log(10) * LOG10[text] + beta * len(text.split())
        totals[list_id, text] = total
    printed = [[part.strip() for part in line.split("|||")] for line in out.splitlines()]
    assert [(fields[0], fields[1]) for fields in printed] == sorted(
        totals, key=lambda key: (key[0], -totals[key])
    )
    for list_id, text, features, score in printed:
        assert float(features.split()[-1]) == pytest.approx(math.log(10) * LOG10[text], abs=1e-5)
        assert float(score) == pytest.approx(totals[list_id, text], abs=1e-5)
    best = rescore("-m", lm, "lists", "--feature-weights", f"lm={alpha},words={beta}", "--best")
    assert best == "recognize speech\nspeech\n"
    alone = rescore("-m", lm, "lists", "--feature-weights", "AM=1,score=0", "--best")
    assert alone == "recognize beach\nspeech\n"


def test_without_weights_a_field_is_added_and_nothing_else_changes(lm, rescore):
    out = rescore("-m", lm, "lists")
    for before, after in zip(LISTS.splitlines(), out.splitlines(), strict=True):
        text = before.split(" ||| ")[1]
        field = f" lm= {math.log(10) * LOG10[text]:.6f}"
        assert after.count(field) == 1
        assert after.replace(field, "") == before
    assert rescore("-m", lm, stdin=LISTS.encode()) == out
    assert rescore("-m", lm, "lists", "--name", "kenlm") == out.replace(" lm= ", " kenlm= ")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_and_objects_keep_their_bytes(end: str, lm, rescore):
    score = f"{math.log(10) * LOG10['speech']:.6f}"
    rows = ["utt\thyp\tnote", 'u2\tspeech\t"said ""twice"""', "u2\tspeech\tNA"]
    flags = ["--id-column", "utt", "--text-column", "hyp"]
    table = "".join(row + end for row in rows).encode()
    out = rescore("-m", lm, *flags, stdin=table)
    added = ["lm", score, score]
    assert out == "".join(f"{row}\t{new}{end}" for row, new in zip(rows, added))
    lines = ['{"utt":1,  "hyp": "speech", "x": [1, "ä"]}', '{"hyp":"speech","utt":1} ']
    out = rescore("-m", lm, *flags, stdin="".join(row + end for row in lines).encode())
    assert out == "".join(
        f'{line.rstrip()[:-1]}, "lm": {score}}}{line[len(line.rstrip()) :]}{end}' for line in lines
    )


def test_lines_without_ids_are_scored_one_by_one(lm, rescore, seqlm):
    table = b"text\n" + b"speech\nwreck speech\n" * 70
    scores = [row.split("\t")[1] for row in rescore("-m", lm, stdin=table).splitlines()[1:]]
    assert (
        scores == [f"{math.log(10) * LOG10[text]:.6f}" for text in ("speech", "wreck speech")] * 70
    )
    result = seqlm("rescore", "-m", lm, "--feature-weights", "lm=1", "--best", stdin=table)
    assert "no id says which list a line belongs to (--id-column names the column)" in result.error


# --------------------------------------------------------------------------------- every family


def test_the_score_is_that_of_the_line_alone(family, rescore, workplace):
    texts = [
        "the frog sees the heron .",
        "the frog",
        "",
        "no älteste frog",
        "the frog sees the heron .",
    ]
    lists = "".join(f"0 ||| {text} ||| \n" for text in texts)
    scores = [
        float(line.split()[-1]) for line in rescore("-m", family, stdin=lists.encode()).splitlines()
    ]
    assert scores == pytest.approx(front_door.load(family).score(texts), abs=1e-3)
    assert scores[0] == pytest.approx(scores[-1], abs=1e-4)


def test_a_mixture_scores_as_one_model(ngram, rescore, workplace):
    lists = b"0 ||| the frog\n"
    scores = [
        float(rescore("-m", ngram, *flags, stdin=lists).split()[-1])
        for flags in ([], ["-m", ngram, "--mix", "0.5,0.5"], ["--cache", 5])
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert scores[2] != scores[0]


def test_a_list_is_printed_when_the_next_begins(ngram):
    command = [*COMMAND, "rescore", "-m", str(ngram), "-q"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"0 ||| the frog\n0 ||| the\n1 ||| a\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"0 ||| the frog ||| lm= ")
        assert process.stdout.readline().startswith(b"0 ||| the ||| lm= ")
        process.stdin.close()
        assert process.stdout.read().startswith(b"1 ||| a ||| lm= ")


# ------------------------------------------------------------------------------------------- tuning


def test_weights_are_tuned_on_references(lm, seqlm, rescore):
    Path("right").write_text("recognize speech\nspeech\n")
    flags = ["-m", lm, "lists", "--tune", "lists", "--tune-reference", "right"]
    result = seqlm("rescore", *flags, "--best")
    assert result.code == 0, result.err
    assert result.out == "recognize speech\nspeech\n"
    assert "tuned on 2 lists of lists: WER 33.33 % -> 0 %" in result.err
    (weights,) = [
        line.removeprefix("--feature-weights ")
        for line in result.err.splitlines()
        if line.startswith("--feature-weights")
    ]
    again = rescore("-m", lm, "lists", "--feature-weights", weights, "--best")
    assert again == result.out
    bleu = seqlm("rescore", *flags, "--best", "--tune-metric", "bleu")
    assert (bleu.out, "-> 100" in bleu.err) == (result.out, True)


def test_python_reranks_as_the_command(lm, rescore):
    weights = {"score": 1.0, "lm": 0.7, "words": 1.5}
    lists = list(front_door.load(lm).rescore("lists", weights))
    best = rescore("-m", lm, "lists", "--feature-weights", "lm=0.7,words=1.5", "--best")
    assert [scored[0].candidate.text for scored in lists] == best.splitlines()
    assert lists[1][0].lm == pytest.approx(math.log(10) * LOG10["speech"], abs=1e-5)


# ----------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--best"], 2, "--best needs weights: give --feature-weights, or --tune them"),
        (["--rerank"], 2, "--rerank needs weights"),
        (["--tune", "lists"], 2, "--tune needs --tune-reference"),
        (["--feature-weights", "lm"], 2, "--feature-weights lm is not a list such as lm=0.8"),
        (["--feature-weights", "lm=nan"], 2, "is not a list such as lm=0.8,words=-0.5"),
        (["--feature-weights", "tm=1"], 3, "lists, line 1: no feature 'tm'; there are words, AM"),
        (["--name", "AM"], 2, "lists, line 1: there is a field 'AM' already"),
        (["--name", "score"], 2, "--name score cannot be the name of the new field"),
        (["--name", "total"], 2, "--name total cannot be the name of the new field"),
        (["--total-name", "words"], 2, "--total-name words cannot be the name of the new field"),
        (["--feature-weights", "lm=1,lm=2"], 2, "lm=1,lm=2 has two weights of lm"),
        (["--feature-weights", "score=1,score=2"], 2, "has two weights of score"),
        (["--feature-weights", "AM=1", "--best", "--name", "AM"], 2, "there is a field 'AM'"),
        (["--format", "json"], 3, "lists, line 1 is no JSON"),
        (["--tune", "lists", "--tune-reference", "one"], 3, "2 lists to tune on, and 1 references"),
        (["--tune", "lists", "--tune-reference", "nowhere"], 3, "no file nowhere"),
        (["--feature-weights", "lm=1", "--best", "--rerank"], 2, "leave out --rerank"),
    ],
)
def test_mistakes_are_said(flags, code, message, lm, seqlm):
    Path("one").write_text("speech\n")
    result = seqlm("rescore", "-m", lm, "lists", *flags)
    assert (result.code, result.out) == (code, "")
    assert message in result.error


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('id\ttext\ttotal\nu\tspeech\t"x"\n', 2),
        ('{"id": "u", "text": "speech", "total": "x"}\n', 1),
        ('{"id": "u", "text": "wreck"}\n{"id": "u", "text": "speech", "total": 5}\n', 2),
    ],
)
def test_a_total_that_is_there_is_not_doubled(text: str, number: int, lm, seqlm, rescore):
    flags = ["-m", lm, "--feature-weights", "lm=1"]
    result = seqlm("rescore", *flags, stdin=text.encode())
    assert (result.code, result.out) == (2, "")
    already = f"<stdin>, line {number}: there is a field 'total' already (--total-name gives"
    assert already in result.error
    assert "sum" in rescore(*flags, "--total-name", "sum", stdin=text.encode())
    assert "total" in rescore("-m", lm, stdin=text.encode())
    assert rescore(*flags, "--best", stdin=text.encode()) == "speech\n"


def test_half_a_character_is_refused_by_its_line(lm, seqlm):
    lists = b'{"id": "u", "text": "speech"}\n{"id": "u", "text": "la\\ud800"}\n'
    result = seqlm("rescore", "-m", lm, stdin=lists)
    assert (result.code, result.out) == (3, "")
    assert "<stdin>, line 2: the text has '\\ud800', which is half of a character" in result.error


def test_a_reserved_word_is_refused_by_its_line(lm, seqlm):
    result = seqlm("rescore", "-m", lm, stdin=b"0 ||| speech\n1 ||| a\n1 ||| a </s>\n")
    assert result.code == 3
    assert "<stdin>, line 3: the token </s> is reserved" in result.error


def test_json_of_objects_has_the_new_score_as_total(lm, rescore):
    line = '{"id": "u", "text": "speech", "score": -3}\n'
    out = rescore("-m", lm, "--feature-weights", "lm=1,words=2", stdin=line.encode())
    found = json.loads(out)
    assert found["total"] == pytest.approx(-3 + math.log(10) * LOG10["speech"] + 2, abs=1e-5)
    assert found["score"] == -3
