"""Words to ids by arrays, without a Python object for each word that is known.

A text is split at white space in a few passes over its bytes. A word of up to 15 bytes is a key of
two 64-bit numbers, made of its bytes and its length, and keys are looked up in a hash table with
open addressing (Knuth, The Art of Computer Programming 3, section 6.4): all words of a block at
once, and then those whose slot has another word, one slot further each time. Longer words and new
ones go through a dictionary.

A vocabulary may be *packed*: one text with a word a line. To look for the few words of a sentence
in it takes a hundredth of the time that the table takes to be made, so that it is made when more
are asked for.

    N tokens of a block, the `</s>` of each newline among them · S slots of the table
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import NamedTuple

import numpy as np

from seqlm.text.vocabulary import EOS

SPACE = b" \t\r\x0b\x0c"
NEWLINE = ord("\n")
IS_SPACE = np.zeros(256, np.bool_)
IS_SPACE[list(SPACE + b"\n")] = True
MAX_SHORT_LENGTH = 15  # bytes that a key holds besides the length
NO_ID = -1

_LOW_BYTES = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)  # masks of the first n bytes
# Odd multipliers: 2^64/φ (Knuth), and a prime of xxHash.
_HASH_FACTORS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


class TokenSpans(NamedTuple):
    """The bytes of a text that its tokens stand for."""

    start: np.ndarray  # (N,) int64, byte offsets
    length: np.ndarray  # (N,) int64, bytes


def find_tokens(data: bytes) -> TokenSpans:
    """The words, as `bytes.split` separates them, and the newlines, in order."""
    text = np.frombuffer(data, np.uint8)
    gaps = np.flatnonzero(text <= 32)
    gaps = gaps[IS_SPACE[text[gaps]]]  # other control characters are part of a word
    is_newline = text[gaps] == NEWLINE
    if len(gaps) == 0 or gaps[-1] < len(text) - 1:
        gaps = np.append(gaps, len(text))
        is_newline = np.append(is_newline, False)
    # For each gap: the word before it, which may be empty, and the newline in it, if it is one.
    start = np.empty((len(gaps), 2), np.int64)
    length = np.empty((len(gaps), 2), np.int64)
    start[0, 0] = 0
    np.add(gaps[:-1], 1, out=start[1:, 0])
    start[:, 1] = gaps
    np.subtract(gaps, start[:, 0], out=length[:, 0])
    length[:, 1] = is_newline
    not_empty = np.flatnonzero(length)
    return TokenSpans(start.reshape(-1)[not_empty], length.reshape(-1)[not_empty])


class PackedWords(NamedTuple):
    """A vocabulary of words as one text, so that none is a Python object before it is asked for.

    >>> words = PackedWords(b"\n<unk>\n</s>\nthe\n")
    >>> len(words.types()), words.id_of(b"the"), words.id_of(b"he")
    (3, 2, -1)
    """

    text: bytes
    """A newline, and the words with a newline after each, in the order of their ids."""

    def types(self) -> list[bytes]:
        """(V,) the words."""
        return self.text[1:-1].split(b"\n")

    def size(self) -> int:
        """V, the number of words."""
        return self.text.count(b"\n") - 1

    def id_of(self, word: bytes) -> int:
        """The id of a word, or NO_ID."""
        at = self.text.find(b"\n%b\n" % word)
        return NO_ID if at < 0 else self.text.count(b"\n", 0, at)


class _HashTable(NamedTuple):
    keys: np.ndarray  # (S, 2) uint64, see `_keys_of`
    ids: np.ndarray  # (S,) int32, NO_ID where a slot is free
    shift: np.uint64  # a hash shifted right by it is a slot


FEW = 64
"""Tokens that are looked for in packed words one by one."""


class WordIndex:
    """Ids of words; the newline is `</s>`. One thread may learn while others look up."""

    def __init__(self, types: Iterable[bytes] | PackedWords) -> None:
        """`types` in the order of their ids."""
        self._packed = types if isinstance(types, PackedWords) else None
        """The words while there is no table of them."""
        self._unpacking = Lock()
        if not isinstance(types, PackedWords):
            self._make_table(types)

    def _make_table(self, types: Iterable[bytes]) -> None:
        self.ids: dict[bytes, int] = {}
        self._table = _empty_table(1 << 10)
        self._add(list(types))
        newline = _keys_of(b"\n", TokenSpans(np.array([0]), np.array([1])))
        _insert(self._table, newline, np.array([EOS], np.int32))

    def look_up(self, data: bytes, tokens: TokenSpans) -> np.ndarray:
        """(N,) int32 ids of the `tokens` of `data`, NO_ID for those that are unknown."""
        if (packed := self._packed) is not None:
            if len(tokens.start) <= FEW:
                spans = zip(tokens.start.tolist(), tokens.length.tolist())
                words = [data[start : start + length] for start, length in spans]
                found = [EOS if word == b"\n" else packed.id_of(word) for word in words]
                return np.array(found, np.int32)
            self._unpack()
        ids = _find_ids(self._table, _keys_of(data, tokens))
        for n in np.flatnonzero(tokens.length > MAX_SHORT_LENGTH).tolist():
            start = int(tokens.start[n])
            ids[n] = self.ids.get(data[start : start + int(tokens.length[n])], NO_ID)
        return ids

    def _unpack(self) -> None:
        with self._unpacking:
            if self._packed is not None:
                self._make_table(self._packed.types())
                self._packed = None

    def learn(self, data: bytes, tokens: TokenSpans, ids: np.ndarray) -> None:
        """Gives words whose id is NO_ID the next ids, in place."""
        unknown, batch = np.flatnonzero(ids == NO_ID), 1 << 10
        while len(unknown):
            # A batch may have taught some of the rest: a new word is often repeated soon.
            spans = TokenSpans(tokens.start[unknown], tokens.length[unknown])
            ids[unknown] = self.look_up(data, spans)
            unknown = unknown[ids[unknown] == NO_ID]
            now, unknown = unknown[:batch], unknown[batch:]
            starts, lengths = tokens.start[now].tolist(), tokens.length[now].tolist()
            words = [data[start : start + length] for start, length in zip(starts, lengths)]
            self._add([word for word in dict.fromkeys(words) if word not in self.ids])
            ids[now] = [self.ids[word] for word in words]
            batch *= 2

    def _add(self, types: list[bytes]) -> None:
        first = len(self.ids)
        self.ids.update(zip(types, range(first, first + len(types))))
        lengths = np.array([len(type_) for type_ in types], np.int64)
        keys = _keys_of(b"".join(types), TokenSpans(np.cumsum(lengths) - lengths, lengths))
        short = np.flatnonzero(lengths <= MAX_SHORT_LENGTH)
        table = self._table
        if 2 * len(self.ids) > len(table.ids):
            occupied = np.flatnonzero(table.ids != NO_ID)
            larger = _empty_table(1 << (4 * len(self.ids)).bit_length())
            _insert(larger, table.keys[occupied], table.ids[occupied])
            table = larger
        _insert(table, keys[short], (short + first).astype(np.int32))
        self._table = table


def _empty_table(size: int) -> _HashTable:
    shift = np.uint64(64 - (size.bit_length() - 1))
    return _HashTable(np.zeros((size, 2), np.uint64), np.full(size, NO_ID, np.int32), shift)


def _first_slot(table: _HashTable, keys: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N,) int64, the slot at which the search for a key begins."""
    combined = keys[:, 0] ^ (keys[:, 1] * _HASH_FACTORS[1])
    slots: np.ndarray = ((combined * _HASH_FACTORS[0]) >> table.shift).astype(np.int64)
    return slots


