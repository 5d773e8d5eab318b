"""Reviews of an inn, good and bad, whose best labels are known.

    good    the soup was not dull , but the bed was very hard .  our host seemed kind .

A review has one, three or five clauses. Each agrees with the label with probability q; whether it
does depends on its adjective and on whether there is a `not`, and on nothing else. So a label is
known as well as the vote of the clauses tells it (Condorcet 1785), and the best accuracy is

    Σ_n p(n) Σ_{k > n/2} C(n, k) q^k (1 - q)^{n - k}

An adjective alone says little, as many are negated: what tells is the pair, or, with an adverb in
between, three words in a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb

import numpy as np

from corpora.source import Die

GOOD = [
    "kind", "clean", "warm", "quiet", "fresh", "lovely", "honest", "bright", "soft", "merry",
    "gentle", "fair",
]  # fmt: skip
BAD = [
    "rude", "dirty", "cold", "loud", "stale", "dreadful", "greedy", "dark", "hard", "dull",
    "harsh", "poor",
]  # fmt: skip
THINGS = [
    "room", "bed", "soup", "bread", "host", "garden", "stairs", "view", "tea", "fire", "bath",
    "cook",
]  # fmt: skip
OWNERS = ["the", "our", "their", "my"]
VERBS = ["was", "seemed", "is", "looked"]
DEGREES = ["very", "quite", "really", "rather"]
JOINTS = [", and", ", but", ".", ";"]
LABELS = ("good", "bad")
CLAUSES = {1: 1, 3: 2, 5: 1}  # the weights of their numbers
AGREE, OF = 4, 5
"""q = 4/5."""
NEGATED, DEGREE = 40, 40
"""Percent of the clauses with `not`, and with an adverb of degree."""
SPLITS = {"train": (1, 1_500), "valid": (2, 200), "test": (3, 800)}  # seed, reviews


class Reviews:
    """Draws reviews."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def pick(self, some: Sequence[str]) -> str:
        return some[int(self.rng.random() * len(some))]

    def chance(self, share: int, of: int = 100) -> bool:
        return bool(self.rng.random() * of < share)

    def review(self) -> tuple[str, str]:
        """A label and its text."""
        label = self.pick(LABELS)
        words: list[str] = []
        for _ in range(list(CLAUSES)[Die(list(CLAUSES.values())).throw(self.rng)]):
            if words:
                words += self.pick(JOINTS).split()
            words += self.clause((label == "good") == self.chance(AGREE, OF))
        return label, " ".join([*words, "."])

    def clause(self, praises: bool) -> Iterator[str]:
        yield from (self.pick(OWNERS), self.pick(THINGS), self.pick(VERBS))
        negated = self.chance(NEGATED)
        if negated:
            yield "not"
        if self.chance(DEGREE):
            yield self.pick(DEGREES)
        yield self.pick(GOOD if praises != negated else BAD)


def vote(text: str) -> int:
    """How many more clauses praise than blame."""
    praises, sign = 0, 1
    for word in text.split():
        if word == "not":
            sign = -1
        elif word in GOOD or word in BAD:
            praises += sign if word in GOOD else -sign
            sign = 1
    return praises


def best_label(text: str) -> str:
    """The most probable label."""
    return "good" if vote(text) > 0 else "bad"


def best_accuracy() -> float:
    """What the best labels reach in the long run; exact."""
    q = AGREE / OF
    return sum(
        weight / sum(CLAUSES.values()) * comb(n, k) * q**k * (1 - q) ** (n - k)
        for n, weight in CLAUSES.items()
        for k in range(n // 2 + 1, n + 1)
    )


def figures(file: str, lines: Sequence[str]) -> tuple[int, int, float]:
    """How many reviews and words a file has, and the accuracy of the best labels."""
    pairs = [line.split("\t") for line in lines]
    right = [best_label(text) == label for label, text in pairs]
    return len(lines), sum(len(text.split()) for _, text in pairs), sum(right) / len(lines)


def files() -> dict[str, list[str]]:
    """The lines of every file, by its name: the label, a tab, and the text."""
    lines = {}
    for split, (seed, count) in SPLITS.items():
        drawn = Reviews(seed)
        lines[f"reviews.{split}.txt"] = ["\t".join(drawn.review()) for _ in range(count)]
    return lines
