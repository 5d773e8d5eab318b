"""Words to ids by arrays: no object is made for a word that is known.

A text is cut at its white space in a few passes over its bytes. A word of up to 15 bytes is two
64-bit numbers, its bytes and their number, and these are looked up in a table with open addressing
(Knuth, The Art of Computer Programming 3, §6.4): all words of a block at once, those that meet
another word a slot further each time. Longer words, and new ones, go through a dictionary.

    N tokens of a block, `</s>` of every newline among them · S slots of the table
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from seqlm.text.vocabulary import EOS

SPACE = b" \t\r\x0b\x0c"
NEWLINE = ord("\n")
IS_SPACE = np.zeros(256, np.bool_)
IS_SPACE[list(SPACE + b"\n")] = True
SHORT = 15  # bytes that two numbers hold, with their count
NEW = -1

_LOW = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)  # the first n bytes of a number
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))  # 2^64/φ; a prime of xxHash


class Tokens(NamedTuple):
    """Where the tokens of a text stand in it."""

    start: np.ndarray  # (N,) int64, byte offsets
    length: np.ndarray  # (N,) int64, bytes


def split(data: bytes) -> Tokens:
    """What white space separates, as `bytes.split` has it, and the newlines."""
    text = np.frombuffer(data, np.uint8)
    gaps = np.flatnonzero(text <= 32)
    gaps = gaps[IS_SPACE[text[gaps]]]  # other control characters are part of a word
    is_newline = text[gaps] == NEWLINE
    if len(gaps) == 0 or gaps[-1] < len(text) - 1:
        gaps = np.append(gaps, len(text))
        is_newline = np.append(is_newline, False)
    start = np.empty((len(gaps), 2), np.int64)  # of a word before each gap, and of a newline in it
    length = np.empty((len(gaps), 2), np.int64)
    start[0, 0] = 0
    np.add(gaps[:-1], 1, out=start[1:, 0])
    start[:, 1] = gaps
    np.subtract(gaps, start[:, 0], out=length[:, 0])
    length[:, 1] = is_newline
    there = np.flatnonzero(length)
    return Tokens(start.reshape(-1)[there], length.reshape(-1)[there])


class _Table(NamedTuple):
    keys: np.ndarray  # (S, 2) uint64, see `_numbers`
    ids: np.ndarray  # (S,) int32, NEW where a slot is free
    shift: np.uint64  # of a hash, so that S are left


class WordIndex:
    """Ids of words; the newline is `</s>`. One thread may learn while others look up."""

    def __init__(self, types: Iterable[bytes]) -> None:
        """`types` in the order of their ids."""
        self.ids: dict[bytes, int] = {}
        self._table = _free_table(1 << 10)
        self._enter(list(types))
        newline = _numbers(b"\n", Tokens(np.array([0]), np.array([1])))
        _place(self._table, newline, np.array([EOS], np.int32))

    def look_up(self, data: bytes, tokens: Tokens) -> np.ndarray:
        """(N,) int32 ids of the `tokens` of `data`, NEW of those that have none."""
        ids = _find(self._table, _numbers(data, tokens))
        for n in np.flatnonzero(tokens.length > SHORT).tolist():
            start = int(tokens.start[n])
            ids[n] = self.ids.get(data[start : start + int(tokens.length[n])], NEW)
        return ids

    def learn(self, data: bytes, tokens: Tokens, ids: np.ndarray) -> None:
        """Gives words that are NEW the next ids, in place."""
        unknown, batch = np.flatnonzero(ids == NEW), 1 << 10
        while len(unknown):
            # The others may be known by now: what is new in a text is soon said again.
            places = Tokens(tokens.start[unknown], tokens.length[unknown])
            ids[unknown] = self.look_up(data, places)
            unknown = unknown[ids[unknown] == NEW]
            now, unknown = unknown[:batch], unknown[batch:]
            starts, lengths = tokens.start[now].tolist(), tokens.length[now].tolist()
            words = [data[start : start + length] for start, length in zip(starts, lengths)]
            self._enter([word for word in dict.fromkeys(words) if word not in self.ids])
            ids[now] = [self.ids[word] for word in words]
            batch *= 2

    def _enter(self, types: list[bytes]) -> None:
        first = len(self.ids)
        self.ids.update(zip(types, range(first, first + len(types))))
        lengths = np.array([len(type_) for type_ in types], np.int64)
        keys = _numbers(b"".join(types), Tokens(np.cumsum(lengths) - lengths, lengths))
        short = np.flatnonzero(lengths <= SHORT)
        table = self._table
        if 2 * len(self.ids) > len(table.ids):
            held = np.flatnonzero(table.ids != NEW)
            larger = _free_table(1 << (4 * len(self.ids)).bit_length())
            _place(larger, table.keys[held], table.ids[held])
            table = larger
        _place(table, keys[short], (short + first).astype(np.int32))
        self._table = table


def _free_table(size: int) -> _Table:
    shift = np.uint64(64 - (size.bit_length() - 1))
    return _Table(np.zeros((size, 2), np.uint64), np.full(size, NEW, np.int32), shift)


def _home(table: _Table, keys: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N,) int64, the slot where the search for a key begins."""
    mixed = keys[:, 0] ^ (keys[:, 1] * _ODD[1])
    slots: np.ndarray = ((mixed * _ODD[0]) >> table.shift).astype(np.int64)
    return slots


def _find(table: _Table, keys: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N,) int32 ids, or NEW."""
    slot = _home(table, keys)
    ids: np.ndarray = table.ids[slot]
    there = table.keys[slot]
    other = np.flatnonzero((there[:, 0] != keys[:, 0]) | (there[:, 1] != keys[:, 1]))
    while True:
        other = other[ids[other] != NEW]  # at a free slot the search ends
        if len(other) == 0:
            return ids
        slot[other] = (slot[other] + 1) & (len(table.ids) - 1)
        ids[other] = table.ids[slot[other]]
        other = other[(table.keys[slot[other]] != keys[other]).any(1)]


def _place(table: _Table, keys: np.ndarray, ids: np.ndarray) -> None:
    """Enters keys that are not there, each in the first free slot from its home on."""
    slot, left = _home(table, keys), np.arange(len(keys))
    while len(left):
        free = left[table.ids[slot[left]] == NEW]
        table.keys[slot[free]] = keys[free]  # of several for one slot, the last has it
        table.ids[slot[free]] = ids[free]
        left = left[(table.keys[slot[left]] != keys[left]).any(1)]
        slot[left] = (slot[left] + 1) & (len(table.ids) - 1)


def _numbers(data: bytes, tokens: Tokens) -> np.ndarray:
    """(N, 2) uint64: the first 8 bytes of each token, and the next 7 below its length."""
    padded = data + bytes(16)
    # A number begins at every byte; those past the end of a word are masked.
    window = np.ndarray(len(data) + 9, "<u8", padded, strides=(1,))
    length = np.minimum(tokens.length, SHORT + 1)
    keys = np.empty((len(length), 2), np.uint64)
    keys[:, 0] = window[tokens.start] & _LOW[np.minimum(length, 8)]
    long = np.flatnonzero(length > 8)
    keys[:, 1] = length.astype(np.uint64) << np.uint64(56)
    after = np.minimum(length[long], SHORT) - 8
    keys[long, 1] |= window[tokens.start[long] + 8] & _LOW[after]
    return keys