def _find_ids(table: _HashTable, keys: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N,) int32 ids, or NO_ID."""
    slot = _first_slot(table, keys)
    ids: np.ndarray = table.ids[slot]
    in_slot = table.keys[slot]
    other = np.flatnonzero((in_slot[:, 0] != keys[:, 0]) | (in_slot[:, 1] != keys[:, 1]))
    while True:
        other = other[ids[other] != NO_ID]  # a free slot ends the search
        if len(other) == 0:
            return ids
        slot[other] = (slot[other] + 1) & (len(table.ids) - 1)
        ids[other] = table.ids[slot[other]]
        other = other[(table.keys[slot[other]] != keys[other]).any(1)]


def _insert(table: _HashTable, keys: np.ndarray, ids: np.ndarray) -> None:
    """Inserts new keys, each in the first free slot from its first one on."""
    slot, remaining = _first_slot(table, keys), np.arange(len(keys))
    while len(remaining):
        free = remaining[table.ids[slot[remaining]] == NO_ID]
        table.keys[slot[free]] = keys[free]  # of several keys for one slot, the last gets it
        table.ids[slot[free]] = ids[free]
        remaining = remaining[(table.keys[slot[remaining]] != keys[remaining]).any(1)]
        slot[remaining] = (slot[remaining] + 1) & (len(table.ids) - 1)


def _keys_of(data: bytes, tokens: TokenSpans) -> np.ndarray:
    """(N, 2) uint64: the first 8 bytes of each token; and its length in the highest byte of the
    second number, with the next 7 bytes of the token below."""
    padded = data + bytes(16)
    # A number begins at every byte; bytes past the end of a word are masked.
    window = np.ndarray(len(data) + 9, "<u8", padded, strides=(1,))
    length = np.minimum(tokens.length, MAX_SHORT_LENGTH + 1)
    keys = np.empty((len(length), 2), np.uint64)
    keys[:, 0] = window[tokens.start] & _LOW_BYTES[np.minimum(length, 8)]
    long = np.flatnonzero(length > 8)
    keys[:, 1] = length.astype(np.uint64) << np.uint64(56)
    after = np.minimum(length[long], MAX_SHORT_LENGTH) - 8
    keys[long, 1] |= window[tokens.start[long] + 8] & _LOW_BYTES[after]
    return keys
