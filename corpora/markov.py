"""A Markov chain of order two, for which a trigram model is exactly right.

    p(x_t | x_1 … x_{t-1}) = p(x_t | x_{t-2}, x_{t-1})

`</s>` is one symbol of the chain, and the next line starts from the history `</s> </s>`.

Each word b has a few possible successors. After the pair a b, some of them follow, with
probabilities from a loaded die that is drawn for the pair. So a bigram model, which sees b but not
a, is far from the truth. Few pairs occur, and half a million words show nearly all of them often,
so that a trigram model can learn nearly everything. The face of one percent keeps some trigrams
rare, without which modified Kneser-Ney could not estimate its discounts.

The entropy rate weighs each pair's entropy by how often the pair occurs (Cover & Thomas 2006,
"Elements of Information Theory", theorem 4.2.4):

    H = Σ_ab π(a, b) H(p(· | a, b)),     π = πP
"""

from collections.abc import Sequence

import numpy as np

from corpora.source import END, Die, Floats, Source, Weights, entropy, shuffled, stationary

WORDS = [consonant + vowel for consonant in "bdfgklmnst" for vowel in "aeiou"]
SUCCESSORS = 6  # of a word
DICE = ((50, 30, 14, 5, 1), (70, 15, 9, 5, 1), (40, 29, 20, 10, 1), (25, 25, 25, 24, 1))  # percent
SEED = 102  # of a chain that visits all fifty words and ends its lines after about a dozen
SPLITS = {"train": (1, 500_000), "valid": (2, 50_000), "test": (3, 210_000)}  # seed, tokens


class Markov(Source):
    """weights[a, b, c] (V, V, V) of c after a b, zero if it cannot follow; word 0 is `</s>`."""

    def __init__(self, words: Sequence[str], weights: Weights):
        self.types = [END, *words]
        self.ids = {word: i for i, word in enumerate(self.types)}
        totals = weights.sum(-1, keepdims=True)
        self.pairs = np.argwhere(totals[..., 0])  # (P, 2) the histories that occur
        self.probs: Floats = weights / np.maximum(totals, 1)
        self.dice = {(a, b): Die(weights[a, b]) for a, b in self.pairs.tolist()}

    def line(self, rng: np.random.Generator) -> list[str]:
        words, a, b = [], 0, 0
        while c := self.dice[a, b].throw(rng):
            words.append(self.types[c])
            a, b = b, c
        return words

    def log_probs(self, lines: Sequence[str]) -> Floats:
        trigrams = []
        for line in lines:
            a, b = 0, 0
            for word in (*line.split(), END):
                c = self.ids[word]
                trigrams.append((a, b, c))
                a, b = b, c
        a, b, c = np.array(trigrams).T
        log_probs: Floats = np.log(self.probs[a, b, c])
        return log_probs

    def entropy_rate(self) -> float:
        """Exact, by the stationary distribution of the pairs."""
        return float(self._pair_frequencies() @ entropy(self._next_word()))

    def unigram_entropy(self) -> float:
        """Exact, by the stationary distribution of the pairs."""
        return float(entropy(self._pair_frequencies() @ self._next_word()))

    def _next_word(self) -> Floats:
        """(P, V) p(c | a, b) of each pair."""
        return self.probs[tuple(self.pairs.T)]

    def _pair_frequencies(self) -> Floats:
        """(P,) the relative frequency of each pair as the history of a token."""
        index = {pair: i for i, pair in enumerate(map(tuple, self.pairs.tolist()))}
        move = np.zeros((len(index), len(index)))
        for (a, b), i in index.items():
            for c in np.flatnonzero(self.probs[a, b]).tolist():
                move[i, index[(b, c) if c else (0, 0)]] = self.probs[a, b, c]
        return stationary(move)


def source() -> Markov:
    """The one chain behind the markov files."""
    rng = np.random.default_rng(SEED)
    size = len(WORDS) + 1
    rates = 1 / (np.arange(size) + 4)
    rates[0] = 1 / 5
    # The smallest of exponential variables with these rates: a weighted draw without replacement.
    successors = [np.argsort(-np.log(rng.random(size)) / rates)[:SUCCESSORS] for _ in range(size)]
    successors[0] = successors[0][successors[0] > 0]  # no line is empty
    weights = np.zeros((size, size, size), dtype=np.int64)
    histories = [(0, 0)]
    while histories:
        a, b = histories.pop()
        if weights[a, b].any():
            continue
        die = DICE[int(rng.random() * len(DICE))]
        for index, weight in zip(shuffled(rng, len(successors[b])), die, strict=False):
            c = int(successors[b][index])
            weights[a, b, c] = weight
            if c:
                histories.append((b, c))
    return Markov(WORDS, weights)


def files() -> dict[str, list[str]]:
    """The lines of every file, by its name."""
    return source().files("markov", SPLITS)
