"""Counting on a Spark cluster: the tables of `counting/ngrams.py` from a text of any size.

The text is read twice: for its words (`spark_words.py`), and for its n-grams. Every token gives one
row, the n-gram that ends with it, as ids:

    w₁ … wₙ        null in front of `<s>`, where the line has not so many words yet

Equal rows are counted, and that is the last time the text is needed. Shorter n-grams follow from
longer ones, order by order, k = n-1 … 1:

    c(w₂ … wₖ₊₁)  =  Σ c(w₁ … wₖ₊₁)  over w₁, null too         occurrences
    a(w₂ … wₖ₊₁)  =  number of w₁ that are not null            words before it; if none, c

since what does not begin with `<s>` has a word before it wherever it occurs. The rows stay on the
executors' disks until all orders are made. Those without null, the n-grams, are written to Parquet,
and from there comes what smoothing wants: the n-grams above the cutoffs, the counts of counts of
all, and what the cutoffs took from each history.

    V vocabulary · U n-grams of an order · H histories, the n-grams of the order below
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from seqlm.counting.estimation.counts_of_counts import LARGEST, Correction, corrected
from seqlm.counting.estimation.cutoffs import cutoffs_by_order
from seqlm.counting.estimation.prepare_counts import PreparedCounts
from seqlm.counting.spark.spark_session import (  # first: it says what is missing
    literal,
    new_folder,
    session,
)
from seqlm.counting.spark.spark_words import (
    by_id,
    count_words,
    learned,
    read_lines,
    refuse_emptiness,
    refuse_sentinels,
    token_rows,
    write_vocabulary,
)
from seqlm.counting.tables.from_rows import find_rows, from_rows
from seqlm.counting.tables.in_memory import NGrams
from seqlm.errors import DataError, UsageError
from seqlm.progress import Progress, silent
from seqlm.text.corpus import once_only
from seqlm.text.reading import open_source
from seqlm.text.tokenizer import Kind, Tokenizer
from seqlm.text.vocabulary import EOS, UNK

# isort: split
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

PARTITION = 10_000_000
"""Tokens of which the n-grams are counted in one go; they are some 200 MB when sent."""


class Job(NamedTuple):
    """What is counted, and how."""

    sources: Sequence[str]
    """Paths, which all machines must see, or URLs, in which `*` stands for many files."""
    order: int = 5
    kind: Kind = "word"
    tokenizer: Tokenizer | None = None
    """The vocabulary; None for a new one of `kind`, with the bounds that follow."""
    vocab_size: int | None = None
    min_count: int | None = None
    cutoffs: Sequence[int] = ()
    """As `cutoffs_by_order` takes them."""
    adjusted: bool = True
    """Whether smoothing wants adjusted counts of the orders below the highest."""


class SparkCounts(NamedTuple):
    counts: PreparedCounts
    """What `prepare_counts` makes of the same text."""
    tokenizer: Tokenizer
    tokens: int
    lines: int


def count_with_spark(
    job: Job, master: str, parquet: str, progress: Progress = silent
) -> SparkCounts:
    """Counts on the cluster of `master`, line by line (context "sentence").

    All counts stay in the new folder `parquet`, a path or URL: `vocabulary` with the columns `id`
    and `word`, and for each order k `order=k` with `w1` … `wk`, `count` and `adjusted`. `progress`
    is told each stage.
    Errors: UsageError (no Java, no such master, a source that Spark cannot read), DataError (as for
    `read_corpus`), SeqlmError where the work fails.
    """
    check(job)
    progress(f"starting Spark on {master}")
    with session(master) as spark:
        return count_in(spark, job, parquet, progress)


def check(job: Job) -> None:
    """Errors: UsageError and DataError on what can be told without Spark."""
    cutoffs_by_order(job.cutoffs, job.order)
    if (job.tokenizer.kind if job.tokenizer else job.kind) == "bpe":
        raise UsageError("--engine spark counts words and characters, not BPE")
    if job.tokenizer and (job.vocab_size is not None or job.min_count is not None):
        raise UsageError("--vocab takes a vocabulary whole: no --vocab-size, no --min-count")
    if not job.sources:
        raise DataError("no corpus: name a file")
    for source in job.sources:
        if "://" not in source:
            if once_only(source):
                raise UsageError("--engine spark reads files, not standard input or a pipe")
            open_source(source, source).close()
        if Path(source).name.startswith(("_", ".")):
            raise UsageError(f"{source}: Spark passes over names that begin with a dot or _")


def count_in(spark: SparkSession, job: Job, parquet: str, progress: Progress) -> SparkCounts:
    """`count_with_spark` in a session that runs."""
    kind = job.tokenizer.kind if job.tokenizer else job.kind
    lines = read_lines(spark, job.sources, kind)
    with new_folder(spark, parquet) as folder:
        progress("counting words")
        send_in(spark, lines.rdd.getNumPartitions())
        found = count_words(lines).persist()
        refuse_sentinels(spark, found, job.sources, kind)
        tokenizer = job.tokenizer or learned(found, kind, job.vocab_size, job.min_count)
        vocabulary = write_vocabulary(spark, tokenizer, f"{folder}/vocabulary")
        occurrences, rank = by_id(found, vocabulary, len(tokenizer))
        refuse_emptiness(occurrences, job.sources)
        found.unpersist()

        send_in(spark, int(occurrences.sum()) // PARTITION)
        windows = count_windows(lines, vocabulary, job.order)
        orders = write_orders(spark, windows, job.order, folder, progress)

        progress("collecting what is kept")
        column = "adjusted" if job.adjusted else "count"
        often = [counts_of_counts(order, column) for order in orders]
        often[0][0] = int(np.count_nonzero(occurrences == 0))
        if job.adjusted:
            last = lmplz_corrections(orders, rank)
            often[: len(last)] = map(corrected, often, last)
        cutoffs = cutoffs_by_order(job.cutoffs, job.order)
        tables = collect(orders, column, cutoffs, len(tokenizer))
    tokens, ends = int(occurrences.sum()), int(occurrences[EOS])
    return SparkCounts(PreparedCounts(tables, often), tokenizer, tokens, ends)


# ----------------------------------------------------------------------------------------- n-grams


def ids(k: int) -> list[str]:
    """The columns of a k-gram."""
    return [f"w{j}" for j in range(1, k + 1)]


def send_in(spark: SparkSession, partitions: int) -> None:
    """In how many parts rows are sent to where equal ones meet; Spark's 200 are for all sizes."""
    at_least = spark.sparkContext.defaultParallelism
    spark.conf.set("spark.sql.shuffle.partitions", max(partitions, at_least))


