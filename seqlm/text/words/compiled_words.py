"""Words to ids in machine code: the tokens of a text and their ids, in one pass over its bytes.

Each byte is looked at once: it goes into the key of its word, or it ends that word, and the key is
looked up.

    N tokens of a text, the `</s>` of each newline among them
"""

from __future__ import annotations

import numpy as np

from seqlm.machine.compilation import compiled
from seqlm.text.vocabulary import EOS
from seqlm.text.words.word_table import (
    FIRST_FACTOR,
    IS_SPACE,
    MAX_SHORT_LENGTH,
    NEWLINE,
    NO_ID,
    SECOND_FACTOR,
    HashTable,
    TokenSpans,
)

BITS, EIGHT = np.uint64(64), np.uint64(8)
LENGTH_PLACE = np.uint64(56)
"""The bits of the length are those from this one on of the second number of a key."""


def find_words(data: bytes, table: HashTable) -> tuple[TokenSpans, np.ndarray]:
    """The tokens of a text (N,), and their int32 ids (N,).

    The id is NO_ID for a word that is not in the table, as none is that is too long for it.
    """
    text = np.frombuffer(data if data[-1:].isspace() else data + b" ", np.uint8)
    most = np.count_nonzero(text <= 32) + data.count(b"\n")  # each ends a word, or is a token
    start, length, ids = (
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int32),
    )
    count = fill_in(text, IS_SPACE, table, start, length, ids)
    return TokenSpans(start[:count], length[:count]), ids[:count].copy()


@compiled
def fill_in(
    text: np.ndarray,
    is_space: np.ndarray,
    table: HashTable,
    start: np.ndarray,
    length: np.ndarray,
    ids: np.ndarray,
) -> int:
    """Fills in the tokens of `text`, which ends with white space, and returns N."""
    n = begin = 0
    low = high = place = np.uint64(0)  # the key of the bytes so far, and where the next one goes
    for at in range(len(text)):
        byte = text[at]
        if not is_space[byte]:
            if place < BITS:
                low |= np.uint64(byte) << place
            elif place < BITS + LENGTH_PLACE:
                high |= np.uint64(byte) << (place - BITS)
            place += EIGHT
            continue
        size = at - begin
        if size:
            start[n], length[n], ids[n] = begin, size, NO_ID
            if size <= MAX_SHORT_LENGTH:
                high |= np.uint64(size) << LENGTH_PLACE
                ids[n] = find_id(table, low, high)
            n += 1
            low = high = place = np.uint64(0)
        if byte == NEWLINE:
            start[n], length[n], ids[n] = at, 1, EOS
            n += 1
        begin = at + 1
    return n


@compiled
def find_id(table: HashTable, low: np.uint64, high: np.uint64) -> int:
    """The id of a key, or NO_ID."""
    slot = np.int64(((low ^ (high * SECOND_FACTOR)) * FIRST_FACTOR) >> table.shift)
    while table.ids[slot] != NO_ID:
        if table.keys[slot, 0] == low and table.keys[slot, 1] == high:
            return int(table.ids[slot])
        slot = (slot + 1) & (len(table.ids) - 1)
    return NO_ID
