"""Word ids scattered over the vocabulary, so that a search can guess where a word is.

The words that continue a context are sorted, and frequent words, which have low ids, would crowd
together at the front. Therefore tables hold every id *scrambled*: multiplied by a number prime to V
near V/φ, modulo V (Knuth, The Art of Computer Programming 3, §6.4). Scrambled words lie evenly in
0 … V-1, so that interpolation search finds one of m words in about log log m probes.

    V vocabulary size
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", np.ndarray, "Tensor")


def multiplier(vocab_size: int) -> int:
    """The largest number up to V/φ that is prime to V.

    >>> multiplier(1000)
    617
    """
    factor = max(1, int(vocab_size * 0.6180339887498949))
    while gcd(factor, vocab_size) != 1:
        factor -= 1
    return factor


def scramble_ids(ids: Array, vocab_size: int) -> Array:
    """The int32 scrambled word of each id, one to one on 0 … V-1.

    >>> scramble_ids(np.array([0, 1, 2, 3]), 1000).tolist()
    [0, 617, 234, 851]
    """
    if isinstance(ids, np.ndarray):
        return (ids.astype(np.int64) * multiplier(vocab_size) % vocab_size).astype(np.int32)
    return (ids.long() * multiplier(vocab_size)).remainder_(vocab_size).int()


def unscramble_ids(words: Array, vocab_size: int) -> Array:
    """The inverse of `scramble_ids`, as int64 ids.

    >>> unscramble_ids(np.array([0, 617, 234, 851]), 1000).tolist()
    [0, 1, 2, 3]
    """
    inverse = pow(multiplier(vocab_size), -1, vocab_size) if vocab_size > 1 else 1
    if isinstance(words, np.ndarray):
        return words.astype(np.int64) * inverse % vocab_size
    return (words.long() * inverse).remainder_(vocab_size)
