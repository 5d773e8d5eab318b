"""The lines, tokens and words of a text on a Spark cluster, the same as those of `text/`.

A line has a boundary before and after its words, which is a newline here. No word is a newline, so
that boundaries differ from a literal `</s>`, which is refused. A carriage return at the end of a
line belongs to that end. Spark itself handles a byte-order mark, and most kinds of compression by a
file's name.

Tokens are numbered in the order of the text. Spark reads the files of a folder, or those that a `*`
matches, in an order of its own: the longest first.

    V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from seqlm.counting.spark.spark_session import escaped_url  # first: it reports missing libraries
from seqlm.errors import DataError
from seqlm.text.tokenizer import SENTINEL, Tokenizer, TokenizerKind
from seqlm.text.vocabulary import EOS, RESERVED, UNK

# isort: split
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

BOUNDARY = "\n"


def read_lines(spark: SparkSession, sources: Sequence[str], kind: TokenizerKind) -> DataFrame:
    """A row for each line: `words`, the array of its tokens between two boundaries."""
    boundary = F.array(F.lit(BOUNDARY))
    words = F.concat(boundary, tokens_of(F.col("value"), kind), boundary)
    parts = [spark.read.text(pattern(source), lineSep="\n") for source in sources]
    return reduce(DataFrame.unionAll, parts).select(words.alias("words"))


def pattern(source: str) -> str:
    """Spark expands the `*` of a URL; in a path it is part of the name."""
    return source if "://" in source else escaped_url(source)


def tokens_of(line: Column, kind: TokenizerKind) -> Column:
    """The array of a line's tokens; for invalid UTF-8 a single token that is refused."""
    if kind == "word":
        tokens = F.split(line, "[ \t\r\x0b\x0c]+")
    else:
        tokens = F.split(F.regexp_replace(line, r"\r\z", ""), "")
    return F.when(F.is_valid_utf8(line), F.array_remove(tokens, "")).otherwise(
        F.array(F.lit("</s>"))
    )


def token_rows(lines: DataFrame) -> DataFrame:
    """A row for each token, in the order of the text: `words` of its line, `position`, `word`.

    No array is empty, so that `outer` changes nothing; without it, Spark would filter out empty
    arrays, for which it would split every line twice more.
    """
    rows = lines.select("words", F.posexplode_outer("words").alias("position", "word"))
    return rows.where(F.col("position") > 0)


# -------------------------------------------------------------------------------------- vocabulary


def count_words(lines: DataFrame) -> DataFrame:
    """Each `word`, its `count`, and a number that grows with its `first` appearance."""
    numbered = token_rows(lines).select("word", F.monotonically_increasing_id().alias("at"))
    return numbered.groupBy("word").agg(F.count("*").alias("count"), F.min("at").alias("first"))


def check_sentinels(
    spark: SparkSession, word_counts: DataFrame, sources: Sequence[str], kind: TokenizerKind
) -> None:
    """Errors: DataError naming the first line that has `<s>` or `</s>`, or invalid UTF-8."""
    if word_counts.where(F.col("word").isin("<s>", "</s>")).isEmpty():
        return
    for source in sources:
        lines = spark.read.text(pattern(source), lineSep="\n").select(
            "value",
            F.is_valid_utf8("value").alias("valid"),
            F.monotonically_increasing_id().alias("at"),
            F.col("_metadata.file_path").alias("file"),
        )
        tokens = tokens_of(F.col("value"), kind)
        refused = F.array_contains(tokens, "<s>") | F.array_contains(tokens, "</s>")
        for line in lines.where(refused).orderBy("at").take(1):
            before = (F.col("file") == line.file) & (F.col("at") < line.at)
            name = line.file if "://" in source else source
            where = f"{name}, line {lines.where(before).count() + 1}"
            if not line.valid:
                raise DataError(
                    f"{where}: invalid UTF-8 (Spark knows compressed files by their names, as .gz)"
                )
            match = SENTINEL.search(line.value.encode())
            assert match is not None
            raise DataError(
                f"{where}: the token {match.group().decode()} is reserved for the boundaries of a"
                " line; remove it from the text"
            )


def learn_vocabulary(
    word_counts: DataFrame, kind: TokenizerKind, vocab_size: int | None, min_count: int | None
) -> Tokenizer:
    """The types of the text by falling count, and by bytes where counts are equal."""
    types = word_counts.where(~F.col("word").isin(BOUNDARY, "<unk>"))
    types = types.where(F.col("count") >= max(min_count or 1, 1)).orderBy(F.desc("count"), "word")
    if vocab_size is not None:
        types = types.limit(max(0, vocab_size - len(RESERVED)))
    column = types.select(F.col("word").cast("binary")).toArrow().column(0)
    return Tokenizer(kind, RESERVED + column.to_pylist())


def write_vocabulary(spark: SparkSession, tokenizer: Tokenizer, folder: str) -> DataFrame:
    """`id` and `word` as in lines, where the boundary stands for `</s>`."""
    ids = np.arange(len(tokenizer), dtype=np.int32)
    words = [type_.decode() for type_ in tokenizer.types]
    spark.createDataFrame(pa.table({"id": ids, "word": words})).write.parquet(folder)
    word = F.when(F.col("id") == EOS, BOUNDARY).otherwise(F.col("word"))
    return spark.read.parquet(escaped_url(folder)).select("id", word.alias("word"))


def counts_and_ranks(
    word_counts: DataFrame, vocabulary: DataFrame, vocab_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The occurrences of each id (V,) int64, and the rank of the first (V,) int64, -2 without
    one."""
    with_ids = word_counts.join(F.broadcast(vocabulary), "word", "left")
    by_id = with_ids.groupBy(F.coalesce("id", F.lit(UNK))).agg(F.sum("count"), F.min("first"))
    id, count, first = (column.to_numpy() for column in by_id.toArrow().columns)
    occurrences, rank = np.zeros(vocab_size, np.int64), np.full(vocab_size, -2, np.int64)
    occurrences[id], rank[id] = count, first
    return occurrences, rank


def check_not_empty(occurrences: np.ndarray, sources: Sequence[str]) -> None:
    """Errors: DataError if there is no word."""
    named = ", ".join(sources)
    if occurrences.sum() == 0:
        raise DataError(f"the corpus is empty: no text in {named}")
    if occurrences.sum() == occurrences[EOS]:
        raise DataError(f"the corpus is nothing but empty lines: {named}")
