"""Tables that anybody may have written: whether every look-up in them stays in them.

    first      begins with 0, never falls, and ends with the rows of the next order
    words      are ids, and rise among the continuations of a context
    log_prob   and backoff are numbers below infinity; a probability may be 0

Each is one pass in blocks, which threads share: 0.2 s for 50 M n-grams.

    U n-grams of an order k · H contexts, the n-grams of the order below
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from seqlm.models.ngram.table import NGramTable
from seqlm.threads import one_thread, parallel_map

BLOCK = 1 << 20


def check_table(table: NGramTable, k: int, vocab_size: int) -> None:
    """Errors: ValueError where the table of order k is none."""
    first, words = table
    if int(first[0]) != 0 or int(first[-1]) != len(words):
        raise ValueError(f"orders.{k - 2}.first does not lead from 0 to {len(words)}")
    if not holds_in_blocks(len(first) - 1, partial(never_falls, first)):
        raise ValueError(f"orders.{k - 2}.first falls")
    if not holds_in_blocks(len(words), partial(are_words, table, vocab_size)):
        raise ValueError(f"orders.{k - 1}.words does not hold the words of each context in order")


def check_logarithms(name: str, logarithms: Tensor) -> None:
    """Errors: ValueError where one of (U,) is NaN or infinity."""
    if not holds_in_blocks(len(logarithms), partial(below_infinity, logarithms)):
        raise ValueError(f"{name} holds NaN or infinite numbers")


def holds_in_blocks(size: int, holds: Callable[[int, int], bool]) -> bool:
    """Whether `holds(start, stop)` for all blocks of 0 … `size`."""
    bounds = [*range(0, size, BLOCK), size]
    threads = torch.get_num_threads()
    with one_thread():
        blocks = list(pairwise(bounds))
        return all(parallel_map(lambda block: holds(*block), blocks, torch.device("cpu"), threads))


def never_falls(first: Tensor, start: int, stop: int) -> bool:
    """Whether first[h] ≤ first[h + 1] for h from `start` up to `stop`."""
    return bool((first[start:stop] <= first[start + 1 : stop + 1]).all())


def are_words(table: NGramTable, vocab_size: int, start: int, stop: int) -> bool:
    """Whether the words of rows `start` up to `stop` are scrambled ids, and each is above the one
    before it, or begins a context."""
    first, words = table
    least, most = torch.aminmax(words[start:stop])
    if int(least) < 0 or int(most) >= vocab_size:
        return False
    rises = torch.ones(stop - start, dtype=torch.bool)
    torch.gt(words[start + 1 : stop], words[start : stop - 1], out=rises[1:])
    if start:
        rises[0] = words[start] > words[start - 1]
    ends = torch.tensor([start, stop], dtype=first.dtype)
    low, high = torch.searchsorted(first, ends).tolist()
    rises[first[low:high].long() - start] = True  # they begin a context
    return bool(rises.all())


def below_infinity(logarithms: Tensor, start: int, stop: int) -> bool:
    return bool(logarithms[start:stop].max() < torch.inf)  # the maximum with NaN is NaN
