"""Phrases: pairs of words that stand together more often than their parts let expect.

    score(a, b) = N (count(a b) - delta) / (count(a) count(b))      joined where score > threshold

    the new york times  ->  the new_york times  ->  the new_york_times

as in Mikolov, Sutskever, Chen, Corrado & Dean (2013), section 4, and their program word2phrase.
delta keeps rare pairs apart: words that occur less often than it are in no phrase. A pass joins
words from left to right, each with one other at most. A further pass joins its phrases, so that
after k passes a phrase has up to 2^k words. The threshold is halved from pass to pass.

N words of the text, </s> apart · T tokens · V vocabulary · P pairs that make a phrase
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.in_pieces import count_in_pieces
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.models.ngram.ngram_order import context_blocks
from seqlm.models.ngram.scrambling import unscramble_ids
from seqlm.models.ngram.sort_keys import pack_keys, unpack_keys
from seqlm.text.vocabulary import CHUNK_SIZE, EOS, RESERVED

DELTA = 5
"""The `-min-count` of word2phrase."""


class Pass(NamedTuple):
    """The pairs that one pass joins."""

    pairs: np.ndarray  # (P,) int64, sorted keys of `pack_keys`
    phrases: np.ndarray  # (P,) int32, the id of each


class Phrases(NamedTuple):
    """The phrases of a text."""

    passes: list[Pass]
    types: list[bytes]
    """The types of the text, and after them those of the phrases."""

    def join(self, ids: np.ndarray, memory: Memory = IN_MEMORY) -> np.ndarray:
        """`ids` (T,) int32 with the phrases as words."""
        for pass_ in self.passes:
            ids = memory.concatenate(join_pairs(ids, pass_))
        return ids


def learn_phrases(
    ids: np.ndarray,
    types: list[bytes],
    passes: int,
    threshold: float,
    memory: Memory = IN_MEMORY,
) -> Phrases:
    """The phrases of a text `ids` (T,) int32 of `types` (V,), of so many `passes`, the last of them
    with `threshold`.

    >>> types = [b"<unk>", b"</s>", b"new", b"york", b"in"]
    >>> ids = np.array([2, 3, 4, 4, 4, 1] * 20, np.int32)  # new york in in in
    >>> phrases = learn_phrases(ids, types, passes=1, threshold=1.5)
    >>> phrases.types[5:], phrases.join(ids)[:5].tolist()
    ([b'new_york'], [5, 4, 4, 4, 1])
    """
    learned: list[Pass] = []
    for number in reversed(range(passes)):
        pairs = find_pairs(ids, len(types), threshold * 2**number, memory)
        if len(pairs) == 0:
            continue
        types, phrases = name_pairs(pairs, types)
        learned.append(Pass(pairs, phrases))
        ids = memory.concatenate(join_pairs(ids, learned[-1]))
    return Phrases(learned, types)


def find_pairs(ids: np.ndarray, vocab_size: int, threshold: float, memory: Memory) -> np.ndarray:
    """(P,) the pairs whose score is above the threshold, as sorted keys of `pack_keys`."""
    if memory.limit is None:
        words, bigrams = count_ngrams(ids, vocab_size, 2)
    else:
        words, bigrams = count_in_pieces(ids, vocab_size, 2, "sentence", memory)
    counts = words.counts.astype(np.float64)
    n = counts.sum() - counts[EOS]
    counts[: len(RESERVED)] = 0  # which are in no phrase
    found = [np.zeros(0, np.int64)]
    for contexts, rows in context_blocks(bigrams.first, CHUNK_SIZE):
        first = bigrams.first[contexts.start : contexts.stop + 1]
        a = np.arange(contexts.start, contexts.stop).repeat(np.diff(first))
        b = unscramble_ids(bigrams.words[rows], vocab_size)
        product = counts[a] * counts[b]
        score = n * (bigrams.counts[rows] - DELTA) / np.maximum(product, 1)
        is_phrase = (score > threshold) & (counts[a] >= DELTA) & (counts[b] >= DELTA)
        found.append(pack_keys(a[is_phrase], b[is_phrase]))
        memory.release_pages()
    return np.sort(np.concatenate(found))


def name_pairs(pairs: np.ndarray, types: list[bytes]) -> tuple[list[bytes], np.ndarray]:
    """The types with the phrases among them, and the id of each of `pairs` (P,) int32."""
    id_of = {type_: id for id, type_ in enumerate(types)}
    a, b = unpack_keys(pairs)
    names = [types[i] + b"_" + types[j] for i, j in zip(a.tolist(), b.tolist())]
    ids = [id_of.setdefault(name, len(id_of)) for name in names]
    return list(id_of), np.array(ids, np.int32)


def join_pairs(ids: np.ndarray, pass_: Pass) -> Iterator[np.ndarray]:
    """The text, in parts, with the phrases in place of the pairs.

    Where pairs overlap, every other one is joined, from the first on: a b c d is ab cd.
    """
    pairs, phrases = pass_
    is_joined = False  # the first word of a part to the last one before it
    for start in range(0, len(ids), CHUNK_SIZE):
        part, here = ids[start : start + CHUNK_SIZE], np.arange(min(CHUNK_SIZE, len(ids) - start))
        after = np.append(ids[start + 1 : start + len(part) + 1], EOS)[: len(part)]
        keys = pack_keys(part.astype(np.int64), after)
        at = np.searchsorted(pairs, keys).clip(max=len(pairs) - 1)
        is_pair = pairs[at] == keys
        is_pair[0] &= not is_joined
        last_other = np.maximum.accumulate(np.where(is_pair, -1, here))
        begins = is_pair & ((here - last_other) % 2 == 1)
        is_second = np.append(is_joined, begins[:-1])
        yield np.where(begins, phrases[at], part)[~is_second]
        is_joined = bool(begins[-1])
