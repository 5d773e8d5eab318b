"""What `benchmarks/word_vectors.py` computes beside training: comparisons, times, and its texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.word_vector_memory import write_text
from benchmarks.word_vector_peers import CPUClock, fasttext_seconds
from benchmarks.word_vector_quality import compare, evaluate, write_unseen
from benchmarks.word_vectors import Settings, seqlm_arguments
from seqlm.evaluation.vectors.vector_test_sets import Pair, read_test_set
from tests.command import seqlm_inside

SETTINGS = Settings(
    tool="seqlm",
    text="",
    output="",
    predict="skipgram",
    has_ngrams=False,
    hierarchical_softmax=False,
    threads=1,
    epochs=1,
)


def test_ours_may_be_below_theirs_by_the_spread_of_theirs():
    theirs = [20.0, 22.0, 24.0]  # 22 - 4
    level, below = compare([17.0, 19.0], theirs), compare([17.0, 18.0], theirs)
    assert level == (18.0, 2.0, 22.0, 4.0)
    assert level.is_level
    assert not below.is_level


def test_the_seconds_of_fasttext_are_those_of_its_words_and_line_ends(tmp_path: Path):
    text = tmp_path / "text"
    text.write_text("a b c\n\nd\n")  # 4 words and 3 ends
    log = "\rRead 0M words\nProgress: 100.0% words/sec/thread:      14 lr:  0.000000 ETA: 0h\n"
    assert fasttext_seconds(log, text, epochs=8, threads=2) == 8 * 7 / (14 * 2)


def test_the_processor_time_of_the_last_seconds():
    clock = CPUClock()
    clock.readings = [(0.0, 1.0), (2.0, 3.0), (4.0, 6.0), (6.0, 10.0)]
    assert clock.last(2.0) == 4.0
    assert clock.last(3.9) == 4.0  # from the first reading in that time
    assert clock.last(6.0) == 9.0


def test_words_are_taken_out_of_the_text_and_their_pairs_remain(tmp_path: Path):
    text, pairs = tmp_path / "text", tmp_path / "wordsim353.tsv"
    text.write_text("a b c\nd a d\n\nx\n")
    pairs.write_text("A\tb\t1\nb\td\t2\nc\tb\t3\n")  # a b c d, of which a and c are taken out
    shorter, [test] = write_unseen(text, [pairs, tmp_path / "questions-words.txt"], tmp_path)
    assert shorter.read_text() == "b\nd d\n\nx\n"
    assert read_test_set(str(test)).pairs == [Pair("A", "b", 1.0), Pair("c", "b", 3.0)]


def test_made_up_words_come_after_the_text(tmp_path: Path):
    text, longer = tmp_path / "text", tmp_path / "longer"
    text.write_text("a b a\nc")  # without an end
    assert write_text(text, 30, longer) == 4 + 27
    lines = longer.read_text().splitlines()
    assert lines[:2] == ["a b a", "c"]
    assert len({word for line in lines for word in line.split()}) == 30


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        replace(SETTINGS, predict="cbow"),
        replace(SETTINGS, has_ngrams=True, sample=1e-4),
        replace(SETTINGS, hierarchical_softmax=True),
    ],
    ids=["skipgram", "cbow", "fasttext", "tree"],
)
def test_the_command_has_the_flags_and_its_run_is_evaluated(settings: Settings, tmp_path: Path):
    text, run, pairs = (tmp_path / name for name in ("text", "run", "wordsim353.tsv"))
    text.write_text("one two three four\n" * 5)
    pairs.write_text("one\ttwo\t1\nthree\tfour\t2\none\tthree\t3\n")
    asked = replace(settings, text=str(text), output=str(run), width=4)
    flags = ["--buckets", "10"] if settings.has_ngrams else []
    result = seqlm_inside(*seqlm_arguments(asked), *flags)
    assert result.code == 0, result.err
    assert evaluate(str(run), [pairs])["wordsim353"].answered == 3
