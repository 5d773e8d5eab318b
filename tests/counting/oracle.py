"""Counting the slow way: dictionaries of tuples.

A text stands behind one `</s>`; ids are the model's, `<unk>` 0 and `</s>` 1. What is made of the
counts is in `formulas.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.scrambling import unscramble_ids
from seqlm.text.vocabulary import EOS

Gram = tuple[int, ...]


def stream(lines: list[list[int]]) -> list[int]:
    return [token for line in lines for token in [*line, EOS]]


def array(ids: list[int]) -> np.ndarray:
    return np.array(ids, np.int32)


# -------------------------------------------------------------------------------------- counting


def occurrences(ids: list[int], k: int, context: str) -> Iterator[Gram]:
    """Every k-gram of the text, as often as it occurs."""
    text = [EOS, *ids]
    for end in range(max(1, k - 1), len(text)):
        gram = tuple(text[end - k + 1 : end + 1])
        if context == "carried" or EOS not in gram[1:-1]:
            yield gram


def raw_counts(ids: list[int], order: int, context: str) -> dict[int, Counter[Gram]]:
    return {k: Counter(occurrences(ids, k, context)) for k in range(1, order + 1)}


def adjusted_counts(ids: list[int], order: int, context: str) -> dict[int, dict[Gram, int]]:
    raw = raw_counts(ids, order, context)
    adjusted: dict[int, dict[Gram, int]] = {order: dict(raw[order])}
    for k in range(1, order):
        before = defaultdict(set)
        for gram in raw[k + 1]:
            before[gram[1:]].add(gram[0])
        adjusted[k] = {gram: len(before[gram]) or count for gram, count in raw[k].items()}
    return adjusted


def last_in_suffix_order(ids: list[int], order: int) -> Gram:
    """The highest n-gram that is last when the last words are compared first, up to its `<s>`.

    Words compare by their first appearance, `<s>` comes before all.
    """
    rank = {EOS: -1}  # as a last word `</s>` is lower than all others too
    for word in ids:
        rank.setdefault(word, len(rank))
    grams = list(occurrences(ids, order, "sentence"))
    for k in range(2, order):  # shorter ones only from the start of a line
        grams += [gram for gram in occurrences(ids, k, "sentence") if gram[0] == EOS]
    return max(grams, key=lambda gram: [rank[word] for word in reversed(gram)])


class Counts(NamedTuple):
    after: dict[Gram, dict[int, int]]  # by history, the count of every word kept
    total: dict[Gram, int]  # by history, of all words, those cut off as well
    counts_of_counts: dict[int, Counter[int]]  # by order, before any n-gram was cut off


def count(
    ids: list[int],
    order: int,
    context: str,
    adjusted: bool = False,
    cutoffs: Sequence[int] = (),
) -> Counts:
    raw = raw_counts(ids, order, context)
    counts = adjusted_counts(ids, order, context) if adjusted else raw
    counts_of_counts = {k: Counter(counts[k].values()) for k in counts}
    if adjusted and context == "sentence":  # as lmplz has it
        last = last_in_suffix_order(ids, order)
        for k in range(1, min(order - 1, len(last)) + 1):
            suffix = last[-k:]
            counts_of_counts[k][counts[k][suffix]] -= 1
            counts_of_counts[k][raw[k][suffix]] += 1
    after: dict[Gram, dict[int, int]] = defaultdict(dict)
    total: dict[Gram, int] = Counter()
    for k in range(1, order + 1):
        cutoff = cutoffs[min(k, len(cutoffs)) - 1] if cutoffs else 0
        for gram, n in counts[k].items():
            total[gram[:-1]] += n
            if raw[k][gram] > cutoff:
                after[gram[:-1]][gram[-1]] = n
    return Counts(dict(after), total, counts_of_counts)


# ----------------------------------------------------------------------------------- reading models


def history(read: list[int], order: int, context: str) -> Gram:
    """What a model knows after reading: at most n-1 words, back to the start of the line."""
    text = [EOS, *read]
    if context == "sentence":
        last = max(i for i, token in enumerate(text) if token == EOS)
        text = text[last:]
    return tuple(text[max(0, len(text) - (order - 1)) :])


def spell(first: list[Any], words: list[Any], vocab_size: int) -> list[list[Gram]]:
    """Every row of every table as its n-gram; `first[k]` bounds the contexts of `words[k]`."""
    grams: list[list[Gram]] = [[(word,) for word in range(vocab_size)]]
    for bounds, last in zip(first[1:], words[1:], strict=True):
        contexts = [grams[-1][c] for c, n in enumerate(np.diff(bounds).tolist()) for _ in range(n)]
        ids = unscramble_ids(last, vocab_size).tolist()
        grams.append([(*context, word) for context, word in zip(contexts, ids, strict=True)])
    return grams


def spelled(model: NGramModel) -> list[list[Gram]]:
    """Every row of every table of a model as its n-gram."""
    nothing = np.empty(0, np.int32)
    first = [nothing, *(order.first for order in model.orders[:-1])]
    words = [nothing, *(order.words for order in model.orders[1:])]
    return spell(first, words, model.config.vocab_size)


def distribution(model: NGramModel, read: list[int]) -> np.ndarray:
    """(V,) what the model says comes after the tokens read."""
    state = model.advance(model.start(1), np.array([read], np.int64).reshape(1, -1))
    return np.exp(model.log_probs(state)[0], dtype=np.float64)
