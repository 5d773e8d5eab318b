"""The words of a tokenizer.json, taken from its text as a whole: a hundred thousand in a moment.

A general parser of JSON makes an object of each word and of each id, which takes longer than all
else that is done for a sentence. seqlm writes a vocabulary of words line by line, in the order of
the ids:

      "<unk>": 0,
      "</s>": 1,
      "the": 2,

A section of just such lines becomes *packed* words (`word_index.py`); the rest of the file, and a
file of any other form, is read by the general parser. A word that is there twice has the lower id.

    V words
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from seqlm.text.vocabulary import RESERVED
from seqlm.text.word_index import SPACE, PackedWords

HEAD, TAIL = b'"type": "WordLevel",\n    "vocab": {\n', b"\n    }"
OF_WORDS = b'"behavior": "Removed"'
"""What happens to white space in a tokenizer of words."""
BEFORE, AFTER = b'      "', b'": '
"""What stands before a word, and between it and its id."""
QUOTE, COMMA, BACKSLASH, LINE_FEED = b'",\\\n'
RESERVED_LINES = b'      "<unk>": 0,\n      "</s>": 1'


class CutFile(NamedTuple):
    """A tokenizer.json in two parts."""

    rest: bytes
    """The file as that of a vocabulary of the two reserved entries."""
    words: PackedWords


def cut_out_words(data: bytes) -> CutFile | None:
    """The two parts of a file; None where its vocabulary has another form, or is not one of
    words."""
    begin = data.find(HEAD) + len(HEAD)
    end = data.find(TAIL, begin)
    if begin < len(HEAD) or end < 0 or data.find(OF_WORDS, 0, begin) < 0:
        return None
    words = pack_words(data, begin, end)
    if words is None:
        return None
    return CutFile(data[:begin] + RESERVED_LINES + data[end:], words)


def pack_words(data: bytes, begin: int, end: int) -> PackedWords | None:
    """The words of the lines of a vocabulary, which are a part of `data`; None where one has
    another form."""
    if begin == end:
        return None
    text = np.frombuffer(data, np.uint8, end - begin, begin)
    ends = np.append(np.flatnonzero(text == LINE_FEED), len(text))  # (V,)
    starts = np.insert(ends[:-1] + 1, 0, 0)  # (V,)
    count = len(ends)
    digits = np.ones(count, np.int64)  # (V,) of each id
    for power in range(1, len(str(count))):
        digits[10**power :] += 1
    stops = ends - digits  # (V,) where the ids begin
    stops[:-1] -= 1  # the comma
    closing = stops - len(AFTER)  # (V,) the quotes that end the words
    first = starts + len(BEFORE)  # (V,)
    lengths = closing - first
    if lengths.min() < 1:
        return None
    has_form = (
        holds(text, starts, BEFORE)
        and holds(text, closing, AFTER)
        and bool((text[ends[:-1] - 1] == COMMA).all())
        and ids_rise(text, stops)
        # No other white space or control character, and no quote within a word.
        and data.count(b" ", begin, end) == 7 * count
        and np.count_nonzero(text < 32) == count - 1
    )
    escaped = sorted(set(np.searchsorted(ends, np.flatnonzero(text == BACKSLASH)).tolist()))
    if not has_form:
        return None
    # The words and the quotes after them, which become line feeds.
    size, offsets = lengths + 1, np.cumsum(lengths + 1) - (lengths + 1)
    places = np.repeat((first - offsets).astype(np.int32), size)
    places += np.arange(len(places), dtype=np.int32)
    packed = text[places]
    packed[offsets + lengths] = LINE_FEED
    quotes = data.count(b'"', begin, end) - 2 * count
    words = with_escapes(packed.tobytes(), quotes, offsets, escaped)
    return words if words is not None and is_utf8(words.text) else None


def is_utf8(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def holds(text: np.ndarray, at: np.ndarray, expected: bytes) -> bool:
    """Whether `text` has the `expected` bytes at all places `at` (V,)."""
    return all(bool((text[at + n] == byte).all()) for n, byte in enumerate(expected))


def ids_rise(text: np.ndarray, at: np.ndarray) -> bool:
    """Whether the numbers 0, 1, 2, … begin at the places `at` (V,)."""
    powers = [0, *(10**power for power in range(1, len(str(len(at))))), len(at)]
    for digits, (low, high) in enumerate(pairwise(powers), 1):
        for place in range(digits):
            # A digit stands for so many numbers, one after the other: 0 0 … 1 1 … 9 9 … 0 0 …
            run = np.repeat(
                np.arange(ord("0"), ord("9") + 1, dtype=np.uint8), 10 ** (digits - 1 - place)
            )
            if (text[at[low:high] + place] != np.resize(run, high)[low:]).any():
                return False
    return True


def with_escapes(
    packed: bytes, quotes: int, offsets: np.ndarray, escaped: Sequence[int]
) -> PackedWords | None:
    """The words with what the numbers `escaped` (E,) stand for, which hold backslashes; `offsets`
    (V,) are where words begin in `packed`. None where these are no words, or they have not all of
    the `quotes` that are within words, or the reserved entries are others."""
    parts, done = [b"\n"], 0
    for number in escaped:
        start = int(offsets[number])
        stop = packed.index(b"\n", start)
        written = packed[start:stop]
        try:
            word = json.loads(b'"%b"' % written).encode()
        except ValueError:  # a surrogate, too, is none that a text can hold
            return None
        if len(word.split()) != 1 or any(space in word for space in SPACE + b"\n"):
            return None
        quotes -= written.count(b'"')
        parts += [packed[done:start], word]
        done = stop
    words = PackedWords(b"".join([*parts, packed[done:]]))
    reserved = b"\n%b\n" % b"\n".join(RESERVED)
    return words if quotes == 0 and words.text.startswith(reserved) else None
