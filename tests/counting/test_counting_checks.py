"""Requests to count that are refused before any work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqlm.counting.counting_checks import check_settings
from seqlm.counting.counting_settings import CountingSettings
from seqlm.errors import DataError, SeqlmError, UsageError

SPARK: dict[str, Any] = {"engine": "spark", "master": "local[2]"}


@pytest.fixture(autouse=True)
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("text", "_text", "held-out"):
        Path(name).write_text("a b\n")


def refusal(settings: dict[str, Any], *sources: str) -> str:
    with pytest.raises(SeqlmError) as error:
        check_settings(CountingSettings(**settings), sources or ["text"])
    return str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"smoothing": "jelinek-mercer", "tune": "held-out"},
        {"tokenizer": "char", "order": 64, "memory": "1G"},
        {"from_counts": True, "context": "sentence"},
        {"arpa": "x.arpa", "write_counts": "x.gz", "prune": 1e-8},
        {"tokenizer": "char", "context": "sentence", **SPARK},
    ],
    ids=str,
)
def test_requests_that_are_taken(settings: dict[str, Any]) -> None:
    check_settings(CountingSettings(**settings), ["text"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"order": 0}, "order is 0; it must be from 1 to 64"),
        ({"smoothing": "kneser"}, "did you mean 'kneser-ney'?"),
        ({"smoothing": "mle", "backoff": True}, "mle comes in one form"),
        ({"add_k": 1e200, "smoothing": "add-k"}, "add_k is 1e+200; it must be from 0 to 1e100"),
        ({"cutoffs": (1,)}, "cutoffs must begin with 0"),
        ({"smoothing": "kneser-ney", "tune": "held-out"}, "tune needs smoothing add-k or jelinek"),
        ({"smoothing": "jelinek-mercer"}, "it needs tune"),
        ({"smoothing": "add-k", "tune": "nowhere"}, "no file nowhere"),
        ({"smoothing": "stupid-backoff", "prune_to": 9}, "stupid-backoff has none: use cutoffs"),
        ({"smoothing": "stupid-backoff", "arpa": "x"}, "stupid-backoff gives scores"),
        (
            {"vocab": "words", "vocab_size": 5},
            "vocab_size and min_count cannot be combined with vocab",
        ),
        (
            {"vocab": "words", "min_count": 2},
            "vocab_size and min_count cannot be combined with vocab",
        ),
        ({"tokenizer": "char", "arpa": "x"}, "arpa is for tokenizer word"),
        ({"context": "carried", "arpa": "x"}, "arpa is for tokenizer word and context sentence"),
        ({"arpa": "."}, "arpa . is a folder"),
        ({"arpa": "none/x"}, "there is no folder none"),
        ({"arpa": "-", "write_counts": "-"}, "cannot both be -, standard output"),
        ({"write_counts": "-", **SPARK}, "takes a Parquet folder from Spark, and - is none"),
        ({"arpa": "x", "write_counts": "./x"}, "would be overwritten"),
        ({"write_counts": "text"}, "write_counts text is an input too"),
        ({"memory": "much"}, "memory is 'much'; it takes a number and K, M, G or T, as 1G"),
        ({"from_counts": True, "tokenizer": "char"}, "from_counts is for tokenizer word"),
        ({"from_counts": True, "memory": "1G"}, "from_counts counts nothing"),
        ({"from_counts": True, **SPARK}, "from_counts counts nothing"),
    ],
    ids=str,
)
def test_requests_that_are_refused(settings: dict[str, Any], message: str) -> None:
    assert message in refusal(settings)


def test_sources_that_are_refused() -> None:
    with pytest.raises(DataError, match="no corpus"):
        check_settings(CountingSettings(), [])
    assert "can be read once" in refusal({}, "-", "-")
    assert "can be read once" in refusal({"smoothing": "add-k", "tune": "-"}, "-")


def test_spark_is_asked_for_what_it_can_do() -> None:
    assert "engine spark needs master" in refusal({"engine": "spark"})
    assert "master needs engine spark" in refusal({"master": "local[2]"})
    assert "no tune and no memory" in refusal({"memory": "1G", **SPARK})
    assert "needs context sentence" in refusal({"tokenizer": "char", **SPARK})
    assert "no errors replace" in refusal({"errors": "replace", **SPARK})
    assert "not standard input" in refusal(SPARK, "-")
    assert "no file" in refusal(SPARK, "none")
    assert "begin with a dot or _" in refusal(SPARK, "_text")
    check_settings(CountingSettings(**SPARK), ["hdfs://cluster/texts/*"])


def test_a_limit_of_memory_that_cannot_be_kept_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="`memory` is 200M: Python and its libraries"):
        check_settings(CountingSettings(memory="200M"), ["text"])


def test_sizes_of_memory() -> None:
    sizes = {"1G": 1 << 30, "500 MB": 500 << 20, "1.5KiB": 1536, "2t": 2 << 40}
    for text, size in sizes.items():
        assert CountingSettings(memory=text).memory_limit == size
    with pytest.raises(UsageError):
        assert CountingSettings(memory="-1G").memory_limit
