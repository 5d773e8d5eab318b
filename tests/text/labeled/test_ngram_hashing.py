"""Hashed n-grams against a slow loop over every text, in Python's whole numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqlm.text.labeled.ngram_hashing import bags_of_ngrams

V = 50
TEXTS = st.lists(st.lists(st.integers(0, V - 1), max_size=7), max_size=6)


def slow_hash(words: list[int]) -> int:
    h = words[0]
    for word in words[1:]:
        h = (0x9E3779B97F4A7C15 * h + word + 1) % 2**64
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    h = (h ^ h >> 27) * 0x94D049BB133111EB % 2**64
    return h ^ h >> 31


def slow_bag(text: list[int], ngrams: int, buckets: int) -> list[int]:
    return text + [
        V + slow_hash(text[i : i + n]) % buckets
        for n in range(2, ngrams + 1)
        for i in range(len(text) - n + 1)
    ]


def bags(texts: list[list[int]], ngrams: int, buckets: int) -> list[list[int]]:
    ids = np.array([word for text in texts for word in text], np.int64)
    lengths = np.array([len(text) for text in texts], np.int64)
    features, sizes = bags_of_ngrams(ids, lengths, V, ngrams, buckets)
    assert features.dtype == sizes.dtype == np.int64
    assert len(features) == sizes.sum()
    ends = np.cumsum(sizes).tolist()
    return [features[end - n : end].tolist() for end, n in zip(ends, sizes.tolist())]


@given(TEXTS, st.integers(1, 5), st.sampled_from([1, 3, 1000, 2**31, 2**40]))
def test_features_are_those_of_a_slow_loop(texts, ngrams, buckets):
    assert bags(texts, ngrams, buckets) == [slow_bag(text, ngrams, buckets) for text in texts]


def test_order_and_length_of_an_ngram_make_a_difference():
    texts = [[1, 2], [2, 1], [0, 1, 2], [1, 2, 0], [0, 0], [0, 0, 0]]
    different = {tuple(t[i : i + n]) for t in texts for n in (2, 3) for i in range(len(t) - n + 1)}
    ngrams = [feature for text in bags(texts, 3, 2**60) for feature in text if feature >= V]
    assert len(set(ngrams)) == len(different) == 8


def test_ngrams_spread_evenly_over_the_buckets():
    buckets, n = 64, V * V
    pairs = [[a, b] for a in range(V) for b in range(V)]
    found = [bag[2] - V for bag in bags(pairs, 2, buckets)]
    counts = np.bincount(found, minlength=buckets)
    chi_square = ((counts - n / buckets) ** 2 / (n / buckets)).sum()
    assert chi_square < 120  # with 63 degrees of freedom, more by chance once in 10^5
