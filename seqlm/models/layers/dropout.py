"""Dropout as recurrent networks need it: noise that stays the same along a sequence.

Gal & Ghahramani (2016, "variational" or *locked* dropout) draw one mask for each sequence and use
it at every step, instead of a new mask at each. *Embedding* dropout (ibid., and Merity et al. 2018)
drops whole word types: every occurrence of a dropped type in the segment is zero. Both scale what
they keep by 1 / (1 - p), and both do nothing outside training.
"""

from __future__ import annotations

from torch import Tensor, nn


def locked_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """(B, T, D) with one mask (B, 1, D) for all T steps."""
    if not training or p == 0:
        return x
    keep = x.new_empty(x.shape[0], 1, x.shape[2]).bernoulli_(1 - p)
    return x * keep.div_(1 - p)


def embed(tokens: Tensor, weight: Tensor, p: float, training: bool) -> Tensor:
    """The rows of `weight` (V, D) of the tokens (B, T) -> (B, T, D), with embedding dropout p."""
    embedded = nn.functional.embedding(tokens, weight)
    if not training or p == 0:
        return embedded
    keep = weight.new_empty(weight.shape[0], 1).bernoulli_(1 - p).div_(1 - p)
    return embedded * keep[tokens]
