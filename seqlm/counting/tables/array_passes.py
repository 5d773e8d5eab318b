"""Passes over big arrays: in blocks that stay in the cache, in threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from seqlm.models.ngram.masks import indices
from seqlm.models.ngram.table import context_blocks
from seqlm.threads import parallel_map, thread_pool

BLOCK = 1 << 17
"""Entries a pass handles at a time, so that its temporaries are small and stay in the cache."""
GPU_BLOCK = 1 << 24


def block_size(device: torch.device) -> int:
    return BLOCK if device.type == "cpu" else GPU_BLOCK


def blocks(tensor: Tensor) -> Iterator[slice]:
    """The stretches in which a pass goes over a tensor.

    >>> len(list(blocks(torch.zeros(BLOCK + 1))))
    2
    """
    step = block_size(tensor.device)
    for start in range(0, len(tensor), step):
        yield slice(start, min(start + step, len(tensor)))


def history_blocks(first: Tensor) -> Iterator[tuple[slice, slice]]:
    """Whole histories with about BLOCK n-grams in all: the histories, and the n-grams.

    History h (H,) has the n-grams first[h] to first[h + 1].
    """
    yield from context_blocks(first, block_size(first.device))


def sort_values(parts: list[Tensor], threads: int) -> None:
    """Sorts each of `parts` in place.

    A CPU does it with numpy's vector sort, which is several times as fast as `torch.sort` (that
    makes indices too), takes no memory, and lets other threads run.
    """
    if parts and parts[0].device.type != "cpu":
        for part in parts:
            part.copy_(torch.sort(part).values)
    else:
        with thread_pool(threads) as pool:
            list(pool.map(lambda part: part.numpy().sort(), sorted(parts, key=len, reverse=True)))


def compact(mask: Tensor, columns: Sequence[Tensor], threads: int | None = None) -> list[Tensor]:
    """The entries of each of `columns` (M,) where `mask` (M,) is true, as new columns.

    >>> mask = torch.tensor([True, False, True])
    >>> [column.tolist() for column in compact(mask, [torch.tensor([1, 2, 3])])]
    [[1, 3]]
    """
    device, parts = mask.device, list(blocks(mask))
    sizes = parallel_map(lambda part: int(mask[part].count_nonzero()), parts, device, threads)
    starts = [0, *accumulate(sizes)]
    compacted = [column.new_empty(starts[-1]) for column in columns]

    def compact_part(number: int) -> None:
        marked = indices(mask[parts[number]])
        for column, new in zip(columns, compacted):
            part = column[parts[number]]
            torch.index_select(part, 0, marked, out=new[starts[number] : starts[number + 1]])

    parallel_map(compact_part, range(len(parts)), device, threads)
    return compacted
