"""Lines of a count file <-> arrays.

    old frog </s> <TAB> 2       k words with a single space between them, a tab, the count

Nothing here depends on the line before. A block of n-grams becomes text by gathering the bytes of
its words; a block of text is a byte array whose white space shows lines, words and counts. `<s>`
begins a line of text: it is the first word of an n-gram, and never another.

    L lines · U n-grams · k words of each · V vocabulary
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from seqlm.errors import DataError
from seqlm.text.reading import Block
from seqlm.text.word_index import TokenSpans

BOS = b"<s>"
MAX_WORDS = 64  # of an n-gram
MAX_COUNT = 2**63 - 1
PIECE = 1 << 17  # bytes of text that are parsed at a time
SPACE, TAB, NEWLINE, ZERO = b" \t\n0"
WRONG_SPACE = b"\r\v\f"
"""White space of a text that does not separate the words of a line."""
IS_SEPARATOR, IS_WRONG_SPACE = (
    np.isin(np.arange(256), list(characters)) for characters in (b" \t\n", WRONG_SPACE)
)
COUNT = re.compile(rb"[1-9][0-9]*")
POWERS = 10 ** np.arange(19)


class SortedTypes:
    """The types and `<s>` sorted by their bytes; the rank of a type is its place among them."""

    def __init__(self, types: Sequence[bytes]) -> None:
        names = [*types, BOS]
        by_bytes = sorted(range(len(names)), key=names.__getitem__)
        self.rank = np.empty(len(names), np.int64)  # (V + 1,) of each id, and of `<s>`
        self.rank[by_bytes] = np.arange(len(names))
        self.bytes = np.frombuffer(b"".join(names[id] + b" " for id in by_bytes), np.uint8)
        self.length = np.array([len(names[id]) + 1 for id in by_bytes])  # (V + 1,)
        self.start = self.length.cumsum() - self.length  # (V + 1,)

    def format_lines(self, words: np.ndarray, counts: np.ndarray) -> bytes:
        """The text of n-grams, given as ranks `words` (U, k), with `counts` (U,) above 0."""
        digits = np.searchsorted(POWERS, counts, side="right")  # (U,)
        length = np.column_stack([self.length.take(words), digits + 1])  # (U, k + 1)
        start = np.column_stack([self.start.take(words), digits])
        end = length.cumsum().reshape(length.shape)
        source = (start - (end - length)).ravel().repeat(length.ravel())  # (bytes of the text,)
        source += np.arange(len(source))
        text: np.ndarray = self.bytes.take(source, mode="clip")  # anything where the counts will be
        stop = end[:, -1] - 1
        text[stop] = NEWLINE
        text[stop - digits - 1] = TAB
        for power in range(digits.max(initial=0)):
            long = np.flatnonzero(digits > power)
            text[stop[long] - power - 1] = ZERO + counts[long] // POWERS[power] % 10
        return bytes(text)


def split_block(block: Block) -> Iterator[Block]:
    """`block` in whole lines of about PIECE bytes, so that the arrays of each stay in the cache."""
    start, line = 0, block.line
    while start < len(block.data):
        end = block.data.find(b"\n", start + PIECE) + 1 or len(block.data)
        piece = Block(block.data[start:end], block.file, line)
        yield piece
        start, line = end, line + piece.data.count(b"\n")


class ParsedLines(NamedTuple):
    words: TokenSpans  # where the words of all lines are, one after the other
    sizes: np.ndarray  # (L,) k of each line
    counts: np.ndarray  # (L,) int64


def parse_lines(block: Block) -> ParsedLines:
    """Where the words of `block` are, and its counts.

    Whether `<s>` is a first word is not checked. Errors: DataError, see `refuse_bad_line`.
    """
    data = np.frombuffer(block.data, np.uint8)
    separator = np.flatnonzero(data <= SPACE)  # where separators may be
    has_wrong_space = IS_WRONG_SPACE[data[separator]].any()
    separator = separator[IS_SEPARATOR[data[separator]]]  # a word may have control characters
    kind = data[separator]
    last = np.flatnonzero(kind == NEWLINE)  # (L,) the separator that ends each line
    sizes = np.diff(last, prepend=-1) - 1
    end, tab = separator[last], separator[last - 1]
    digits = end - tab - 1
    if (
        has_wrong_space
        or data[-1] != NEWLINE
        or (kind[last - 1] != TAB).any()
        or np.count_nonzero(kind == TAB) > len(last)
        or (np.diff(separator, prepend=-1) == 1).any()  # an empty word, n-gram or count
        or sizes.max() > MAX_WORDS
        or digits.max() > len(POWERS)
        or (data[tab + 1] == ZERO).any()
    ):
        refuse_bad_line(block)
    counts = np.zeros(len(end), np.uint64)  # which 19 digits do not overflow
    for power in range(digits.max()):
        long = np.flatnonzero(digits > power)
        digit = data[end[long] - power - 1] - ZERO  # above 9 if it is no digit
        if (digit > 9).any():
            refuse_bad_line(block)
        counts[long] += digit * np.uint64(POWERS[power])
    if (counts > MAX_COUNT).any():
        refuse_bad_line(block)
    ends_word = np.flatnonzero(kind != NEWLINE)  # the separators that end a word
    start = np.append(-1, separator).take(ends_word) + 1
    words = TokenSpans(start, separator.take(ends_word) - start)
    return ParsedLines(words, sizes, counts.astype(np.int64))


def refuse_bad_line(block: Block) -> NoReturn:
    """Errors: DataError for the first line of `block` that is not an n-gram with its count."""
    *lines, unended = block.data.split(b"\n")
    for number, line in enumerate(lines, block.line):
        if problem := problem_of(line):
            raise DataError(f"{block.file}, line {number}: {problem}")
    assert unended, f"{block.file}: nothing is wrong with the lines from {block.line}"
    number = block.line + len(lines)
    raise DataError(f"{block.file}, line {number}: the line is too long for an n-gram")


def problem_of(line: bytes) -> str:
    """What is wrong with a line, or ''."""
    ngram, tab, last = line.partition(b"\t")
    words, number = ngram.split(b" "), last.decode()
    shown = repr(number if len(number) <= 30 else number[:30] + "…")
    if not tab:
        return "no tab between an n-gram and its count"
    if not ngram:
        return "no n-gram before the tab"
    if b"" in words:
        return "an empty word: there is one space between two words, and none around them"
    if any(byte in WRONG_SPACE for byte in line):
        return "white space other than the spaces between words and the tab"
    if len(words) > MAX_WORDS:
        return f"an n-gram of {len(words)} words: at most {MAX_WORDS}"
    if BOS in words[1:]:
        return "<s> begins a line, so it can only be the first word"
    if not COUNT.fullmatch(last):
        return f"the count {shown} is no whole number above 0"
    if len(number) > len(POWERS) or int(number) > MAX_COUNT:
        return f"the count {shown} is larger than 2^63 - 1"
    return ""
