"""Counting on a Spark cluster: the tables of `tables/in_memory.py` from a text of any size.

The text is read twice: for its words (`spark_words.py`), and for its n-grams. Every token gives one
row, the n-gram that ends with it, as ids:

    w₁ … wₙ        null in front of `<s>`, where the line has not so many words yet

Equal rows are counted, after which the text is not needed any more. Shorter n-grams follow from
longer ones, order by order, k = n-1 … 1:

    c(w₂ … wₖ₊₁)  =  Σ c(w₁ … wₖ₊₁)  over w₁, null too         occurrences
    a(w₂ … wₖ₊₁)  =  number of w₁ that are not null            words before it; if none, c

since an n-gram that does not begin with `<s>` has a word before it wherever it occurs. The rows
stay on the executors' disks until all orders are made. Those without null, the n-grams, are written
to Parquet. From there, smoothing gets the n-grams above the cutoffs, the counts of counts of all
n-grams, and the counts that the cutoffs dropped after each history.

    V vocabulary · U n-grams of an order · H histories, the n-grams of the order below
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from seqlm.counting.counted_corpus import CountedCorpus
from seqlm.counting.estimation.counts_of_counts import LARGEST, Correction, corrected
from seqlm.counting.estimation.cutoffs import cutoffs_by_order
from seqlm.counting.spark.spark_session import (  # first: it reports missing libraries
    escaped_url,
    new_folder,
    session,
)
from seqlm.counting.spark.spark_words import (
    check_not_empty,
    check_sentinels,
    count_words,
    counts_and_ranks,
    learn_vocabulary,
    read_lines,
    token_rows,
    write_vocabulary,
)
from seqlm.counting.tables.from_rows import find_rows, from_rows
from seqlm.counting.tables.ngrams import NGrams
from seqlm.progress import Progress, silent
from seqlm.text.tokenizer import Tokenizer, TokenizerKind
from seqlm.text.vocabulary import EOS, UNK

# isort: split
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

PARTITION = 10_000_000
"""Tokens whose n-grams are counted in one partition; they are some 200 MB when sent."""


class SparkJob(NamedTuple):
    """The text to count on a cluster, and how to count it."""

    sources: Sequence[str]
    """Paths that all machines can read, or URLs, in which `*` matches many files."""
    order: int = 5
    kind: TokenizerKind = "word"
    tokenizer: Tokenizer | None = None
    """The vocabulary; None for a new one of `kind`, bounded by the next two fields."""
    vocab_size: int | None = None
    min_count: int | None = None
    cutoffs: Sequence[int] = ()
    """Those of `cutoffs_by_order`."""
    adjusts_counts: bool = True
    """Whether smoothing takes adjusted counts of the orders below the highest."""


def count_with_spark(
    job: SparkJob, master: str, parquet: str, progress: Progress = silent
) -> CountedCorpus:
    """Counts on the cluster of `master`, line by line (context "sentence").

    The counts are returned as smoothing takes them. All of them are kept in the new folder
    `parquet`, a path or URL: `vocabulary` with the columns `id` and `word`, and for each order k
    `order=k` with `w1` … `wk`, `count` and `adjusted`. `progress` is called with each stage.

    Errors: UsageError (no Java, no such master, a folder that exists), DataError (as for
    `read_corpus`), SeqlmError if the work fails.
    """
    progress(f"starting Spark on {master}")
    with session(master) as spark:
        return count_in_session(spark, job, parquet, progress)


def count_in_session(
    spark: SparkSession, job: SparkJob, parquet: str, progress: Progress
) -> CountedCorpus:
    """Counts in a running session, as `count_with_spark` does."""
    kind = job.tokenizer.kind if job.tokenizer else job.kind
    lines = read_lines(spark, job.sources, kind)
    with new_folder(spark, parquet) as folder:
        progress("counting words")
        set_partitions(spark, lines.rdd.getNumPartitions())
        word_counts = count_words(lines).persist()
        check_sentinels(spark, word_counts, job.sources, kind)
        tokenizer = job.tokenizer or learn_vocabulary(
            word_counts, kind, job.vocab_size, job.min_count
        )
        vocabulary = write_vocabulary(spark, tokenizer, f"{folder}/vocabulary")
        occurrences, rank = counts_and_ranks(word_counts, vocabulary, len(tokenizer))
        check_not_empty(occurrences, job.sources)
        word_counts.unpersist()

        set_partitions(spark, int(occurrences.sum()) // PARTITION)
        windows = count_windows(lines, vocabulary, job.order)
        orders = write_orders(spark, windows, job.order, folder, progress)

        progress("collecting n-grams")
        column = "adjusted" if job.adjusts_counts else "count"
        by_order = [counts_of_counts(order, column) for order in orders]
        by_order[0][0] = int(np.count_nonzero(occurrences == 0))
        if job.adjusts_counts:
            corrections = lmplz_corrections(orders, rank)
            by_order[: len(corrections)] = map(corrected, by_order, corrections)
        cutoffs = cutoffs_by_order(job.cutoffs, job.order)
        tables = collect_tables(orders, column, cutoffs, len(tokenizer))
    return CountedCorpus(
        tables,
        tokenizer,
        context="sentence",
        tokens=int(occurrences.sum()),
        lines=int(occurrences[EOS]),
        counts_of_counts=by_order,
    )


# ----------------------------------------------------------------------------------------- n-grams


def word_columns(k: int) -> list[str]:
    """The columns of a k-gram."""
    return [f"w{j}" for j in range(1, k + 1)]


def set_partitions(spark: SparkSession, partitions: int) -> None:
    """Sets in how many parts rows are sent to meet equal ones; by default Spark takes 200."""
    at_least = spark.sparkContext.defaultParallelism
    spark.conf.set("spark.sql.shuffle.partitions", max(partitions, at_least))


def count_windows(lines: DataFrame, vocabulary: DataFrame, order: int) -> DataFrame:
    """The distinct n-grams that end with a token, shorter at the start of a line, with counts."""
    places = range(1, order + 1)
    rows = token_rows(lines).select(
        *(F.get("words", F.col("position") - (order - j)).alias(f"word{j}") for j in places)
    )
    for j in places:
        with_ids = vocabulary.select(F.col("word").alias(f"word{j}"), F.col("id").alias(f"id{j}"))
        rows = rows.join(F.broadcast(with_ids), f"word{j}", "left")
    words = [
        F.when(F.col(f"word{j}").isNotNull(), F.coalesce(f"id{j}", F.lit(UNK))).alias(f"w{j}")
        for j in places
    ]
    counted = rows.groupBy(*words).agg(F.count("*").alias("count"))
    return counted.select("*", F.col("count").alias("adjusted"))


def shorten(longer: DataFrame, k: int) -> DataFrame:
    """From the (k+1)-grams, shorter at the start of a line, the k-grams: the equations above."""
    suffix = [F.col(f"w{j + 1}").alias(f"w{j}") for j in range(1, k + 1)]
    before = F.count("w1").alias("before")  # that are not null
    shorter = longer.groupBy(*suffix).agg(F.sum("count").alias("count"), before)
    adjusted = F.when(F.col("before") > 0, F.col("before")).otherwise(F.col("count"))
    return shorter.select(*word_columns(k), "count", adjusted.alias("adjusted"))


def write_orders(
    spark: SparkSession, windows: DataFrame, order: int, folder: str, progress: Progress
) -> list[DataFrame]:
    """Writes the n-grams of orders 1 to `order`, and returns the content of the files by order."""
    rows = windows
    for k in range(order, 0, -1):
        progress(f"counting {k}-grams")
        rows = (windows if k == order else shorten(rows, k)).persist(StorageLevel.DISK_ONLY)
        rows.where("w1 IS NOT NULL").write.parquet(f"{folder}/order={k}")
    spark.catalog.clearCache()
    return [spark.read.parquet(escaped_url(f"{folder}/order={k}")) for k in range(1, order + 1)]


# ------------------------------------------------------------------------------- counts to smooth


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
    suffix, corrections = [int(rank.argmax())], []
    for longer in orders[1:]:
        ends = [F.col(f"w{j}") == id for j, id in enumerate(suffix, 2)]
        rows = longer.where(reduce(Column.__and__, ends)).select("w1", "count").toArrow()
        before, count = (column.to_numpy() for column in rows.columns)
        corrections.append(Correction(len(before), int(count.sum())))
        suffix.insert(0, int(before[rank[before].argmax()]))
        if suffix[0] == EOS:
            break
    return corrections


def collect_tables(
    orders: Sequence[DataFrame], column: str, cutoffs: Sequence[int], vocab_size: int
) -> list[NGrams]:
    """The tables of the n-grams above their cutoffs, with the counts dropped after each history."""
    pairs = zip(orders, cutoffs, strict=True)
    kept = [order.where(F.col("count") > cutoff) for order, cutoff in pairs]
    tables = from_rows((to_arrays(rows, k, column) for k, rows in enumerate(kept, 1)), vocab_size)
    for k in range(2, len(tables) + 1):
        if cutoffs[k - 1]:
            history = word_columns(k - 1)
            histories = kept[k - 2].select(*history).hint("shuffle_hash")  # sorting is slower
            rare = orders[k - 1].where(F.col("count") <= cutoffs[k - 1])
            after_kept = rare.join(histories, history, "left_semi").groupBy(*history)
            sums = after_kept.agg(F.sum(column).alias("pruned"))
            tables[k - 1] = tables[k - 1]._replace(
                pruned_count=place_in_rows(sums, tables[: k - 1], vocab_size)
            )
    return tables


def place_in_rows(sums: DataFrame, tables: Sequence[NGrams], vocab_size: int) -> np.ndarray:
    """(H,) int64: the column `pruned` of some n-grams, in their rows of the last table."""
    grams, counts = to_arrays(sums, len(tables), "pruned")
    pruned = np.zeros(len(tables[-1].words), np.int64)
    pruned[find_rows(tables, grams, vocab_size)] = counts
    return pruned


def to_arrays(rows: DataFrame, k: int, column: str) -> tuple[np.ndarray, np.ndarray]:
    """The n-grams, ids (U, k) int32 and counts (U,) int64, as arrays on this machine."""
    table = rows.select(*word_columns(k), column).toArrow()
    words = np.empty((table.num_rows, k), np.int32)
    for j in range(k):
        words[:, j] = table.column(j).to_numpy()
    return words, table.column(k).to_numpy()
