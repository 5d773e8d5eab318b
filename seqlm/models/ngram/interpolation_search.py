"""Interpolation search (Perl, Itai & Avni, 1978): many searches at once, all in step.

A sorted stretch of values that lie evenly between known bounds is like a telephone book: a name
with Z is looked for at the end. Each probe guesses by proportion,

    guess  =  low + (target - least) / (most - least) · (high - low)

and what it finds narrows the stretch low … high and the bounds least … most from one side. One of m
values is found in about log log m probes, where halving takes log m. After a few probes a search
that has guessed badly turns to halving, which bounds the worst case.

    Q searches
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlm.models.ngram.masks import indices, where_bitwise

INTERPOLATIONS = 6
"""Probes by proportion, before a search turns to halving."""


def interpolation_search(
    values: Tensor, low: Tensor, size: Tensor, targets: Tensor, bound: int
) -> Tensor:
    """(Q,) int32 positions in `values` of the `targets` (Q,), or -1 for what is not there.

    Search q looks among the `size[q]` (Q,) sorted values from `low[q]` (Q,) on. All values, of
    which there is at least one, lie in 0 … `bound` - 1. All tensors are int32.

    >>> values = torch.tensor([3, 50, 97, 8, 9], dtype=torch.int32)  # two sorted stretches
    >>> low, size = torch.tensor([[0, 0, 3], [3, 3, 2]], dtype=torch.int32)
    >>> targets = torch.tensor([50, 51, 9], dtype=torch.int32)
    >>> interpolation_search(values, low, size, targets, 100).tolist()
    [1, -1, 4]
    """
    share = targets.float() / bound
    guess = low + torch.minimum((share * size).int(), size - 1).clamp_(min=0)
    probed = values.index_select(0, guess.clamp_(max=len(values) - 1))
    hit = (probed == targets) & (size > 0)
    positions = guess | hit.int().sub_(1)  # -1 has all bits
    unfinished = indices((size > 1) & ~hit)
    low, size, targets, guess, probed = (
        tensor.index_select(0, unfinished) for tensor in (low, size, targets, guess, probed)
    )
    positions[unfinished] = _search_on(values, low, low + size, targets, guess, probed, bound)
    return positions


def _search_on(
    values: Tensor,
    low: Tensor,
    high: Tensor,
    targets: Tensor,
    guess: Tensor,
    probed: Tensor,
    bound: int,
) -> Tensor:
    """(Q,) positions of the `targets` (Q,), after a first `guess` (Q,) that `probed` another value.

    Searches that have ended leave the tensors, so that each probe is as short as it can be.
    """
    positions = torch.full_like(guess, -1)
    search = torch.arange(len(targets), device=targets.device)  # the number of each that goes on
    # The values at positions low … high-1 lie in least … most-1.
    least, most = torch.zeros_like(targets), torch.full_like(targets, bound)
    probes = 1
    while True:
        beyond = probed < targets
        low, high = where_bitwise(beyond, guess + 1, low), where_bitwise(beyond, high, guess)
        least, most = where_bitwise(beyond, probed + 1, least), where_bitwise(beyond, most, probed)
        remaining = indices((low < high) & (probed != targets))
        if len(remaining) == 0:
            return positions
        search, targets, low, high, least, most = (
            tensor.index_select(0, remaining)
            for tensor in (search, targets, low, high, least, most)
        )
        if probes < INTERPOLATIONS:
            share = (targets - least).float() / (most - least)
            guess = torch.minimum(low + (share * (high - low)).int(), high - 1)
        else:
            guess = (low + high) // 2
        probed = values.index_select(0, guess)
        hit = indices(probed == targets)
        positions[search.index_select(0, hit)] = guess.index_select(0, hit)
        probes += 1
