"""Brackets far apart: the last word of a line must match its first.

    (b  k e s p  |  b)

A line is one of four openers, some fillers drawn independently from twenty, the cue `|` and the
closer that matches the opener. The cue shows that a closer comes next, but only the opener, at the
other end of the line, shows which. With n - 1 fillers or more, a model that sees n words back
guesses right in one line of four; a recurrent model can carry the two bits over any distance.
Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", section 5, has such tasks.

The number of fillers, the distance, is drawn from 1 to 25 for training: the near pairs teach the
rule, and the far ones extend it. The test has distance 20 only.

A line of d fillers has d + 4 tokens, its `</s>` included. Opener, distance and fillers are drawn
uniformly and determine the rest, hence for L = 25 and the mean distance D = (L + 1) / 2

    H = (log₂ 4 + log₂ L + D log₂ 20) / (D + 4)
"""

from collections.abc import Sequence

import numpy as np

from corpora.source import Floats, Source, entropy

OPENERS = ("(a", "(b", "(c", "(d")
CLOSERS = ("a)", "b)", "c)", "d)")
FILLERS = tuple("efghijklmnopqrstuvwx")
CUE = "|"
MAX_DISTANCE = 25
SPLITS = {"train": (1, 340_000), "valid": (2, 34_000)}  # seed, tokens
TEST_DISTANCE, TEST_SEED, TEST_LINES = 20, 3, 2_000


class Brackets(Source):
    """The mixture of all distances from 1 to `MAX_DISTANCE`."""

    def line(self, rng: np.random.Generator) -> list[str]:
        return self.line_at(rng, 1 + int(rng.random() * MAX_DISTANCE))

    def line_at(self, rng: np.random.Generator, distance: int) -> list[str]:
        """Draw a line with this many fillers between the opener and the cue."""
        pair = int(rng.random() * len(OPENERS))
        fillers = (FILLERS[int(u * len(FILLERS))] for u in rng.random(distance))
        return [OPENERS[pair], *fillers, CUE, CLOSERS[pair]]

    def log_probs(self, lines: Sequence[str]) -> Floats:
        # After i ≥ 1 fillers the distance is i, …, MAX_DISTANCE with equal probability.
        cue = np.array([0, *(1 / (MAX_DISTANCE - i + 1) for i in range(1, MAX_DISTANCE + 1))])
        probs = []
        for line in lines:
            distance = len(line.split()) - 3
            fillers = (1 - cue[:distance]) / len(FILLERS)
            probs += [1 / len(OPENERS), *fillers, cue[distance], 1, 1]
        return np.log(probs)

    def entropy_rate(self) -> float:
        """Exact, by the formula above."""
        distance = (MAX_DISTANCE + 1) / 2
        bits = np.log2(len(OPENERS)) + np.log2(MAX_DISTANCE) + distance * np.log2(len(FILLERS))
        return float(bits / (distance + 4))

    def unigram_entropy(self) -> float:
        """Exact, by how often each type occurs in a line."""
        distance = (MAX_DISTANCE + 1) / 2
        brackets = [1 / len(OPENERS)] * len(OPENERS) + [1 / len(CLOSERS)] * len(CLOSERS)
        fillers = [distance / len(FILLERS)] * len(FILLERS)
        expected = [*brackets, *fillers, 1, 1]  # the cue and </s> once each
        return float(entropy(np.array(expected) / (distance + 4)))


def closer_positions(lines: Sequence[str]) -> np.ndarray:
    """Index of every line's closer in the stream of tokens, `</s>` included: (lines,)."""
    lengths = np.array([len(line.split()) + 1 for line in lines])
    return lengths.cumsum() - 2


def source() -> Brackets:
    """The source behind the brackets files."""
    return Brackets()


def files() -> dict[str, list[str]]:
    """The lines of every file, by its name."""
    rng = np.random.default_rng(TEST_SEED)
    test = [" ".join(source().line_at(rng, TEST_DISTANCE)) for _ in range(TEST_LINES)]
    return {**source().files("brackets", SPLITS), f"brackets.{TEST_DISTANCE}.test.txt": test}
