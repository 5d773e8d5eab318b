"""Character n-grams of a word, as fastText hashes them.

Bojanowski, Grave, Joulin and Mikolov (2017), "Enriching Word Vectors with Subword Information"

    <her> with n from 3 to 4      <he  her  er>  <her  her>        < and > alone are left out
    h ← 2166136261;   for each byte b:   h ← (h xor b) · 16777619 mod 2³²              FNV-1a

fastText takes bytes as signed numbers: one above 127 sets all upper bits of h xor b as well.
"""

from __future__ import annotations

BEGIN, END = b"<", b">"
OFFSET_BASIS, PRIME, MASK = 2166136261, 16777619, (1 << 32) - 1
AS_SIGNED = [byte if byte < 128 else byte | 0xFFFFFF00 for byte in range(256)]


def ngram_hashes(word: bytes, shortest: int, longest: int) -> list[int]:
    """The hashes of the n-grams of `word`, UTF-8, that have `shortest` to `longest` characters.

    >>> ngram_hashes(b"a", 3, 6)  # of <a>
    [2359087600]
    """
    text = BEGIN + word + END
    starts = [index for index, byte in enumerate(text) if byte & 0xC0 != 0x80]
    bounds, last = [*starts, len(text)], len(starts)
    hashes = []
    for first in range(last):
        h = OFFSET_BASIS
        for end in range(first + 1, min(first + longest, last) + 1):
            for byte in text[bounds[end - 1] : bounds[end]]:
                h = (h ^ AS_SIGNED[byte]) * PRIME & MASK
            is_bracket = end == first + 1 and (first == 0 or end == last)
            if end - first >= shortest and not is_bracket:
                hashes.append(h)
    return hashes
