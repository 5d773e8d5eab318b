"""Lines of a count file <-> arrays.

    old frog </s> <TAB> 2       k words parted by single spaces, a tab, how often they occur

Nothing here goes from line to line. A block of n-grams becomes text by gathering the bytes of its
words; a block of text is a byte array whose white space shows lines, words and counts. `<s>` begins
a line of text: it is the first word of an n-gram, and never another.

    L lines · U n-grams · k words of each · V vocabulary
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from seqlm.errors import DataError
from seqlm.text.reading import Block
from seqlm.text.word_index import Tokens

BEGIN = b"<s>"
LONGEST = 64  # words of an n-gram
LARGEST = 2**63 - 1  # count
PIECE = 1 << 17  # bytes of text taken apart at a time
SPACE, TAB, NEWLINE, ZERO = b" \t\n0"
STRAY = b"\r\v\f"
"""White space of a text, with which the words of a line are not parted."""
IS_GAP, IS_STRAY = (np.isin(np.arange(256), list(of)) for of in (b" \t\n", STRAY))
COUNT = re.compile(rb"[1-9][0-9]*")
POWERS = 10 ** np.arange(19)


class Spelling:
    """The types and `<s>` in the order of their bytes, in which they are called symbols."""

    def __init__(self, types: Sequence[bytes]) -> None:
        named = [*types, BEGIN]
        by_bytes = sorted(range(len(named)), key=named.__getitem__)
        self.symbols = np.empty(len(named), np.int64)  # (V + 1,) of each id, and of `<s>`
        self.symbols[by_bytes] = np.arange(len(named))
        self.bytes = np.frombuffer(b"".join(named[id] + b" " for id in by_bytes), np.uint8)
        self.length = np.array([len(named[id]) + 1 for id in by_bytes])  # (V + 1,)
        self.start = self.length.cumsum() - self.length  # (V + 1,)

    def lines(self, words: np.ndarray, counts: np.ndarray) -> bytes:
        """The text of n-grams, symbols `words` (U, k), with `counts` (U,) above 0."""
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
        for place in range(digits.max(initial=0)):
            long = np.flatnonzero(digits > place)
            text[stop[long] - place - 1] = ZERO + counts[long] // POWERS[place] % 10
        return bytes(text)


def pieces(block: Block) -> Iterator[Block]:
    """`block` in whole lines of about PIECE bytes: what is made of them stays in the cache."""
    start, line = 0, block.line
    while start < len(block.data):
        end = block.data.find(b"\n", start + PIECE) + 1 or len(block.data)
        piece = Block(block.data[start:end], block.file, line)
        yield piece
        start, line = end, line + piece.data.count(b"\n")


class Lines(NamedTuple):
    """Where a text has its words, and the counts it has."""

    words: Tokens  # of all lines, one after the other
    sizes: np.ndarray  # (L,) k of each line
    counts: np.ndarray  # (L,) int64


def take_apart(block: Block) -> Lines:
    """Errors: DataError, see `refuse`. That `<s>` is a first word is not seen to."""
    data = np.frombuffer(block.data, np.uint8)
    at = np.flatnonzero(data <= SPACE)
    stray = IS_STRAY[data[at]].any()
    at = at[IS_GAP[data[at]]]  # other control characters are part of a word
    kind = data[at]
    last = np.flatnonzero(kind == NEWLINE)  # (L,) of those above, what ends each line
    sizes = np.diff(last, prepend=-1) - 1
    end, tab = at[last], at[last - 1]
    digits = end - tab - 1
    if (
        stray
        or data[-1] != NEWLINE
        or (kind[last - 1] != TAB).any()
        or np.count_nonzero(kind == TAB) > len(last)
        or (np.diff(at, prepend=-1) == 1).any()  # an empty word, n-gram or count
        or sizes.max() > LONGEST
        or digits.max() > len(POWERS)
        or (data[tab + 1] == ZERO).any()
    ):
        refuse(block)
    counts = np.zeros(len(end), np.uint64)  # which 19 digits do not overflow
    for place in range(digits.max()):
        long = np.flatnonzero(digits > place)
        digit = data[end[long] - place - 1] - ZERO  # above 9 of all that is no digit
        if (digit > 9).any():
            refuse(block)
        counts[long] += digit * np.uint64(POWERS[place])
    if (counts > LARGEST).any():
        refuse(block)
    word = np.flatnonzero(kind != NEWLINE)  # of the gaps, those that end a word
    start = np.append(-1, at).take(word) + 1
    return Lines(Tokens(start, at.take(word) - start), sizes, counts.astype(np.int64))


def refuse(block: Block) -> NoReturn:
    """Errors: DataError for the first line of `block` that is no n-gram with its count."""
    *lines, unended = block.data.split(b"\n")
    for number, line in enumerate(lines, block.line):
        if wrong := problem(line):
            raise DataError(f"{block.file}, line {number}: {wrong}")
    assert unended, f"{block.file}: nothing is wrong with the lines from {block.line}"
    number = block.line + len(lines)
    raise DataError(f"{block.file}, line {number}: a line of megabytes is no n-gram")


def problem(line: bytes) -> str:
    """What is wrong with a line, or ''."""
    ngram, tab, last = line.partition(b"\t")
    words, number = ngram.split(b" "), last.decode()
    shown = repr(number if len(number) <= 30 else number[:30] + "…")
    if not tab:
        return "no tab, which stands between an n-gram and its count"
    if not ngram:
        return "no n-gram before the tab"
    if b"" in words:
        return "an empty word: there is one space between two words, and none around them"
    if any(byte in STRAY for byte in line):
        return "white space that is neither the space between words nor the tab"
    if len(words) > LONGEST:
        return f"an n-gram of {len(words)} words: at most {LONGEST}"
    if BEGIN in words[1:]:
        return "<s> begins a line, and so is the first word or none"
    if not COUNT.fullmatch(last):
        return f"the count {shown} is no whole number above 0"
    if len(number) > len(POWERS) or int(number) > LARGEST:
        return f"the count {shown} is larger than 2^63 - 1"
    return ""
