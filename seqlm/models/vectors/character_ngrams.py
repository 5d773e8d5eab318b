"""Character n-grams of words, as fastText hashes them.

Bojanowski, Grave, Joulin and Mikolov (2017), "Enriching Word Vectors with Subword Information"

    <her> with n from 3 to 4      <he  her  er>  <her  her>        < and > alone are left out
    h ← 2166136261;   for each byte b:   h ← (h xor b) · 16777619 mod 2³²              FNV-1a

fastText takes bytes as signed numbers: one above 127 sets all upper bits of h xor b as well.

N words · F n-grams of all words
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BEGIN, END = b"<", b">"
OFFSET_BASIS, PRIME = np.uint32(2166136261), np.uint32(16777619)
AS_SIGNED = np.array([b if b < 128 else b | 0xFFFFFF00 for b in range(256)], np.uint32)
LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8, at most."""


class WordNgrams(NamedTuple):
    """The n-grams of each of some words, one word after the other."""

    hashes: np.ndarray  # (F,) uint32
    sizes: np.ndarray  # (N,) int64, how many each word has


def ngrams_of(words: Sequence[bytes], shortest: int, longest: int) -> WordNgrams:
    """The hashes of the n-grams of `words`, UTF-8, that have `shortest` to `longest` characters:
    those of one word by where they begin, then by their length.

    >>> ngrams_of([b"a"], 3, 6)  # <a>
    WordNgrams(hashes=array([2359087600], dtype=uint32), sizes=array([1]))
    """
    spelled = [BEGIN + word + END for word in words]
    text = np.frombuffer(b"".join(spelled), np.uint8)
    starts_character = text & 0xC0 != 0x80
    starts_character[np.cumsum([0, *map(len, spelled)])[:-1]] = True
    first_byte = np.flatnonzero(starts_character)  # of each character
    num_bytes = np.diff(first_byte, append=len(text))
    word_of_byte = np.repeat(np.arange(len(words)), [len(each) for each in spelled])
    word = word_of_byte[first_byte]  # of each character
    is_bracket = np.append(True, word[1:] != word[:-1]) | np.append(word[1:] != word[:-1], True)

    begins = np.arange(len(first_byte))  # the character at which an n-gram begins
    h = np.full(len(begins), OFFSET_BASIS)
    found = [(begins[:0], h[:0])]
    for n in range(1, longest + 1):
        ends = begins + n - 1  # its last character
        inside = np.flatnonzero(ends < len(word))
        inside = inside[word[ends[inside]] == word[begins[inside]]]
        begins, h, last = begins[inside], h[inside], ends[inside]
        for byte in range(int(num_bytes[last].max(initial=0))):
            has_byte = np.flatnonzero(num_bytes[last] > byte)
            h[has_byte] = (h[has_byte] ^ AS_SIGNED[text[first_byte[last[has_byte]] + byte]]) * PRIME
        if n >= shortest:
            taken = ~is_bracket[begins] if n == 1 else slice(None)
            found.append((begins[taken], h[taken]))
    all_begins = np.concatenate([begins for begins, _ in found])
    order = np.argsort(all_begins, kind="stable")  # the shorter first, as they were found
    hashes = np.concatenate([h for _, h in found])[order]
    return WordNgrams(hashes, np.bincount(word[all_begins], minlength=len(words)))
