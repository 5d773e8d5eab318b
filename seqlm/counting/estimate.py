"""A stream of ids -> an n-gram model: count, smooth order by order, and fill the tables.

    order k = 1 … n:    p_k, β_{k-1}  =  method(counts of order k, p_{k-1}),    p_0 = 1/V

A word is only ever smoothed with the others of its history, so an order is done in blocks of whole
histories, and what no later order needs is let go.

    U n-grams of this order · H histories, the n-grams of the order below · V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from seqlm.counting.ngrams import NGrams, adjust, count_ngrams
from seqlm.counting.smoothing import METHODS, Histories, Method, Options
from seqlm.errors import DataError, UsageError
from seqlm.models.ngram import NGram, NGramConfig, one_thread

BLOCK = 1 << 15
"""n-grams smoothed at a time, so that float64 costs no memory."""
GPU_BLOCK = 1 << 24


def estimate(
    ids: np.ndarray,
    vocab_size: int,
    order: int = 5,
    smoothing: str = "kneser-ney",
    context: str = "sentence",
    add_k: float = 1.0,
    discount_fallback: tuple[float, float, float] | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> NGram:
    """An n-gram model of a stream of `ids` (N,) int32 that ends with `</s>`.

    `progress` is told each stage. Errors: UsageError on a smoothing, context or order that is none;
    DataError on an empty text, or one with counts the smoothing cannot do with.
    """
    if smoothing not in METHODS:
        raise UsageError(f"no smoothing {smoothing!r}: there are {', '.join(METHODS)}")
    if context not in ("sentence", "carried"):
        raise UsageError(f"n-grams have no context {context!r}: there are sentence and carried")
    if order < 1:
        raise UsageError(f"n-grams have no order {order}: at least 1")
    options = Options(vocab_size, context, add_k, discount_fallback)
    device = torch.device(device)
    place = device if device.type == "cuda" else torch.device("cpu")  # others lack float64
    orders = count_ngrams(ids, vocab_size, order, context, place, progress=progress)
    config = NGramConfig(
        vocab_size, order, smoothing, context, tuple(len(o.counts) for o in orders)
    )
    tensors = smooth(orders, METHODS[smoothing], options, progress)
    return NGram.from_tensors(asdict(config), tensors).to(device)


@one_thread()
def smooth(
    orders: list[NGrams],
    method: Method,
    options: Options,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Tensor]:
    """The model's tensors by name, from the counts of all orders. Empties `orders` on the way."""
    tell = progress or (lambda _: None)
    order, device = len(orders), orders[0].counts.device
    usable = sum(len(of.counts) > 0 for of in orders)
    if usable < order and method.adjusted and options.discount_fallback is None:
        raise DataError(
            f"no line is long enough for a {usable + 1}-gram: "
            f"use --order {usable}, --discount-fallback, or --smoothing add-k"
        )
    if method.adjusted:
        adjust(orders)
    constants = [method.constants(of.counts, k, options) for k, of in enumerate(orders, 1)]
    whole = [_whole(orders, k, options.context) for k in range(1, order + 1)]

    tensors: dict[str, Tensor] = {}
    prob = torch.tensor([1 / options.vocab_size], device=device)  # of the one n-gram of order 0
    for k in range(1, order + 1):
        tell(f"smoothing {k}-grams")
        words, first, suffix, counts = orders.pop(0)
        lower, prob = prob, torch.empty(len(counts), device=device)  # (U,)
        weight = torch.ones(len(first) - 1, device=device)  # (H,)
        for histories, grams in _blocks(first):
            bounds = first[histories.start : histories.stop + 1].long() - grams.start
            size = bounds.diff()
            h = Histories(
                counts=counts[grams],
                lower=lower.index_select(0, suffix[grams]).double(),
                first=bounds,
                owner=torch.arange(len(size), device=device).repeat_interleave(size),
                whole=whole[k - 1][histories],
            )
            prob[grams], found = method.estimate(h, constants[k - 1])
            weight[histories] = torch.where(size > 0, found, 1.0).float()
        if k > 1:
            tensors |= {
                f"orders.{k - 2}.log_prob": lower.log_(),
                f"orders.{k - 2}.backoff": weight.log_(),
                f"orders.{k - 2}.first": first,
                f"orders.{k - 1}.words": words,
            }
    tensors[f"orders.{order - 1}.log_prob"] = prob.log_()
    return tensors


def _whole(orders: list[NGrams], k: int, context: str) -> Tensor:
    """(H,) bool, of the histories of the k-grams: n-1 words, or back to the start of the line."""
    histories, device = len(orders[k - 1].first) - 1, orders[0].counts.device
    if k == len(orders) or context == "carried":
        return torch.full((histories,), k == len(orders), device=device)
    # In a line all other histories have one more word before them, with which they are continued.
    whole = torch.ones(histories, dtype=torch.bool, device=device)
    continued = orders[k].first.diff() > 0
    whole[orders[k - 1].suffix[continued].long()] = False
    return whole


def _blocks(first: Tensor) -> Iterator[tuple[slice, slice]]:
    """Runs of whole histories with about BLOCK n-grams in all: the histories, and the n-grams."""
    step = BLOCK if first.device.type == "cpu" else GPU_BLOCK
    targets = torch.arange(0, int(first[-1]), step, dtype=first.dtype, device=first.device)
    ends = torch.tensor([0, len(first) - 1], device=first.device)
    cuts = torch.cat([torch.searchsorted(first, targets), ends]).unique()
    bounds = zip(cuts.tolist(), first[cuts].tolist(), strict=True)
    for (history, row), (next_history, next_row) in pairwise(bounds):
        yield slice(history, next_history), slice(row, next_row)
