"""Words to ids by arrays, without a Python object for each word that is known.

A text is split at white space in a few passes over its bytes, and all words of a block are looked
up at once in a hash table (`words/word_table.py`). Words of more than 15 bytes and new ones go
through a dictionary. Of a large text both are done in one pass (`words/compiled_words.py`).

A vocabulary may be *packed*: one text with a word a line. To look for the few words of a sentence
in it takes a hundredth of the time that the table takes to be made, so that it is made when more
are asked for.

    N tokens of a block, the `</s>` of each newline among them
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import NamedTuple

import numpy as np

from seqlm.machine.compilation import is_compiled
from seqlm.text.reading import BYTES_PER_TOKEN
from seqlm.text.vocabulary import EOS
from seqlm.text.words.word_table import IS_SPACE as IS_SPACE
from seqlm.text.words.word_table import MAX_SHORT_LENGTH, empty_table, find_ids, insert, keys_of
from seqlm.text.words.word_table import NEWLINE as NEWLINE
from seqlm.text.words.word_table import NO_ID as NO_ID
from seqlm.text.words.word_table import SPACE as SPACE
from seqlm.text.words.word_table import TokenSpans as TokenSpans


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


FEW = 64
"""Tokens that are looked for in packed words one by one."""
MANY = 1 << 14
"""New tokens from which on it pays to look them up again before they are learned."""


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
        self._table = empty_table(1 << 10)
        self._add(list(types))
        newline = keys_of(b"\n", TokenSpans(np.array([0]), np.array([1])))
        insert(self._table, newline, np.array([EOS], np.int32))

    def look_up(self, data: bytes, tokens: TokenSpans) -> np.ndarray:
        """(N,) int32 ids of the `tokens` of `data`, NO_ID for those that are unknown."""
        if (packed := self._packed) is not None:
            if len(tokens.start) <= FEW:
                spans = zip(tokens.start.tolist(), tokens.length.tolist())
                words = [data[start : start + length] for start, length in spans]
                found = [EOS if word == b"\n" else packed.id_of(word) for word in words]
                return np.array(found, np.int32)
            self._unpack()
        ids = find_ids(self._table, keys_of(data, tokens))
        self._look_up_long(data, tokens, ids)
        return ids

    def _look_up_long(self, data: bytes, tokens: TokenSpans, ids: np.ndarray) -> None:
        """Fills in the `ids` of words that are too long for a key."""
        for n in np.flatnonzero(tokens.length > MAX_SHORT_LENGTH).tolist():
            start = int(tokens.start[n])
            ids[n] = self.ids.get(data[start : start + int(tokens.length[n])], NO_ID)

    def find_and_look_up(self, data: bytes) -> tuple[TokenSpans, np.ndarray]:
        """The tokens of `data` (N,), and their int32 ids (N,), NO_ID for those that are unknown."""
        if not is_compiled(len(data) // BYTES_PER_TOKEN):
            tokens = find_tokens(data)
            return tokens, self.look_up(data, tokens)
        from seqlm.text.words.compiled_words import find_words

        self._unpack()
        tokens, ids = find_words(data, self._table)
        self._look_up_long(data, tokens, ids)
        return tokens, ids

    def _unpack(self) -> None:
        with self._unpacking:
            if self._packed is not None:
                self._make_table(self._packed.types())
                self._packed = None

    def learn(self, data: bytes, tokens: TokenSpans, ids: np.ndarray) -> None:
        """Gives words whose id is NO_ID the next ids, in place."""
        unknown, batch = np.flatnonzero(ids == NO_ID), 1 << 10
        while len(unknown):
            if (
                len(unknown) > MANY
            ):  # other batches may have taught them: a new word is repeated soon
                spans = TokenSpans(tokens.start[unknown], tokens.length[unknown])
                ids[unknown] = self.look_up(data, spans)
                unknown = unknown[ids[unknown] == NO_ID]
            else:
                batch = MANY
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
        keys = keys_of(b"".join(types), TokenSpans(np.cumsum(lengths) - lengths, lengths))
        short = np.flatnonzero(lengths <= MAX_SHORT_LENGTH)
        table = self._table
        if 2 * len(self.ids) > len(table.ids):
            occupied = np.flatnonzero(table.ids != NO_ID)
            larger = empty_table(1 << (4 * len(self.ids)).bit_length())
            insert(larger, table.keys[occupied], table.ids[occupied])
            table = larger
        insert(table, keys[short], (short + first).astype(np.int32))
        self._table = table