def count_windows(lines: DataFrame, vocabulary: DataFrame, order: int) -> DataFrame:
    """The distinct n-grams that end with a token, shorter where the line is, and their counts."""
    places = range(1, order + 1)
    rows = token_rows(lines).select(
        *(F.get("words", F.col("place") - (order - j)).alias(f"word{j}") for j in places)
    )
    for j in places:
        known = vocabulary.select(F.col("word").alias(f"word{j}"), F.col("id").alias(f"id{j}"))
        rows = rows.join(F.broadcast(known), f"word{j}", "left")
    words = [
        F.when(F.col(f"word{j}").isNotNull(), F.coalesce(f"id{j}", F.lit(UNK))).alias(f"w{j}")
        for j in places
    ]
    counted = rows.groupBy(*words).agg(F.count("*").alias("count"))
    return counted.select("*", F.col("count").alias("adjusted"))


def shortened(longer: DataFrame, k: int) -> DataFrame:
    """The k-grams, and shorter, that end the (k+1)-grams, and shorter: the equations above."""
    suffix = [F.col(f"w{j + 1}").alias(f"w{j}") for j in range(1, k + 1)]
    before = F.count("w1").alias("before")  # that are not null
    shorter = longer.groupBy(*suffix).agg(F.sum("count").alias("count"), before)
    adjusted = F.when(F.col("before") > 0, F.col("before")).otherwise(F.col("count"))
    return shorter.select(*ids(k), "count", adjusted.alias("adjusted"))


