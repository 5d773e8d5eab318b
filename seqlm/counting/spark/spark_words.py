"""The lines, tokens and words of a text on a Spark cluster, as those of `text/` are.

A line stands between two boundaries, which are newlines here. No word is one: that tells them from
a literal `</s>`, which is refused. A carriage return at the end of a line is a part of that end. A
byte-order mark and most kinds of compression, told by a file's name, are Spark's own business.

Tokens are numbered in the order of the text, as far as there is one: Spark reads the files of a
folder, or of a `*`, the longest first.

    V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from seqlm.counting.spark.spark_session import literal  # first: it says what is missing
from seqlm.errors import DataError
from seqlm.text.tokenizer import SENTINEL, Kind, Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED, UNK

# isort: split
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

BOUNDARY = "\n"


def read_lines(spark: SparkSession, sources: Sequence[str], kind: Kind) -> DataFrame:
    """One row a line: `words`, an array of its tokens between boundaries."""
    boundary = F.array(F.lit(BOUNDARY))
    words = F.concat(boundary, tokens_of(F.col("value"), kind), boundary)
    parts = [spark.read.text(pattern(source), lineSep="\n") for source in sources]
    return reduce(DataFrame.unionAll, parts).select(words.alias("words"))


def pattern(source: str) -> str:
    """A URL's `*` is Spark's to expand, a path's is a part of the name."""
    return source if "://" in source else literal(source)


def tokens_of(line: Column, kind: Kind) -> Column:
    """The array of a line's tokens; of what is no UTF-8 one token that is refused."""
    if kind == "word":
        tokens = F.split(line, "[ \t\r\x0b\x0c]+")
    else:
        tokens = F.split(F.regexp_replace(line, r"\r\z", ""), "")
    return F.when(F.is_valid_utf8(line), F.array_remove(tokens, "")).otherwise(
        F.array(F.lit("</s>"))
    )


def token_rows(lines: DataFrame) -> DataFrame:
    """One row a token, in the order of the text: `words` of the line, `place` in it, `word`.

    `outer` changes nothing, no array being empty, and spares Spark's filter for empty ones, which
    would split every line twice more.
    """
    rows = lines.select("words", F.posexplode_outer("words").alias("place", "word"))
    return rows.where("place > 0")


# -------------------------------------------------------------------------------------- vocabulary


def count_words(lines: DataFrame) -> DataFrame:
    """Each `word`, its `count`, and a number that rises with its `first` appearance."""
    numbered = token_rows(lines).select("word", F.monotonically_increasing_id().alias("at"))
    return numbered.groupBy("word").agg(F.count("*").alias("count"), F.min("at").alias("first"))


def refuse_sentinels(
    spark: SparkSession, found: DataFrame, sources: Sequence[str], kind: Kind
) -> None:
    """Errors: DataError naming the first line that holds `<s>` or `</s>`, or is no UTF-8."""
    if found.where(F.col("word").isin("<s>", "</s>")).isEmpty():
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
                    f"{where}: invalid UTF-8 (Spark tells compressed files by their names, as .gz)"
                )
            match = SENTINEL.search(line.value.encode())
            assert match is not None
            raise DataError(
                f"{where}: the token {match.group().decode()} is reserved for the boundaries of a"
                " line; remove it from the text"
            )


def learned(
    found: DataFrame, kind: Kind, vocab_size: int | None, min_count: int | None
) -> Tokenizer:
    """The types of the text by falling count, ties by their bytes."""
    types = found.where(~F.col("word").isin(BOUNDARY, "<unk>"))
    types = types.where(F.col("count") >= max(min_count or 1, 1)).orderBy(F.desc("count"), "word")
    if vocab_size is not None:
        types = types.limit(max(0, vocab_size - len(RESERVED)))
    column = types.select(F.col("word").cast("binary")).toArrow().column(0)
    return Tokenizer(kind, RESERVED + column.to_pylist())


def write_vocabulary(spark: SparkSession, tokenizer: Tokenizer, folder: str) -> DataFrame:
    """`id` and `word` as they stand in lines, where `</s>` is the boundary."""
    ids = np.arange(len(tokenizer), dtype=np.int32)
    words = [type_.decode() for type_ in tokenizer.types]
    spark.createDataFrame(pa.table({"id": ids, "word": words})).write.parquet(folder)
    word = F.when(F.col("id") == EOS, BOUNDARY).otherwise(F.col("word"))
    return spark.read.parquet(literal(folder)).select("id", word.alias("word"))


def by_id(
    found: DataFrame, vocabulary: DataFrame, vocab_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Occurrences (V,) int64 of each id and the rank (V,) int64 of its first, -2 if it has none."""
    known = found.join(F.broadcast(vocabulary), "word", "left")
    of_id = known.groupBy(F.coalesce("id", F.lit(UNK))).agg(F.sum("count"), F.min("first"))
    id, count, first = (column.to_numpy() for column in of_id.toArrow().columns)
    occurrences, rank = np.zeros(vocab_size, np.int64), np.full(vocab_size, -2, np.int64)
    occurrences[id], rank[id] = count, first
    return occurrences, rank


def refuse_emptiness(occurrences: np.ndarray, sources: Sequence[str]) -> None:
    """Errors: DataError where there is no word."""
    named = ", ".join(sources)
    if occurrences.sum() == 0:
        raise DataError(f"the corpus is empty: no text in {named}")
    if occurrences.sum() == occurrences[EOS]:
        raise DataError(f"the corpus is nothing but empty lines: {named}")
