"""Word vectors of a fastText model, its .bin file, for any word.

    magic, version, arguments            of which width, bucket, minn and maxn matter here
    sizes of the dictionary              then of each entry: word \\0 count type
    0, M, D, M · D float32               the input matrix; the byte is 1 where it is quantized
    0, m, n, m · n float32               the output matrix, which is not read

All numbers are little-endian. Bojanowski et al. (2017) add the vectors z of a word and of its
character n-grams; the program that they published takes the mean:

    v(w) = mean of z(w) and of z(g) for all n-grams g of w; z(w) only if w is in the dictionary
    z(w) is row i for word i, z(g) is row N + hash(g) mod K

    N words of the dictionary · K buckets · D numbers of a vector · M = N + K rows
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqlm.errors import ModelError
from seqlm.models.vectors.character_ngrams import ngrams_of
from seqlm.runs.vector_files.vector_formats import LONGEST_WORD
from seqlm.runs.vector_files.word_vectors import VectorCollector, WordVectors

MAGIC = struct.pack("<i", 793712314)
VERSIONS = (11, 12)
SUPERVISED = 3
END_OF_LINE = b"</s>"
"""The one word that has no n-grams."""
LONGEST_NGRAM = 64
"""The highest `maxn`; fastText's own default is 6."""
HEADER = struct.Struct("<12id3i2q")
ENTRY_END = struct.Struct("<qb")
MATRIX = struct.Struct("<b2q")
WORDS_AT_ONCE = 1024


class FastTextHeader(NamedTuple):
    """The arguments of the training, then the sizes of the dictionary, in the order of the file."""

    width: int
    window: int
    epochs: int
    min_count: int
    negatives: int
    word_ngrams: int
    loss: int
    model: int
    buckets: int
    min_n: int
    max_n: int
    update_rate: int
    threshold: float
    num_entries: int
    num_words: int
    num_labels: int
    num_tokens: int
    num_pruned: int
    """-1 where no n-gram is pruned."""


