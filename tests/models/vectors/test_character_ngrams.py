"""The hashes of character n-grams, beside fastText's own way to enumerate them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.vectors.character_ngrams import ngrams_of


def ngram_hashes(word: bytes, shortest: int, longest: int) -> list[int]:
    """Those of one word."""
    return [int(h) for h in ngrams_of([word], shortest, longest).hashes]


def hash_slowly(ngram: str) -> int:
    """FNV-1a over bytes that are signed, as C's char is."""
    h = 2166136261
    for byte in ngram.encode():
        signed = byte - 256 if byte > 127 else byte
        h = (h ^ (signed % 2**32)) * 16777619 % 2**32
    return h


def ngrams_slowly(word: str, shortest: int, longest: int) -> list[str]:
    """All substrings of <word>, but for the two brackets alone."""
    text = f"<{word}>"
    spans = [
        (start, end)
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
        if shortest <= end - start <= longest
    ]
    return [text[a:b] for a, b in spans if (a, b) not in [(0, 1), (len(text) - 1, len(text))]]


@given(st.text(st.characters(codec="utf-8"), max_size=9), st.integers(0, 4), st.integers(0, 7))
def test_hashes_are_those_of_all_substrings(word: str, shortest: int, longest: int) -> None:
    expected = [hash_slowly(ngram) for ngram in ngrams_slowly(word, shortest, longest)]
    assert ngram_hashes(word.encode(), shortest, longest) == expected


def test_the_hash_is_the_published_one() -> None:
    """The test vectors of FNV-1a with 32 bits: "a", and "foobar"."""
    assert ngram_hashes(b"a", 1, 1) == [0xE40C292C]
    assert hash_slowly("foobar") == 0xBF9CF968


def test_bytes_above_127_are_negative() -> None:
    """The hash of "é", C3 A9, once more in the steps of 32-bit arithmetic."""
    h = (2166136261 ^ 0xFFFFFFC3) * 16777619 % 2**32
    h = (h ^ 0xFFFFFFA9) * 16777619 % 2**32
    assert ngram_hashes("é".encode(), 1, 1) == [h]
