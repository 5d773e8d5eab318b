"""ARPA files -> n-gram models: those of SRILM, KenLM, IRSTLM and seqlm, compressed or not.

    anything                               is skipped
    \\data\\
    ngram 1=4                              how many n-grams of each order
    …
    \\1-grams:
    -1.2 <TAB> the <TAB> -0.3              log₁₀ p, k words, log₁₀ β; β is 1 where it is left out
    …
    \\end\\

Fields are separated by any white space; -99, all below and -inf stand for log 0. The types are
`<unk>` (some call it `<UNK>`), `</s>`, and the others in the order of the file. `<s>` is none of
them: it only begins n-grams, and there it is the row of `</s>`. N-grams that no line of text has,
with `<s>` after another word or `</s>` before one, are passed over. Some tools write a backoff of
the longest n-grams too, which has to be 0.

    U n-grams of an order k · V vocabulary; while a file is read, `<s>` is number V
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import log
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from seqlm.errors import DataError, ModelError
from seqlm.machine.threads import prefetch_map
from seqlm.models.ngram.arpa.arpa_fields import FieldLines, Part, parse_numbers, parts, split_fields
from seqlm.models.ngram.arpa.arpa_tables import RepeatedNGram, TableBuilder
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.progress import Progress, silent
from seqlm.text.reading import decompress, open_source
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED
from seqlm.text.word_index import NO_ID, TokenSpans, WordIndex

LOG_ZERO = -99.0
"""This number and all below it stand for log₁₀ 0."""
LONGEST_NGRAM = 64
"""The highest order, as in `seqlm count`."""
COUNT = re.compile(rb"ngram\s+(\d{1,3})\s*=\s*(\d{1,18})")
UNKNOWN, BOS, END = b"<unk>", b"<s>", RESERVED[EOS]


def read_arpa(path: str | Path, progress: Progress = silent) -> tuple[NGramModel, Tokenizer]:
    """The model in a file, and its tokenizer. A warning says what the file lacks.

    Errors: ModelError with the line, its section, and what is wrong there.
    """
    with opened(path) as stream:
        return Reader(str(path), stream, progress).model()


def read_arpa_types(path: str | Path) -> list[bytes]:
    """The types of the model in a file, of which only the unigrams are read. Errors: ModelError."""
    with opened(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the model lacks
        reader = Reader(str(path), stream, silent)
        return reader.read_vocabulary(reader.read_sizes())[0]


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """The content of a file, decompressed. Errors: ModelError where it cannot be read."""
    name = str(path)
    try:
        with open_source(name, name) as raw, decompress(raw, name) as stream:
            yield stream
    except DataError as error:
        raise ModelError(str(error)) from None


class ParsedLines(NamedTuple):
    """The numbers of some n-grams, and the fields that hold their words."""

    line: np.ndarray  # (U,) int32, the number of each line in the file
    log_prob: np.ndarray  # (U,) float32, natural
    backoff: np.ndarray  # (U,) float32, natural
    fields: FieldLines


class Reader:
    """Reads one file, from its first line to the last."""

    def __init__(self, name: str, stream: BinaryIO, progress: Progress) -> None:
        self.name, self.progress = name, progress
        self.parts = parts(stream, name)
        self.section = ""
        """The section that is being read, for error messages."""
        self.marker, self.line = b"", 1
        """The last line that began with a backslash, and its number."""
        self.passed_over = 0
        """How many n-grams no line of text can have."""

    def model(self) -> tuple[NGramModel, Tokenizer]:
        sizes = self.read_sizes()
        types, index, tables = self.read_vocabulary(sizes)
        for k, size in enumerate(sizes[1:], 2):
            parse = partial(self.parse_ngrams, k=k, highest=k == len(sizes), index=index)
            columns = concatenate(self.read_section(k, size, parse), k)
            line, log_prob, backoff, *words = self.within_lines(columns, begin=len(types))
            try:
                tables.add(words, log_prob, backoff)
            except RepeatedNGram as repeated:
                second, first = line[repeated.second], line[repeated.first]
                raise self.fault(second, f"duplicate of the n-gram in line {first}") from None
        self.section = "\\end\\"
        self.expect(self.section)
        for part in self.until_marker():
            if part.data.strip():
                raise self.fault(part.line, f"{quoted(part.data.strip())} after the end")
        if self.marker:
            raise self.fault(self.line, f"{quoted(self.marker)} after the end")
        model = tables.model()
        if self.passed_over:
            warnings.warn(
                f"{self.name}: {self.passed_over:,} n-grams with <s> after another word, or </s>"
                " before one, are passed over: no line of text has them",
                stacklevel=3,
            )
        if tables.inserted:
            warnings.warn(
                f"{self.name}: {tables.inserted:,} n-grams that longer n-grams begin with are"
                " missing; they are inserted with the probability that backing off gives them",
                stacklevel=3,
            )
        return model, Tokenizer("word", types)

    # -- from marker to marker

    def until_marker(self) -> Iterator[Part]:
        """The parts up to the next marker, or to the end of the file, where the marker is b''."""
        for part in self.parts:
            self.line = part.line
            if part.is_marker:
                self.marker = part.data.rstrip()
                return
            yield part
            self.line += part.data.count(b"\n")
        self.marker = b""

    def expect(self, marker: str) -> None:
        """Errors: ModelError if the last marker is another."""
        if self.marker == b"":
            raise self.fault(self.line, f"the file ends where {marker} should be: it is cut off")
        if self.marker != marker.encode():
            raise self.fault(self.line, f"{quoted(self.marker)} where {marker} should be")

    def fault(self, line: int, problem: str) -> ModelError:
        return ModelError(f"{self.name}, line {line}, {self.section}: {problem}")

    def read_sizes(self) -> list[int]:
        """How many n-grams of each order the head of the file announces."""
        self.section = "\\data\\"
        while self.marker != b"\\data\\":
            for _ in self.until_marker():
                pass
            if not self.marker:
                raise ModelError(f"{self.name} is not an ARPA file: it has no line \\data\\")
        sizes: list[int] = []
        for part in self.until_marker():
            for number, line in enumerate(part.data.split(b"\n"), part.line):
                if not line.strip():
                    continue
                match = COUNT.fullmatch(line.strip())
                if not match or int(match[1]) != len(sizes) + 1:
                    expected = f"ngram {len(sizes) + 1}="
                    raise self.fault(number, f"{quoted(line)} where {expected} should be")
                if len(sizes) == LONGEST_NGRAM:
                    raise self.fault(number, f"the order of n-grams is at most {LONGEST_NGRAM}")
                sizes.append(int(match[2]))
        if not sizes:
            raise self.fault(self.line, "no line says how many n-grams there are")
        return sizes

    def read_section(
        self, k: int, size: int, parse: Callable[[Part], Sequence[Any]]
    ) -> Iterator[Sequence[Any]]:
        """The results of `parse` for the parts of a section; the first item of each is (U,).

        Errors: ModelError if the section has not `size` n-grams.
        """
        self.section = f"\\{k}-grams"
        self.expect(f"\\{k}-grams:")
        begin, done = self.line, 0
        for _, result in prefetch_map(parse, self.until_marker()):
            done += len(result[0])
            self.progress(f"reading {size:,} {k}-grams", min(1.0, done / max(size, 1)))
            yield result
        if done != size:
            cut = "" if self.marker else "; the file is cut off"
            raise self.fault(begin, f"{done:,} n-grams, but {size:,} in \\data\\{cut}")

    # -- n-grams

    def parse_lines(self, part: Part, k: int, highest: bool) -> ParsedLines:
        """All but the words. Errors: ModelError."""
        lines = split_fields(part.data)
        first, counts = lines.first_fields, lines.field_counts
        line = lines.line_numbers + part.line

        def refuse(bad: np.ndarray, offset: int, problem: str) -> None:
            """Raises an error if lines are `bad` (U,), for the field `offset` from the first."""
            if bad.any():
                row = int(bad.argmax())
                text = quoted(lines.text(int(first[row]) + offset))
                raise self.fault(int(line[row]), problem.format(text, fields=counts[row]))

        words = f"{k} word{'s' if k > 1 else ''}"
        layout = f"probability and {words}" if highest else f"probability, {words}, maybe a backoff"
        backoff, has_backoff = np.zeros(len(first)), counts == k + 2
        backoff[has_backoff] = parse_numbers(lines, first[has_backoff] + k + 1)
        is_long = (counts > k + 2) | (highest & (backoff != 0))
        refuse((counts <= k) | is_long, 0, f"{{fields}} fields, not a {layout}")
        log_prob = parse_numbers(lines, first)
        refuse(np.isnan(log_prob), 0, "the log10 probability {} is not a finite number")
        refuse(log_prob > 0, 0, "the log10 probability {} is above 0")
        refuse(~np.isfinite(backoff), k + 1, "the log10 backoff {} is not a finite number")
        refuse(backoff > -LOG_ZERO, k + 1, "the log10 backoff {} is too large")
        return ParsedLines(line.astype(np.int32), to_natural(log_prob), to_natural(backoff), lines)

    def parse_ngrams(self, part: Part, k: int, highest: bool, index: WordIndex) -> list[np.ndarray]:
        """Columns (U,): line, log p, log β, and k of int32 ids. Errors: ModelError."""
        line, log_prob, backoff, lines = self.parse_lines(part, k, highest)
        fields = lines.first_fields + np.arange(1, k + 1)[:, None]  # (k, U)
        start, length = lines.fields.start[fields], lines.fields.length[fields]
        words = index.look_up(lines.data, TokenSpans(start.ravel(), length.ravel()))
        words = words.reshape(fields.shape)
        unknown = words == NO_ID
        if unknown.any():
            row = int(unknown.any(0).argmax())
            word = quoted(lines.text(int(fields[unknown[:, row].argmax(), row])))
            raise self.fault(int(line[row]), f"{word} is not a unigram")
        return [line, log_prob, backoff, *words]

    def within_lines(self, columns: list[np.ndarray], begin: int) -> list[np.ndarray]:
        """The columns of `parse_ngrams` for the n-grams that a line of text can have: `<s>`, whose
        id is `begin` and becomes that of `</s>`, is first or nowhere, and `</s>` last or nowhere.
        """
        words = columns[3:]
        crosses = np.zeros(len(words[0]), bool)
        for word in words[1:]:
            crosses |= word == begin
        for word in words[:-1]:
            crosses |= word == EOS
        if crosses.any():
            self.passed_over += int(crosses.sum())
            columns = [column[~crosses] for column in columns]
        first_word = columns[3]
        first_word[first_word == begin] = EOS
        return columns

    def read_vocabulary(self, sizes: list[int]) -> tuple[list[bytes], WordIndex, TableBuilder]:
        """The types, the ids of words, and the table of order 1. Errors: ModelError."""
        rows: dict[bytes, int] = {}
        columns = []
        parse = partial(self.parse_lines, k=1, highest=len(sizes) == 1)
        for number, log_prob, backoff, lines in self.read_section(1, sizes[0], parse):
            columns.append((log_prob, backoff))
            for field, line in zip((lines.first_fields + 1).tolist(), number.tolist(), strict=True):
                word = lines.text(field)
                if word in rows:
                    raise self.fault(line, f"duplicate unigram {quoted(word)}")
                try:
                    word.decode()
                except UnicodeDecodeError:
                    raise self.fault(line, f"{quoted(word)} is not UTF-8") from None
                rows[word] = len(rows)
        if not rows:
            raise self.fault(self.line, "there are no words")
        unknown = UNKNOWN if UNKNOWN in rows else UNKNOWN.upper()
        for word, meaning in ((unknown, "a word that is not in it"), (END, "the end of a line")):
            if word not in rows:
                lack = f"{self.name} has no {word.decode().lower()}: {meaning} has probability 0"
                warnings.warn(lack, stacklevel=4)
        types = [unknown, END, *(word for word in rows if word not in (unknown, END, BOS))]
        # One more row, -1, for what is missing: probability 0, no backoff, and below a name that
        # no field can have.
        columns.append((np.array([-np.inf], np.float32), np.zeros(1, np.float32)))
        log_prob, backoff = (np.concatenate(column) for column in zip(*columns, strict=True))
        begin_backoff = backoff[rows.get(BOS, -1)]
        order = [rows.get(word, -1) for word in types]
        log_prob, backoff = log_prob[order], backoff[order]
        backoff[EOS] = begin_backoff
        index = WordIndex(word if word in rows else b"\n" + word for word in (*types, BOS))
        return RESERVED + types[2:], index, TableBuilder(log_prob, backoff)


def concatenate(results: Iterable[Sequence[np.ndarray]], k: int) -> list[np.ndarray]:
    """The columns of all results of `Reader.parse_ngrams`, in arrays that grow in place."""
    columns = [np.empty(0, kind) for kind in (np.int32, np.float32, np.float32, *[np.int32] * k)]
    size = 0
    for result in results:
        start, size = size, size + len(result[0])
        for column, piece in zip(columns, result, strict=True):
            if size > len(column):
                column.resize(size + size // 8, refcheck=False)
            column[start:size] = piece
    return [column[:size] for column in columns]


def to_natural(base_10: np.ndarray) -> np.ndarray:
    """(U,) float32 natural logarithms; LOG_ZERO and less become -inf."""
    values: np.ndarray = np.where(base_10 <= LOG_ZERO, -np.inf, base_10 * log(10))
    return values.astype(np.float32)


def quoted(text: bytes) -> str:
    return repr(text[:60].decode(errors="backslashreplace"))
