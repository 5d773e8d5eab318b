"""Sources of known entropy: they can be sampled, and their probability of a text is exact.

In the long run no model's cross-entropy is below that of the source that wrote the text (Shannon
1948, "A Mathematical Theory of Communication"; Cover & Thomas 2006, "Elements of Information
Theory", theorem 5.4.3). Where the source is known, a model can be compared with the truth on the
very same text, so that the luck of the sample cancels:

    excess(model) = Σ_t [log p_source(x_t | x_<t) - log p_model(x_t | x_<t)] / T

A line is a list of words; its end, `</s>`, is predicted like a word. Lines are independent of each
other, so that sentence context and carried context are equally good.
"""

from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

END = "</s>"
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Weights = np.ndarray[
    tuple[int, ...], np.dtype[np.int64]
]  # whole numbers, proportional to probabilities


class Source(ABC):
    """A random text whose true probabilities are known."""

    @abstractmethod
    def line(self, rng: np.random.Generator) -> list[str]:
        """Draw the words of one line, without its `</s>`."""

    @abstractmethod
    def log_probs(self, lines: Sequence[str]) -> Floats:
        """Natural log-probability of every token, each line's `</s>` included: (tokens,)."""

    @abstractmethod
    def entropy_rate(self) -> float:
        """Bits per token, `</s>` included, that no model can undercut in the long run."""

    @abstractmethod
    def unigram_entropy(self) -> float:
        """Bits per token of a model that knows only the frequency of each token."""

    def sample(self, rng: np.random.Generator, tokens: int) -> list[str]:
        """Draw whole lines until they hold at least this many tokens, `</s>` included."""
        lines: list[str] = []
        while tokens > 0:
            words = self.line(rng)
            lines.append(" ".join(words))
            tokens -= len(words) + 1
        return lines

    def files(self, name: str, splits: dict[str, tuple[int, int]]) -> dict[str, list[str]]:
        """Sample every split, given as its seed and number of tokens: lines by file name."""
        return {
            f"{name}.{split}.txt": self.sample(np.random.default_rng(seed), tokens)
            for split, (seed, tokens) in splits.items()
        }

    def cross_entropy(self, lines: Sequence[str]) -> float:
        """Bits per token that the source itself needs for these lines."""
        return float(-self.log_probs(lines).mean() / np.log(2))


class Die:
    """A loaded die with whole-number weights.

    It is thrown with `rng.random()` alone, which is compared with whole numbers. So the text of a
    seed depends neither on rounding nor on a sampling method that a new numpy might change.
    """

    def __init__(self, weights: Sequence[int] | Weights):
        self.edges = list(accumulate(int(weight) for weight in weights))

    def throw(self, rng: np.random.Generator) -> int:
        return bisect(self.edges, rng.random() * self.edges[-1])


def shuffled(rng: np.random.Generator, count: int) -> list[int]:
    """The numbers below `count` in random order."""
    return [int(i) for i in np.argsort(rng.random(count))]


def stationary(move: Floats) -> Floats:
    """The π with π = π move and Σπ = 1, for a chain (S, S) that can reach every state: (S,)."""
    equations = move.T - np.eye(len(move))
    equations[0] = 1  # the other equations imply this one, so Σπ = 1 can take its place
    return np.linalg.solve(equations, np.eye(len(move))[0])


def entropy(probs: Floats) -> Floats:
    """Bits of each distribution along the last axis."""
    bits: Floats = -(probs * np.log2(np.where(probs > 0, probs, 1))).sum(-1)
    return bits
