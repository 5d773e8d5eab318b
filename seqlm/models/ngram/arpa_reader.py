"""ARPA files -> n-gram models: those of SRILM, KenLM, IRSTLM and seqlm, compressed or not.

    anything                               is skipped
    \\data\\
    ngram 1=4                              how many n-grams of each order
    …
    \\1-grams:
    -1.2 <TAB> the <TAB> -0.3              log₁₀ p, k words, log₁₀ β; β is 1 where it is left out
    …
    \\end\\

Fields are parted by any white space; -99 and all below stand for log 0. The types are `<unk>` (some
call it `<UNK>`), `</s>`, and the others in the order of the file. `<s>` is none of them: it only
begins n-grams, and there it is the row of `</s>`.

    U n-grams of an order k · V vocabulary; while a file is read, `<s>` is number V
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import log
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from seqlm.errors import DataError, ModelError
from seqlm.models.ngram.arpa_parser import Lines, Part, numbers, parts, take_apart
from seqlm.models.ngram.arpa_tables import Repeated, Tables
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.progress import Progress, silent
from seqlm.text.reading import decompress, open_source
from seqlm.text.tokenizer import Tokenizer
from seqlm.text.vocabulary import EOS, RESERVED
from seqlm.text.word_index import NO_ID, TokenSpans, WordIndex
from seqlm.threads import prefetch_map

LOG_ZERO = -99.0
"""What stands for log₁₀ 0, with all below it."""
ORDERS = 64
"""The longest n-grams, as in `seqlm count`."""
COUNT = re.compile(rb"ngram\s+(\d{1,3})\s*=\s*(\d{1,18})")
UNKNOWN, BEGIN, END = b"<unk>", b"<s>", RESERVED[EOS]


def read_arpa(path: str | Path, progress: Progress = silent) -> tuple[NGramModel, Tokenizer]:
    """The model in a file, and its words. What the file lacks is told by a warning.

    Errors: ModelError with the line, its section, and what is wrong there.
    """
    name = str(path)
    try:
        with open_source(name, name) as raw, decompress(raw, name) as stream:
            return Reader(name, stream, progress).model()
    except DataError as error:
        raise ModelError(str(error)) from None


class Told(NamedTuple):
    """What some lines tell of n-grams, but for their words."""

    number: np.ndarray  # (U,) int32, of the line in the file
    log_prob: np.ndarray  # (U,) float32, natural
    backoff: np.ndarray  # (U,) float32
    lines: Lines


class Reader:
    """Reads one file, from its first line to the last."""

    def __init__(self, name: str, stream: BinaryIO, progress: Progress) -> None:
        self.name, self.progress = name, progress
        self.parts = parts(stream, name)
        self.section = ""
        """Where in the file we are."""
        self.marker, self.line = b"", 1
        """The last line that began with a backslash, and its number."""

    def model(self) -> tuple[NGramModel, Tokenizer]:
        sizes = self.sizes()
        types, index, tables = self.vocabulary(sizes)
        for k, size in enumerate(sizes[1:], 2):
            work = partial(self.grams, k=k, highest=k == len(sizes), index=index, begin=len(types))
            number, log_prob, backoff, *words = joined(self.results(k, size, work), k)
            try:
                tables.add(words, log_prob, backoff)
            except Repeated as repeated:
                again, first = number[repeated.second], number[repeated.first]
                raise self.fault(again, f"the n-gram of line {first} once more") from None
        self.section = "\\end\\"
        self.expect(self.section)
        for part in self.text():
            if part.data.strip():
                raise self.fault(part.line, f"{shown(part.data.strip())} after the end")
        if self.marker:
            raise self.fault(self.line, f"{shown(self.marker)} after the end")
        model = tables.model()
        if tables.put_in:
            warnings.warn(
                f"{self.name}: {tables.put_in:,} n-grams that others begin with were not there;"
                " they are put in with the probability they have without",
                stacklevel=3,
            )
        return model, Tokenizer("word", types)

    # -- from marker to marker

    def text(self) -> Iterator[Part]:
        """The parts up to the next marker, or to the end of the file, where it is b''."""
        for part in self.parts:
            self.line = part.line
            if part.is_marker:
                self.marker = part.data.rstrip()
                return
            yield part
            self.line += part.data.count(b"\n")
        self.marker = b""

    def expect(self, marker: str) -> None:
        if self.marker == b"":
            raise self.fault(self.line, f"the file ends where {marker} should be: it is cut off")
        if self.marker != marker.encode():
            raise self.fault(self.line, f"{shown(self.marker)} where {marker} should be")

    def fault(self, line: int, what: str) -> ModelError:
        return ModelError(f"{self.name}, line {line}, {self.section}: {what}")

    def sizes(self) -> list[int]:
        """How many n-grams of each order the head of the file says there are."""
        self.section = "\\data\\"
        while self.marker != b"\\data\\":
            for _ in self.text():
                pass
            if not self.marker:
                raise ModelError(f"{self.name} is no ARPA file: it has no line \\data\\")
        sizes: list[int] = []
        for part in self.text():
            for number, line in enumerate(part.data.split(b"\n"), part.line):
                if not line.strip():
                    continue
                match = COUNT.fullmatch(line.strip())
                if not match or int(match[1]) != len(sizes) + 1:
                    expected = f"ngram {len(sizes) + 1}="
                    raise self.fault(number, f"{shown(line)} where {expected} should be")
                if len(sizes) == ORDERS:
                    raise self.fault(number, f"the order of n-grams is at most {ORDERS}")
                sizes.append(int(match[2]))
        if not sizes:
            raise self.fault(self.line, "no line says how many n-grams there are")
        return sizes

    def results(
        self, k: int, size: int, work: Callable[[Part], Sequence[Any]]
    ) -> Iterator[Sequence[Any]]:
        """What `work` makes of the parts of a section; first the numbers of lines.

        Errors: ModelError where it has not `size` n-grams.
        """
        self.section = f"\\{k}-grams"
        self.expect(f"\\{k}-grams:")
        begun, there = self.line, 0
        for _, result in prefetch_map(work, self.text()):
            there += len(result[0])
            self.progress(f"reading {size:,} {k}-grams", min(1.0, there / max(size, 1)))
            yield result
        if there != size:
            cut = "" if self.marker else "; the file is cut off"
            raise self.fault(begun, f"{there:,} n-grams, but {size:,} in \\data\\{cut}")

    # -- n-grams

    def told(self, part: Part, k: int, highest: bool) -> Told:
        """Errors: ModelError."""
        lines = take_apart(part.data)
        first, sizes = lines.first, lines.sizes
        number = lines.numbers + part.line

        def refuse(bad: np.ndarray, offset: int, what: str) -> None:
            """Where lines are `bad` (U,); the field `offset` from the first is to blame."""
            if bad.any():
                row = int(bad.argmax())
                text = shown(lines.text(int(first[row]) + offset))
                raise self.fault(int(number[row]), what.format(text, fields=sizes[row]))

        optional = "" if highest else ", perhaps a backoff"
        layout = f"a probability, {k} word{'s' if k > 1 else ''}{optional}"
        refuse((sizes <= k) | (sizes > k + 2 - highest), 0, f"{{fields}} fields, not {layout}")
        log_prob = numbers(lines, first)
        refuse(~np.isfinite(log_prob), 0, "{}, a probability, is no number that log10 can be")
        refuse(log_prob > 0, 0, "{} is no probability: its log10 is above 0")
        backoff, has = np.zeros(len(first)), sizes == k + 2
        backoff[has] = numbers(lines, first[has] + k + 1)
        refuse(~np.isfinite(backoff), k + 1, "{}, a backoff, is no number that log10 can be")
        refuse(backoff > -LOG_ZERO, k + 1, "{} is too large for a backoff")
        return Told(number.astype(np.int32), natural(log_prob), natural(backoff), lines)

    def grams(
        self, part: Part, k: int, highest: bool, index: WordIndex, begin: int
    ) -> list[np.ndarray]:
        """Columns (U,): the first three as told, and k of int32 ids. Errors: ModelError."""
        number, log_prob, backoff, lines = self.told(part, k, highest)
        fields = lines.first + np.arange(1, k + 1)[:, None]  # (k, U)
        start, length = lines.fields.start[fields], lines.fields.length[fields]
        words = index.look_up(lines.data, TokenSpans(start.ravel(), length.ravel()))
        words = words.reshape(fields.shape)
        late, early = words == begin, words == EOS
        late[0] = early[-1] = False
        for bad, what in (
            (words == NO_ID, "is no unigram"),
            (late, "is not the first word"),
            (early, "is not the last word"),
        ):
            if bad.any():
                row = int(bad.any(0).argmax())
                word = shown(lines.text(int(fields[bad[:, row].argmax(), row])))
                raise self.fault(int(number[row]), f"{word} {what}")
        words[0, words[0] == begin] = EOS
        return [number, log_prob, backoff, *words]

    def vocabulary(self, sizes: list[int]) -> tuple[list[bytes], WordIndex, Tables]:
        """The types, the ids of words, and the table of order 1. Errors: ModelError."""
        rows: dict[bytes, int] = {}
        columns = []
        work = partial(self.told, k=1, highest=len(sizes) == 1)
        for number, log_prob, backoff, lines in self.results(1, sizes[0], work):
            columns.append((log_prob, backoff))
            for field, line in zip((lines.first + 1).tolist(), number.tolist(), strict=True):
                word = lines.text(field)
                if word in rows:
                    raise self.fault(line, f"{shown(word)} once more")
                try:
                    word.decode()
                except UnicodeDecodeError:
                    raise self.fault(line, f"{shown(word)} is no UTF-8") from None
                rows[word] = len(rows)
        if not rows:
            raise self.fault(self.line, "there are no words")
        unknown = UNKNOWN if UNKNOWN in rows else UNKNOWN.upper()
        for word, what in ((unknown, "a word that is not in it"), (END, "the end of a line")):
            if word not in rows:
                lack = f"{self.name} has no {word.decode().lower()}: {what} has probability 0"
                warnings.warn(lack, stacklevel=4)
        types = [unknown, END, *(word for word in rows if word not in (unknown, END, BEGIN))]
        # What is not there has probability 0, no backoff, and a name that no field can have.
        columns.append((np.array([-np.inf], np.float32), np.zeros(1, np.float32)))
        log_prob, backoff = (np.concatenate(column) for column in zip(*columns, strict=True))
        begin = backoff[rows.get(BEGIN, -1)]
        order = [rows.get(word, -1) for word in types]
        log_prob, backoff = log_prob[order], backoff[order]
        backoff[EOS] = begin
        index = WordIndex(word if word in rows else b"\n" + word for word in (*types, BEGIN))
        return RESERVED + types[2:], index, Tables(log_prob, backoff)


def joined(results: Iterable[Sequence[np.ndarray]], k: int) -> list[np.ndarray]:
    """The columns of all results of `Reader.grams`, in arrays that grow in place."""
    columns = [np.empty(0, kind) for kind in (np.int32, np.float32, np.float32, *[np.int32] * k)]
    size = 0
    for result in results:
        start, size = size, size + len(result[0])
        for column, piece in zip(columns, result, strict=True):
            if size > len(column):
                column.resize(size + size // 8, refcheck=False)
            column[start:size] = piece
    return [column[:size] for column in columns]


def natural(base_10: np.ndarray) -> np.ndarray:
    """(U,) float32."""
    values: np.ndarray = np.where(base_10 <= LOG_ZERO, -np.inf, base_10 * log(10))
    return values.astype(np.float32)


def shown(text: bytes) -> str:
    return repr(text[:60].decode(errors="backslashreplace"))
