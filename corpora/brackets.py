"""Brackets far apart: the closer repeats what the opener said many words ago.

    (b  k e s p  |  b)

A line is one of four openers, some fillers drawn from twenty without any pattern, the cue `|` and
the closer that matches. The cue says that a closer comes now; only the opener, a cue and all the
fillers earlier, says which. A model that sees n words back guesses right once in four as soon as
the fillers number n - 1 or more; a recurrent one can carry two bits as far as it likes. Hochreiter
& Schmidhuber 1997, "Long Short-Term Memory", section 5, set such tasks.

The number of fillers, the distance, is drawn from 1 to 25 for training: in near pairs a gradient
first finds the rule, and the far ones stretch it. The test asks at distance 20 alone.

A line of d fillers has d + 4 tokens, its `</s>` included. Opener, distance and fillers are drawn
evenly and the rest is settled, hence for L = 25 and the mean distance D = (L + 1) / 2

    H = (log₂ 4 + log₂ L + D log₂ 20) / (D + 4)
"""

from collections.abc import Sequence

import numpy as np

from corpora.source import Floats, Source, entropy

OPENERS = ("(a", "(b", "(c", "(d")
CLOSERS = ("a)", "b)", "c)", "d)")
FILLERS = tuple("efghijklmnopqrstuvwx")
CUE = "|"
LONGEST = 25
SPLITS = {"train": (1, 340_000), "valid": (2, 34_000)}  # seed, tokens
TEST_DISTANCE, TEST_SEED, TEST_LINES = 20, 3, 2_000


class Brackets(Source):
    """The mixture of all distances from 1 to `LONGEST`."""

    def line(self, rng: np.random.Generator) -> list[str]:
        return self.apart(rng, 1 + int(rng.random() * LONGEST))

    def apart(self, rng: np.random.Generator, distance: int) -> list[str]:
        """Draw a line with this many fillers between the opener and the cue."""
        pair = int(rng.random() * len(OPENERS))
        fillers = (FILLERS[int(u * len(FILLERS))] for u in rng.random(distance))
        return [OPENERS[pair], *fillers, CUE, CLOSERS[pair]]

    def log_probs(self, lines: Sequence[str]) -> Floats:
        # After i fillers the distance may be i, …, LONGEST, each as likely; there is one at least.
        cue = np.array([0, *(1 / (LONGEST - i + 1) for i in range(1, LONGEST + 1))])
        probs = []
        for line in lines:
            distance = len(line.split()) - 3
            fillers = (1 - cue[:distance]) / len(FILLERS)
            probs += [1 / len(OPENERS), *fillers, cue[distance], 1, 1]
        return np.log(probs)

    def entropy_rate(self) -> float:
        """Exact, by the formula above."""
        distance = (LONGEST + 1) / 2
        bits = np.log2(len(OPENERS)) + np.log2(LONGEST) + distance * np.log2(len(FILLERS))
        return float(bits / (distance + 4))

    def unigram_entropy(self) -> float:
        """Exact, by how often each type occurs in a line."""
        distance = (LONGEST + 1) / 2
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
    test = [" ".join(source().apart(rng, TEST_DISTANCE)) for _ in range(TEST_LINES)]
    return {**source().files("brackets", SPLITS), f"brackets.{TEST_DISTANCE}.test.txt": test}