def write_orders(
    spark: SparkSession, windows: DataFrame, order: int, folder: str, progress: Progress
) -> list[DataFrame]:
    """Writes the n-grams of all orders and returns what the files hold, orders 1 to `order`."""
    rows = windows
    for k in range(order, 0, -1):
        progress(f"counting {k}-grams")
        rows = (windows if k == order else shortened(rows, k)).persist(StorageLevel.DISK_ONLY)
        rows.where("w1 IS NOT NULL").write.parquet(f"{folder}/order={k}")
    spark.catalog.clearCache()
    return [spark.read.parquet(literal(f"{folder}/order={k}")) for k in range(1, order + 1)]


# ----------------------------------------------------------------------- what smoothing starts from


def counts_of_counts(order: DataFrame, column: str) -> list[int]:
    """n_0 … n_9: how many n-grams have the count j."""
    n = [0] * (LARGEST + 1)
    for row in order.where(F.col(column) <= LARGEST).groupBy(column).count().collect():
        n[row[0]] = row[1]
    return n


def lmplz_corrections(orders: Sequence[DataFrame], rank: np.ndarray) -> list[Correction]:
    """As in `counts_of_counts.py`, with the files of a URL in the order Spark reads them."""
    rank = rank.copy()
    rank[EOS] = -1
    suffix, changes = [int(rank.argmax())], []
    for longer in orders[1:]:
        ends = [F.col(f"w{j}") == id for j, id in enumerate(suffix, 2)]
        rows = longer.where(reduce(Column.__and__, ends)).select("w1", "count").toArrow()
        before, count = (column.to_numpy() for column in rows.columns)
        changes.append(Correction(len(before), int(count.sum())))
        suffix.insert(0, int(before[rank[before].argmax()]))
        if suffix[0] == EOS:
            break
    return changes


def collect(
    orders: Sequence[DataFrame], column: str, cutoffs: Sequence[int], vocab_size: int
) -> list[NGrams]:
    """The tables of what occurs more often than its cutoff, and what that lost to the others."""
    kept = [order.where(F.col("count") > cut) for order, cut in zip(orders, cutoffs, strict=True)]
    tables = from_rows((arrays(rows, k, column) for k, rows in enumerate(kept, 1)), vocab_size)
    for k in range(2, len(tables) + 1):
        if cutoffs[k - 1]:
            histories = kept[k - 2].select(*ids(k - 1)).hint("shuffle_hash")  # sorting takes longer
            rare = orders[k - 1].where(F.col("count") <= cutoffs[k - 1])
            of_kept = rare.join(histories, ids(k - 1), "left_semi").groupBy(*ids(k - 1))
            sums = of_kept.agg(F.sum(column).alias("lost"))
            tables[k - 1] = tables[k - 1]._replace(
                pruned_count=placed(sums, tables[: k - 1], vocab_size)
            )
    return tables


def placed(sums: DataFrame, tables: Sequence[NGrams], vocab_size: int) -> torch.Tensor:
    """(H,) int64: the column `lost` of some n-grams, in the rows they have in the last table."""
    grams, counts = arrays(sums, len(tables), "lost")
    lost = torch.zeros(len(tables[-1].words), dtype=torch.int64)
    lost[find_rows(tables, grams, vocab_size)] = torch.tensor(counts)
    return lost


def arrays(rows: DataFrame, k: int, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids (U, k) int32 and counts (U,) int64, on this machine."""
    table = rows.select(*ids(k), column).toArrow()
    words = np.empty((table.num_rows, k), np.int32)
    for j in range(k):
        words[:, j] = table.column(j).to_numpy()
    return words, table.column(k).to_numpy()
