"""Randomness that belongs to a sample and not to the batch it is drawn in.

A generator shared by a batch hands out its numbers by row, so that one row more changes every
sample. Here a draw is a function of (seed, sample number, position) and of nothing else: a
counter-based generator (Salmon et al. 2011, *Parallel random numbers: as easy as 1, 2, 3*), made of
SplitMix64 (Steele, Lea & Flood 2014, *Fast splittable pseudorandom number generators*):

    s_k = s_0 + k gamma        the state is a counter; gamma is odd, near 2^64 / golden ratio
    output_k = mix(s_k)        three xor-shifts and two products, which every bit passes through

Output `number` of the stream that `seed` starts is the seed of the sample's own stream, and output
`position` of that one is the draw.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

GAMMA = np.uint64(0x9E3779B97F4A7C15)


def fresh_seed() -> int:
    """A seed for samples that nobody has drawn before, short enough to be typed again."""
    return secrets.randbelow(10**9)


class Noise(NamedTuple):
    """The noise of a batch of samples. It is a state: `models.tree.select` reorders its rows."""

    seed: int
    numbers: NDArray[np.int64]  # (B,) the number of the sample in each row
    offset: int = 0  # tokens of the text that stand before position 0

    @classmethod
    def of(cls, seed: int, numbers: Sequence[int], offset: int = 0) -> Noise:
        """The noise of the samples `numbers`."""
        return cls(seed, np.array(numbers, np.int64), offset)

    def uniform(self, position: int) -> NDArray[np.float64]:
        """(B,) float64 in [0, 1): the draw of each row for the token at `position`.

        Where `offset` is the length of the prompt, a token's draw depends on its place in the text:
        rows whose prompts differ in length may share a batch.
        """
        numbers = self.numbers.astype(np.uint64)  # (B,)
        seed = np.full_like(numbers, self.seed % 2**64)
        positions = np.full_like(numbers, self.offset + position)
        bits = splitmix(splitmix(seed, numbers), positions)
        return (bits >> 11).astype(np.float64) * 2.0**-53


def splitmix(seed: NDArray[np.uint64], index: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output at `index`, from 0, of the SplitMix64 stream that `seed` starts."""
    z: NDArray[Any] = seed + (index + 1) * GAMMA  # modulo 2^64, as uint64 arrays compute
    z = (z ^ (z >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> 27)) * np.uint64(0x94D049BB133111EB)
    output: NDArray[np.uint64] = z ^ (z >> 31)
    return output
