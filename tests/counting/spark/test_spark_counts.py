"""Spark's counts against the local engine's, and against dictionaries."""

from __future__ import annotations

import importlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest

from seqlm.counting.counted_corpus import CountedCorpus
from seqlm.counting.counting_settings import CountingSettings
from seqlm.counting.estimation.counts_of_counts import lmplz_corrections
from seqlm.counting.estimation.prepare_counts import PreparedCounts, prepare_counts
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.counting.sources import count_on_cluster
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.errors import DataError, UsageError
from seqlm.progress import silent
from seqlm.text.corpus import Corpus, read_corpus
from seqlm.text.tokenizer import Tokenizer
from tests.command import environment
from tests.conftest import Toy
from tests.counting.oracle import adjusted_counts, raw_counts

pytest.importorskip("pyspark", reason="no pyspark: pip install '.[scale]'")
pa_parquet = pytest.importorskip("pyarrow.parquet", reason="no pyarrow: pip install '.[scale]'")
if which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("no Java", allow_module_level=True)

from pyspark.sql import SparkSession  # noqa: E402

from seqlm.counting.spark.spark_counts import SparkJob, count_in_session, count_with_spark  # noqa: E402
from seqlm.counting.spark.spark_session import session  # noqa: E402

SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Options for a Java that starts fast, and runs slower later."""


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """A session that cuts a text into many splits."""
    settings = {
        "spark.sql.files.maxPartitionBytes": "8k",
        "spark.sql.files.openCostInBytes": "1",
        "spark.driver.extraJavaOptions": SHORT_LIVED,
        "spark.ui.enabled": "false",
    }
    with session("local[2]", **settings) as spark:
        yield spark


def count_locally(job: SparkJob) -> tuple[Corpus, PreparedCounts]:
    """The counts of the local engine."""
    corpus = read_corpus(job.sources, job.tokenizer, job.kind, job.vocab_size, job.min_count)
    size = len(corpus.tokenizer)
    how = Smoothing(
        "kneser-ney" if job.adjusts_counts else "witten-bell", cutoffs=tuple(job.cutoffs)
    )
    tables = count_ngrams(corpus.ids, size, job.order)
    return corpus, prepare_counts(tables, how, lmplz_corrections(corpus.ids, size, job.order))


def assert_equal(counted: CountedCorpus, corpus: Corpus, counts: PreparedCounts) -> None:
    assert counted.tokenizer.types == corpus.tokenizer.types
    assert (counted.tokens, counted.lines) == (len(corpus.ids), corpus.lines)
    assert counted.counts_of_counts == counts.counts_of_counts
    for ours, theirs in zip(counted.tables, counts.tables, strict=True):
        lost, expected = ours.pruned_count, theirs.pruned_count
        for one, other in zip(ours[:4], theirs[:4], strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        if expected is None:  # nothing was cut off
            assert lost is None or not lost.any()
        else:
            assert lost is not None
            assert np.array_equal(lost, expected)


HARD = [
    "\ufeffone two\tthree\x0bfour  \x0cfive \r\n\r\n\n \t \n"
    "one\u2028two\u00a0three naïve 😀 e\u0301 two\r\r\n\0 s> </s>x\n".encode(),
    b"",
    b"two <unk> one <unk>\ntwo one\nfive\rsix\nlast\none last\none last",  # no newline at the end
]
"""Files whose lines and words are easily split wrong."""


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("f [1] *{%20}?")
    for name, text in zip("abc", HARD, strict=True):
        (folder / f"{name}*#é").write_bytes(text)
    return [str(folder / f"{name}*#é") for name in "abc"]


# ------------------------------------------------------------------------------- the local engine


JOBS: list[dict[str, Any]] = [
    {"order": 4, "cutoffs": (0, 1, 1, 2), "min_count": 2},
    {"order": 3, "adjusts_counts": False, "vocab_size": 50},
    {"order": 1},
]


@pytest.mark.parametrize("settings", JOBS, ids=str)
def test_counts_are_the_local_engine_s(
    settings: dict[str, Any], spark: SparkSession, toy: Toy, tmp_path: Path
) -> None:
    job = SparkJob([str(toy.train), str(toy.valid)], **settings)
    counted = count_in_session(spark, job, str(tmp_path / "counts"), silent)
    assert_equal(counted, *count_locally(job))


@pytest.mark.filterwarnings("ignore:.*holds NUL")
@pytest.mark.parametrize("kind", ["word", "char"])
def test_lines_and_words_are_those_of_the_local_engine(
    kind: Any, spark: SparkSession, hard: list[str], tmp_path: Path
) -> None:
    job = SparkJob(hard, 3, kind)
    counted = count_in_session(spark, job, str(tmp_path / "counts"), silent)
    assert_equal(counted, *count_locally(job))


def test_a_given_vocabulary_may_lack_words_and_have_others(
    spark: SparkSession, toy: Toy, tmp_path: Path
) -> None:
    types = [b"<unk>", b"</s>", b"heron", b"never-seen", b"the", b"sees"]
    job = SparkJob([str(toy.test)], 3, tokenizer=Tokenizer("word", types), cutoffs=(0, 0, 1))
    counted = count_in_session(spark, job, str(tmp_path / "counts"), silent)
    assert counted.tables[0].counts[3] == 0
    assert_equal(counted, *count_locally(job))


def test_orders_longer_than_the_lines_are_empty(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a b\nb\n")
    job = SparkJob([str(tmp_path / "text")], 5, cutoffs=(0, 0, 1))
    counted = count_in_session(spark, job, str(tmp_path / "counts"), silent)
    assert_equal(counted, *count_locally(job))


# ---------------------------------------------------------------------------------- dictionaries


def test_what_is_written_is_the_dictionary_s(spark: SparkSession, tmp_path: Path) -> None:
    """A column a word, a row an n-gram; counts of counts, and the rest, before the cutoffs."""
    noise = random.Random(7)
    lines = [[noise.choice("abcde") for _ in range(noise.randrange(7))] for _ in range(150)]
    text = tmp_path / "text"
    text.write_text("".join(" ".join(line) + "\n" for line in lines))
    folder = tmp_path / "counts"
    counted = count_in_session(spark, SparkJob([str(text)], 3, cutoffs=(0, 2)), str(folder), silent)

    words = pa_parquet.read_table(folder / "vocabulary").sort_by("id")["word"].to_pylist()
    assert [word.encode() for word in words] == counted.tokenizer.types
    ids = [id for line in lines for id in (*map(words.index, line), 1)]
    raw, adjusted = raw_counts(ids, 3, "sentence"), adjusted_counts(ids, 3, "sentence")
    assert counted.counts_of_counts[2] == [Counter(raw[3].values())[j] for j in range(10)]
    for k in (1, 2, 3):
        rows = pa_parquet.read_table(folder / f"order={k}").to_pylist()
        grams = {tuple(row[f"w{j}"] for j in range(1, k + 1)): row for row in rows}
        assert len(grams) == len(rows)
        assert {gram: row["count"] for gram, row in grams.items()} == raw[k]
        assert {gram: row["adjusted"] for gram, row in grams.items()} == adjusted[k]

    table = counted.tables[1]
    kept = {gram: a for gram, a in adjusted[2].items() if raw[2][gram] > 2}
    for history in range(len(words)):
        after = table.counts[table.first[history] : table.first[history + 1]].tolist()
        assert sorted(after) == sorted(a for gram, a in kept.items() if gram[0] == history)
        gone = sum(a for gram, a in adjusted[2].items() if gram[0] == history and gram not in kept)
        assert table.pruned_count is not None
        assert table.pruned_count[history] == gone


# ----------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        (b"a b\nc <s>\n</s>\n", "word", r"text, line 2: the token <s> is reserved"),
        (b"a b\n\xc3\xa9\nc \xed\xa0\x80 d\n\xff", "word", r"text, line 3: invalid UTF-8"),
        (b"ab\n\xc0\x80\n", "char", r"text, line 2: invalid UTF-8"),
        (b"", "word", "the corpus is empty: no text in .*text"),
        (b"\n \n", "word", "nothing but empty lines: .*text"),
    ],
)
def test_text_that_cannot_be_used(
    text: bytes, kind: Any, problem: str, spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "text").write_bytes(text)
    job = SparkJob([str(tmp_path / "text")], 2, kind)
    with pytest.raises(DataError, match=problem):
        count_in_session(spark, job, str(tmp_path / "counts"), silent)


def test_a_folder_that_is_there_is_left_alone(
    spark: SparkSession, toy: Toy, tmp_path: Path
) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(UsageError, match="exists already"):
        count_in_session(spark, SparkJob([str(toy.test)]), str(tmp_path), silent)
    assert (tmp_path / "mine").exists()


def test_bpe_is_refused_before_spark_is_asked(toy: Toy, tmp_path: Path) -> None:
    """Other refusals are in test_counting_checks.py."""
    counts = str(tmp_path / "counts")
    settings = CountingSettings(
        engine="spark", master="local[2]", tokenizer="bpe", write_counts=counts
    )
    with pytest.raises(UsageError, match="not subwords"):
        count_on_cluster([str(toy.train)], settings, silent)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pyspark's pipe
def test_a_cluster_that_is_not_there(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = SparkJob([str(toy.train)])
    masters = {"spark://127.0.0.1:1": "nothing answers there", "nonsense": "must either be yarn"}
    for master, problem in masters.items():
        with pytest.raises(UsageError, match=f"Spark does not start on {master}: .*{problem}"):
            count_with_spark(job, master, str(tmp_path / "counts"))
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(UsageError, match=r"Java 17 or later, in \$JAVA_HOME or .*/nowhere"):
        count_with_spark(job, "local[2]", str(tmp_path / "counts"))


@pytest.mark.parametrize("library", ["pyspark", "pyarrow"])
def test_without_the_libraries(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    for module in ("seqlm.counting.spark.spark_session", "seqlm.counting.spark.spark_counts"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(UsageError, match=rf"{library}.*pip install 'seqlm\[scale\]'"):
        importlib.import_module("seqlm.counting.spark.spark_counts")


# ------------------------------------------------------------------------------ in its own process

SCRIPT = """
import sys
from seqlm.errors import DataError
from seqlm.counting.spark.spark_counts import SparkJob, count_with_spark
good, bad = sys.argv[1:]
tell = lambda stage, done=None: print(stage, flush=True)
try:
    count_with_spark(SparkJob([bad], 1), "local[2]", "bad", tell)
