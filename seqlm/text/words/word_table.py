"""Words as numbers, and the hash table that they are looked up in.

A word of up to 15 bytes is a *key* of two 64-bit numbers, made of its bytes and its length. Keys
are in a hash table with open addressing (Knuth, The Art of Computer Programming 3, section 6.4):
all words of a block are looked up at once, and then those whose slot has another word, one slot
further each time.

    N tokens of a block, the `</s>` of each newline among them · S slots of the table
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SPACE = b" \t\r\x0b\x0c"
NEWLINE = ord("\n")
IS_SPACE = np.zeros(256, np.bool_)
IS_SPACE[list(SPACE + b"\n")] = True
MAX_SHORT_LENGTH = 15  # bytes that a key holds besides the length
NO_ID = -1

LOW_BYTES = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)  # masks of the first n bytes
# Odd multipliers: 2^64/φ (Knuth), and a prime of xxHash.
FIRST_FACTOR, SECOND_FACTOR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


class TokenSpans(NamedTuple):
    """The bytes of a text that its tokens stand for."""

    start: np.ndarray  # (N,) int64, byte offsets
    length: np.ndarray  # (N,) int64, bytes


class HashTable(NamedTuple):
    keys: np.ndarray  # (S, 2) uint64, see `keys_of`
    ids: np.ndarray  # (S,) int32, NO_ID where a slot is free
    shift: np.uint64  # a hash shifted right by it is a slot


def empty_table(size: int) -> HashTable:
    shift = np.uint64(64 - (size.bit_length() - 1))
    return HashTable(np.zeros((size, 2), np.uint64), np.full(size, NO_ID, np.int32), shift)


def first_slot(table: HashTable, keys: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N,) int64, the slot at which the search for a key begins."""
    combined = keys[:, 0] ^ (keys[:, 1] * SECOND_FACTOR)
    slots: np.ndarray = ((combined * FIRST_FACTOR) >> table.shift).astype(np.int64)
    return slots


def find_ids(table: HashTable, keys: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N,) int32 ids, or NO_ID."""
    slot = first_slot(table, keys)
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


def insert(table: HashTable, keys: np.ndarray, ids: np.ndarray) -> None:
    """Inserts new keys, each in the first free slot from its first one on."""
    slot, remaining = first_slot(table, keys), np.arange(len(keys))
    while len(remaining):
        free = remaining[table.ids[slot[remaining]] == NO_ID]
        table.keys[slot[free]] = keys[free]  # of several keys for one slot, the last gets it
        table.ids[slot[free]] = ids[free]
        remaining = remaining[(table.keys[slot[remaining]] != keys[remaining]).any(1)]
        slot[remaining] = (slot[remaining] + 1) & (len(table.ids) - 1)


def keys_of(data: bytes, tokens: TokenSpans) -> np.ndarray:
    """(N, 2) uint64: the first 8 bytes of each token; and its length in the highest byte of the
    second number, with the next 7 bytes of the token below."""
    padded = data + bytes(16)
    # A number begins at every byte; bytes past the end of a word are masked.
    window = np.ndarray(len(data) + 9, "<u8", padded, strides=(1,))
    length = np.minimum(tokens.length, MAX_SHORT_LENGTH + 1)
    keys = np.empty((len(length), 2), np.uint64)
    keys[:, 0] = window[tokens.start] & LOW_BYTES[np.minimum(length, 8)]
    long = np.flatnonzero(length > 8)
    keys[:, 1] = length.astype(np.uint64) << np.uint64(56)
    after = np.minimum(length[long], MAX_SHORT_LENGTH) - 8
    keys[long, 1] |= window[tokens.start[long] + 8] & LOW_BYTES[after]
    return keys
