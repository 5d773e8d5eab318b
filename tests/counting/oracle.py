"""Counting and smoothing the slow way: dictionaries of tuples, formulas as they are printed.

A stream stands behind one `</s>`; ids are the model's, `<unk>` 0 and `</s>` 1.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from seqlm.models.ngram import NGram, unmix
from seqlm.text.vocabulary import EOS

Gram = tuple[int, ...]


def occurrences(ids: list[int], k: int, context: str) -> Iterator[Gram]:
    """Every k-gram of the text, as often as it occurs."""
    stream = [EOS, *ids]
    for end in range(max(1, k - 1), len(stream)):
        gram = tuple(stream[end - k + 1 : end + 1])
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


def history(read: list[int], order: int, context: str) -> Gram:
    """What a model knows after reading: at most n-1 words, back to the start of the line."""
    stream = [EOS, *read]
    if context == "sentence":
        last = max(i for i, token in enumerate(stream) if token == EOS)
        stream = stream[last:]
    return tuple(stream[max(0, len(stream) - (order - 1)) :])


class KneserNey:
    """Interpolated modified Kneser-Ney. Undefined discounts become `fallback`, or ValueError."""

    def __init__(
        self,
        ids: list[int],
        vocab_size: int,
        order: int,
        context: str,
        fallback: tuple[float, float, float] | None = None,
    ) -> None:
        self.vocab_size = vocab_size
        counts = adjusted_counts(ids, order, context)
        self.discounts = {k: discounts(list(counts[k].values()), fallback) for k in counts}
        self.continuations: dict[Gram, dict[int, int]] = defaultdict(dict)
        for of in counts.values():
            for gram, count in of.items():
                self.continuations[gram[:-1]][gram[-1]] = count

    def prob(self, word: int, h: Gram) -> float:
        lower = self.prob(word, h[1:]) if h else 1 / self.vocab_size
        after = self.continuations.get(h, {})
        if not after:
            return lower
        d = self.discounts[len(h) + 1]
        total = sum(after.values())
        weight = sum(d[min(a, 3)] for a in after.values()) / total
        a = after.get(word, 0)
        return (a - d[min(a, 3)]) / total + weight * lower


def discounts(counts: list[int], fallback: tuple[float, float, float] | None) -> list[float]:
    n = Counter(counts)
    try:
        y = n[1] / (n[1] + 2 * n[2])
        d = [0.0, *(j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))]
    except ZeroDivisionError:
        d = [math.nan]
    if not all(0 <= of <= j for j, of in enumerate(d)):
        if fallback is None:
            raise ValueError("undefined discounts")
        d = [0.0, *fallback]
    return d


class MaximumLikelihood:
    """c(hw) / c(h) after the longest history that something has followed."""

    def __init__(self, ids: list[int], vocab_size: int, order: int, context: str) -> None:
        self.continuations: dict[Gram, Counter[int]] = defaultdict(Counter)
        for k in range(1, order + 1):
            for gram in occurrences(ids, k, context):
                self.continuations[gram[:-1]][gram[-1]] += 1

    def prob(self, word: int, h: Gram) -> float:
        while h and h not in self.continuations:
            h = h[1:]
        after = self.continuations[h]
        return after[word] / after.total()


class AddK(MaximumLikelihood):
    """(c(hw) + k) / (c(h) + kV) after the whole history, seen or not."""

    def __init__(
        self, ids: list[int], vocab_size: int, order: int, context: str, k: float = 1.0
    ) -> None:
        super().__init__(ids, vocab_size, order, context)
        self.k, self.vocab_size = k, vocab_size

    def prob(self, word: int, h: Gram) -> float:
        after = self.continuations.get(h, Counter())
        return (after[word] + self.k) / (after.total() + self.k * self.vocab_size)


# ----------------------------------------------------------------------------------- reading models


def spell(first: list[Tensor], words: list[Tensor], vocab_size: int) -> list[list[Gram]]:
    """Every row of every table as its n-gram; `first[k]` bounds the contexts of `words[k]`."""
    grams: list[list[Gram]] = [[(word,) for word in range(vocab_size)]]
    for bounds, last in zip(first[1:], words[1:], strict=True):
        contexts = [grams[-1][c] for c, n in enumerate(bounds.diff().tolist()) for _ in range(n)]
        ids = unmix(last, vocab_size).tolist()
        grams.append([(*context, word) for context, word in zip(contexts, ids, strict=True)])
    return grams


def distribution(model: NGram, read: list[int]) -> np.ndarray:
    """(V,) what the model says comes after the tokens read."""
    state = model.advance(model.start(1), torch.tensor([read], dtype=torch.int64).view(1, -1))
    return model.log_probs(state)[0].double().exp().numpy()
