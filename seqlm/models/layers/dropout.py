"""Dropout: of numbers one by one, and as recurrent networks need it.

Dropout (Srivastava et al. 2014) draws for each number whether it is kept. Gal & Ghahramani (2016,
"variational" or *locked* dropout) draw one mask for each sequence and use it at every step, instead
of a new mask at each. *Embedding* dropout (ibid., and Merity et al. 2018) drops whole word types:
every occurrence of a dropped type in the segment is zero. All scale what they keep by 1 / (1 - p),
and none does anything outside training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """x (..) with each number dropped with probability p, which on a CPU is a multiple of 2^-16.

    There PyTorch draws 53 random bits for each number. Here a draw of 64 bits serves four: b >= p
    2^16 keeps a number, for a b of 16 bits (half a million numbers: 1.9 ms instead of 4.9).
    """
    if not training or p == 0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return nn.functional.dropout(x, p)
    threshold = min(round(p * 2**16), 2**16 - 1)
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)  # from -2^15
    keep = (bits >= threshold - 2**15).to(x.dtype)
    return x * keep.mul_(1 / (1 - threshold / 2**16))


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
