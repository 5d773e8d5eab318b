"""Texts as bags of words and word n-grams, n-grams by their hashes (Weinberger et al. 2009).

A text of word ids w_1 .. w_M, each below V, has the features

    w_i                              its words
    V + hash(w_i .. w_{i+n-1})       its n-grams of 2, 3, .. words, each in one of K buckets

so that no table of n-grams has to be learned or stored. Two n-grams that share a bucket share what
is learned of them. The hash of n words, in arithmetic modulo 2^64, is

    h(w_1) = w_1,    h(w_1 .. w_n) = A h(w_1 .. w_{n-1}) + w_n + 1
    hash   = mix(h) mod K

where mix is the finalizer of SplitMix64 (Steele, Lea & Flood 2014), and makes all bits of h count.

R texts · M words of a text · F features of all texts
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # A: odd, 2^64 / φ (Knuth)
_MIX = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
_LAST_SHIFT = np.uint64(31)


class Bags(NamedTuple):
    """The features of texts, those of one text after those of another."""

    features: np.ndarray  # (F,) int64
    sizes: np.ndarray  # (R,) int64, the number of features of each text


def bags_of_ngrams(
    ids: np.ndarray, lengths: np.ndarray, vocab_size: int, ngrams: int, buckets: int
) -> Bags:
    """The words, then the n-grams of up to `ngrams` words, of texts of `lengths` (R,) words.

    `ids` are the words of all texts, each below `vocab_size`; `buckets` is K. A text's features
    are the same whatever stands before and after it.
    """
    # (N, R): a text has M - n + 1 n-grams, and none where it is shorter than n.
    counts = np.maximum(lengths - np.arange(ngrams)[:, None], 0)
    sizes = counts.sum(0)
    text_starts, bag_starts = lengths.cumsum() - lengths, sizes.cumsum() - sizes
    features = np.empty(sizes.sum(), np.int64)
    hashes = ids.astype(np.uint64)
    for n, count in enumerate(counts, 1):
        if n > 1:  # of the n words from each position on; some reach over the end of a text
            hashes = _FACTOR * hashes[:-1] + ids[n - 1 :].astype(np.uint64) + np.uint64(1)
        offsets = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
        here = hashes[np.repeat(text_starts, count) + offsets]
        buckets_here = vocab_size + (mix(here) % np.uint64(buckets)).astype(np.int64)
        features[np.repeat(bag_starts, count) + offsets] = here if n == 1 else buckets_here
        bag_starts = bag_starts + count
    return Bags(features, sizes)


def mix(h: np.ndarray) -> np.ndarray:
    """(N,) uint64 -> (N,) uint64, one to one."""
    for shift, factor in _MIX:
        h = (h ^ (h >> shift)) * factor
    mixed: np.ndarray = h ^ (h >> _LAST_SHIFT)
    return mixed