except DataError as error:
    print(error)
print(count_with_spark(SparkJob([good], 1), "local[2]", "good", tell).lines)
"""


@pytest.fixture
def process(toy: Toy, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Counts a bad text and a good one, with its folder and Spark's own in `tmp_path`."""
    (tmp_path / "text").write_bytes(b"a\n</s>\n")
    for place in ("work", "local", "tmp"):
        (tmp_path / place).mkdir()
    more = {
        "JDK_JAVA_OPTIONS": SHORT_LIVED,
        "SPARK_LOCAL_DIRS": str(tmp_path / "local"),
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(toy.train), str(tmp_path / "text")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path / "work",
        env=environment(**more),
    ) as process:  # fmt: skip
        yield process
        process.kill()


def leftovers(tmp_path: Path) -> list[str]:
    """The files that are left after the process."""
    folders = [tmp_path / "work", tmp_path / "local", tmp_path / "tmp"]
    return sorted(path.name for folder in folders for path in folder.iterdir())


def test_a_session_is_quiet_and_leaves_nothing_but_the_counts(
    process: subprocess.Popen[str], tmp_path: Path
) -> None:
    out, err = process.communicate(timeout=120)
    assert err == ""
    start = ["starting Spark on local[2]", "counting words"]
    stages = [line for line in out.splitlines() if "is reserved for the boundaries" not in line]
    assert stages == [*start, *start, "counting 1-grams", "collecting n-grams", "600"]
    assert leftovers(tmp_path) == ["good"]
    counts = sorted(path.name for path in (tmp_path / "work" / "good").iterdir())
    assert counts == ["order=1", "vocabulary"]


def test_ctrl_c_leaves_nothing(process: subprocess.Popen[str], tmp_path: Path) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("counting"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert leftovers(tmp_path) == []
