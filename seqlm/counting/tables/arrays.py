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


def blocks(tensor: Tensor) -> Iterator[slice]:
    """The stretches in which a pass goes over a tensor."""
    step = BLOCK if tensor.device.type == "cpu" else GPU_BLOCK
    for start in range(0, len(tensor), step):
        yield slice(start, min(start + step, len(tensor)))


def histories(first: Tensor) -> Iterator[tuple[slice, slice]]:
    """Runs of whole histories with about BLOCK n-grams in all: the histories, and the n-grams."""
    yield from context_blocks(first, BLOCK if first.device.type == "cpu" else GPU_BLOCK)


def sort_values(parts: list[Tensor], threads: int) -> None:
    """Sorts each of `parts` in place.

    On a CPU with numpy's vector sort, which is several times as fast as `torch.sort` (that makes
    indices too), takes no memory, and lets other threads run.
    """
    if parts and parts[0].device.type != "cpu":
        for part in parts:
            part.copy_(torch.sort(part).values)
    else:
        with thread_pool(threads) as pool:
            list(pool.map(lambda part: part.numpy().sort(), sorted(parts, key=len, reverse=True)))


def compact(marks: Tensor, columns: Sequence[Tensor], threads: int | None = None) -> list[Tensor]:
    """The entries of each of `columns` (M,) that are marked (M,), as new columns."""
    device, parts = marks.device, list(blocks(marks))
    sizes = parallel_map(lambda part: int(marks[part].count_nonzero()), parts, device, threads)
    starts = [0, *accumulate(sizes)]
    kept = [column.new_empty(starts[-1]) for column in columns]

    def take(number: int) -> None:
        at = indices(marks[parts[number]])
        for column, new in zip(columns, kept):
            part = column[parts[number]]
            torch.index_select(part, 0, at, out=new[starts[number] : starts[number + 1]])

    parallel_map(take, range(len(parts)), device, threads)
    return kept