class FastTextModel:
    """An open file: its dictionary and its rows, which are read where they are used."""

    def __init__(self, path: Path) -> None:
        """Errors: ModelError where the file is none of fastText's, or its sizes do not fit it."""
        self.name = str(path)
        with path.open("rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        version, *_ = self.unpack(struct.Struct("<i"), len(MAGIC))
        if version not in VERSIONS:
            raise ModelError(
                f"{self.name} has version {version} of fastText's format, not 11 or 12"
            )
        header = self.header = FastTextHeader(*self.unpack(HEADER, len(MAGIC) + 4))
        self.check_header()
        self.longest = 0 if version == 11 and header.model == SUPERVISED else header.max_n
        start = len(MAGIC) + 4 + HEADER.size
        # Where each entry of the dictionary begins, and the end of the last.  (entries + 1,)
        self.starts = np.fromiter(self.find_entries(start), np.int64, header.num_entries + 1)
        self.rows = self.find_rows(int(self.starts[-1]))  # (M, D)

    def unpack(self, form: struct.Struct, start: int) -> tuple[Any, ...]:
        """Errors: ModelError where the file ends first."""
        if start + form.size > len(self.data):
            raise self.truncated()
        return form.unpack_from(self.data, start)

    def truncated(self) -> ModelError:
        return ModelError(f"{self.name}: the file ends too early; is it complete?")

    def check_header(self) -> None:
        """Errors: ModelError."""
        header = self.header
        has_sizes = (
            header.width > 0
            and header.buckets >= 0
            and header.num_words > 0
            and header.num_labels >= 0
            and header.num_entries == header.num_words + header.num_labels
            and header.min_n >= 0
            and 0 <= header.max_n <= LONGEST_NGRAM
            and (header.max_n == 0 or header.buckets > 0)
        )
        if not has_sizes:
            raise ModelError(f"{self.name}: the sizes in its header are no fastText model's")
        if header.num_pruned != -1:
            raise ModelError(f"{self.name} is a pruned model: only unpruned ones are read")
        if header.num_entries * (1 + ENTRY_END.size) > len(self.data):
            raise self.truncated()

    def find_entries(self, start: int) -> Iterator[int]:
        """Where each entry of the dictionary begins, and the end. Errors: ModelError."""
        for entry in range(self.header.num_entries):
            yield start
            end = self.data.find(b"\0", start, start + LONGEST_WORD + 1)
            if end < 0:
                raise ModelError(f"{self.name}: entry {entry + 1:,} of its dictionary has no end")
            _, kind = self.unpack(ENTRY_END, end + 1)
            if kind != (entry >= self.header.num_words):
                raise ModelError(
                    f"{self.name}: entry {entry + 1:,} of its dictionary is of type {kind}, where"
                    " all words come first (0), and then all labels (1)"
                )
            start = end + 1 + ENTRY_END.size
        yield start

    def find_rows(self, start: int) -> np.ndarray:
        """(M, D) the input matrix, in the file. Errors: ModelError."""
        is_quantized, num_rows, width = self.unpack(MATRIX, start)
        if is_quantized:
            raise ModelError(
                f"{self.name} is a quantized model: its vectors were compressed; use the .bin file"
                " that it was made from"
            )
        header = self.header
        if (num_rows, width) != (header.num_words + header.buckets, header.width):
            raise ModelError(
                f"{self.name}: a matrix of {num_rows:,} × {width:,}, where the header has"
                f" {header.num_words:,} words, {header.buckets:,} buckets and vectors of"
                f" {header.width:,} numbers"
            )
        end = start + MATRIX.size + 4 * num_rows * width
        _, num_outputs, output_width = self.unpack(MATRIX, end)
        if end + MATRIX.size + 4 * num_outputs * output_width != len(self.data):
            raise ModelError(
                f"{self.name} has {len(self.data):,} bytes, which do not fit the sizes of its"
                " matrices; is it complete?"
            )
        return np.ndarray((num_rows, width), "<f4", self.data, start + MATRIX.size)

    def words(self) -> Iterator[bytes]:
        """The words of the dictionary."""
        starts = self.starts[: self.header.num_words + 1].tolist()
        for start, end in pairwise(starts):
            yield self.data[start : end - 1 - ENTRY_END.size]

    def ngram_rows(self, words: Sequence[bytes]) -> list[list[int]]:
        """The rows of the character n-grams of each of `words`."""
        ngrams = ngrams_of(words, self.header.min_n, self.longest)
        rows = (ngrams.hashes % np.uint32(max(1, self.header.buckets))).tolist()
        ends = ngrams.sizes.cumsum()
        return [
            [] if word == END_OF_LINE else [self.header.num_words + row for row in rows[start:end]]
            for word, start, end in zip(words, ends - ngrams.sizes, ends)
        ]

    def mean_rows(self, row_lists: Sequence[list[int]]) -> np.ndarray:
        """(n, D) float32, the mean of the rows of each of n lists, none of which is empty."""
        lengths = np.array([len(rows) for rows in row_lists])
        flat = np.fromiter(chain.from_iterable(row_lists), np.int64, lengths.sum())
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
            sums = np.add.reduceat(self.rows[flat], np.append(0, lengths[:-1].cumsum()))
        return np.asarray(sums / lengths[:, None].astype(np.float32))


def read_fasttext_vectors(
    path: Path, wanted: Collection[str] | None = None, most: int | None = None
) -> WordVectors:
    """As `read_vectors`, of a fastText model. Errors: ModelError; OSError."""
    model = FastTextModel(path)
    collector = VectorCollector(model.name, model.header.width, wanted, most)
    add_means(model, collector, rows_of_listed(model, collector))
    num_listed = len(collector.taken)
    unseen = sorted(set(wanted or ()) - collector.taken.keys())
    add_means(model, collector, rows_of_unseen(unseen, model, collector))
    return collector.finish(num_listed)


def rows_of_listed(model: FastTextModel, collector: VectorCollector) -> Iterator[list[int]]:
    """The rows of each word of the dictionary that is taken."""
    taken = (
        (row, word)
        for row, word in enumerate(model.words())
        if not collector.is_full and collector.take(word.decode(errors="replace"))
    )
    while batch := list(islice(taken, WORDS_AT_ONCE)):
        for (row, _), ngrams in zip(batch, model.ngram_rows([word for _, word in batch])):
            yield [row, *ngrams]


def rows_of_unseen(
    words: Sequence[str], model: FastTextModel, collector: VectorCollector
) -> Iterator[list[int]]:
    """The rows of each word outside the dictionary that has n-grams and is taken."""
    for start in range(0, len(words), WORDS_AT_ONCE):
        batch = words[start : start + WORDS_AT_ONCE]
        spelled = [word.encode(errors="surrogatepass") for word in batch]
        for word, rows in zip(batch, model.ngram_rows(spelled)):
            if collector.is_full:
                return
            if rows and collector.take(word):
                yield rows


def add_means(
    model: FastTextModel, collector: VectorCollector, row_lists: Iterator[list[int]]
) -> None:
    while batch := list(islice(row_lists, WORDS_AT_ONCE)):
        collector.add(model.mean_rows(batch))


def compose_vectors(model: FastTextModel, words: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Those of `words`, which are not in the dictionary, that have n-grams; and their vectors,
    (n, D) float32. Errors: ModelError on a number that is not finite."""
    collector = VectorCollector(model.name, model.header.width, words, None)
    add_means(model, collector, rows_of_unseen(list(dict.fromkeys(words)), model, collector))
    found = collector.finish()
    return found.words, found.vectors


def listed_vectors(model: FastTextModel) -> WordVectors:
    """The words of the dictionary and their vectors. Errors: ModelError, as above."""
    collector = VectorCollector(model.name, model.header.width, None, None)
    add_means(model, collector, rows_of_listed(model, collector))
    return collector.finish()
