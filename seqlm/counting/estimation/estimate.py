"""A stream of ids -> an n-gram model: count, smooth order by order, and fill the tables.

    order k = 1 … n:    p_k, β_{k-1}  =  method(counts of order k, p_{k-1}),    p_0 = 1/V

A word is only ever smoothed with the others of its history, so an order is done in blocks of whole
histories, and what no later order needs is let go.

    U n-grams of this order · H histories, the n-grams of the order below · V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.counting.estimation.counts_of_counts import Change, changed, frequencies, last_suffixes
from seqlm.counting.estimation.cutoffs import cut_off, per_order
from seqlm.counting.estimation.smoothing import Histories, Method, Smoothing, chosen
from seqlm.counting.tables.arrays import blocks, histories
from seqlm.counting.tables.in_memory import NGrams, adjust, count_ngrams
from seqlm.errors import DataError, UsageError
from seqlm.memory import IN_MEMORY, Memory
from seqlm.models.config.ngram_config import NGramConfig
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.progress import Progress, silent
from seqlm.text.vocabulary import EOS
from seqlm.threads import one_thread, parallel_map


class Counts(NamedTuple):
    """What smoothing starts from."""

    tables: list[NGrams]  # orders 1 … n, cut off, their counts adjusted if the method asks for that
    frequencies: list[list[int]]  # n_0 … n_9 of each order, before anything was cut off


def estimate(
    ids: np.ndarray,
    vocab_size: int,
    order: int = 5,
    smoothing: str = "modified-kneser-ney",
    context: str = "sentence",
    device: torch.device | str = "cpu",
    progress: Progress = silent,
    **how: Any,
) -> NGramModel:
    """An n-gram model of a stream of `ids` (N,) int32 that ends with `</s>`.

    `smoothing` names a method, `how` are the fields of `Smoothing`. `progress` is told each stage.
    Errors: UsageError on a smoothing, context or order that is none; DataError on an empty text, or
    one with counts the smoothing cannot do with.
    """
    wanted = Smoothing(smoothing, **how)
    check(wanted, order, context)
    tables = count_ngrams(ids, vocab_size, order, context, home(device), progress=progress)
    last = last_suffixes(ids, vocab_size, order) if context == "sentence" else []
    counts = prepare(tables, wanted, last)
    return smoothed(counts, wanted, vocab_size, context, progress).to(device)


def check(how: Smoothing, order: int, context: str) -> None:
    """Errors: UsageError on a smoothing, context or order that is none."""
    chosen(how)
    if context not in ("sentence", "carried"):
        raise UsageError(f"n-grams have no context {context!r}: there are sentence and carried")
    if order < 1:
        raise UsageError(f"n-grams have no order {order}: at least 1")
    if not 0 <= how.add_k <= 1e100:
        raise UsageError(f"--add-k {how.add_k:g}: a number from 0 to 1e100")
    per_order(how.cutoffs, order)


def home(device: torch.device | str) -> torch.device:
    """Where counting for `device` is done: all but CUDA lack float64."""
    device = torch.device(device)
    return device if device.type == "cuda" else torch.device("cpu")


def smoothed(
    counts: Counts,
    how: Smoothing,
    vocab_size: int,
    context: str = "sentence",
    progress: Progress = silent,
    memory: Memory = IN_MEMORY,
) -> NGramModel:
    """The model of `counts`, whose tables are emptied. Errors: DataError where they tell no
    discounts.
    """
    rows = tuple(len(table.counts) for table in counts.tables)
    config = NGramConfig(vocab_size, len(rows), how.method, context, rows)
    return NGramModel.from_tensors(
        asdict(config), smooth(counts, how, vocab_size, context, progress, memory)
    )


def prepare(
    tables: list[NGrams],
    how: Smoothing,
    last: Sequence[Change] = (),
    memory: Memory = IN_MEMORY,
) -> Counts:
    """Counts as the smoothing wants them, from tables of occurrences, which are changed.

    `last` are the suffixes that lmplz enters with their occurrences, see `frequencies`.
    """
    method, cutoffs = chosen(how), per_order(how.cutoffs, len(tables))
    threads = torch.get_num_threads()
    with one_thread():
        occurrences = [table.counts for table in tables] if any(cutoffs) else []
        if method.adjusted:
            adjust(tables, memory, threads)
        often = [frequencies(table.counts, memory) for table in tables]
        if method.adjusted:
            often[: len(last)] = map(changed, often, last)
        if any(cutoffs):
            cut_off(tables, occurrences, cutoffs)
        return Counts(tables, often)


def smooth(
    counts: Counts,
    how: Smoothing,
    vocab_size: int,
    context: str = "sentence",
    progress: Progress = silent,
    memory: Memory = IN_MEMORY,
) -> dict[str, Tensor]:
    """The model's tensors by name. Empties the tables on the way. Errors: DataError."""
    method = chosen(how)
    tables, order, device = counts.tables, len(counts.tables), counts.tables[0].counts.device
    usable = sum(sum(n[1:]) > 0 or len(t.counts) > 0 for t, n in zip(tables, counts.frequencies))
    if usable < order and method.adjusted and how.discount_fallback is None:
        raise DataError(
            f"no line is long enough for a {usable + 1}-gram: "
            f"use --order {usable}, --discount-fallback, or --smoothing witten-bell"
        )
    constants = [
        torch.tensor(method.constants(n, k, how, vocab_size), dtype=torch.float64, device=device)
        for k, n in enumerate(counts.frequencies, 1)
    ]
    whole = None
    if how.method == "add-k":
        whole = _whole(tables, context)

    tensors: dict[str, Tensor] = {}
    prob = torch.tensor([1 / vocab_size], device=device)  # of the one n-gram of order 0
    for k in range(1, order + 1):
        table, lower, part = tables.pop(0), prob, whole[k - 1] if whole else None
        tell = partial(progress, f"smoothing {k}-grams")
        prob, weight = _smooth_order(table, lower, method, constants[k - 1], part, memory, tell)
        if k > 1:
            tensors |= {
                f"orders.{k - 2}.log_prob": _log(lower, memory),
                f"orders.{k - 2}.backoff": _log(weight, memory),
                f"orders.{k - 2}.first": table.first,
                f"orders.{k - 1}.words": table.words,
            }
    tensors[f"orders.{order - 1}.log_prob"] = _log(prob, memory)
    return tensors


def _smooth_order(
    table: NGrams,
    lower: Tensor,
    method: Method,
    constants: Tensor,
    whole: Tensor | None,
    memory: Memory,
    progress: Callable[[float], None],
) -> tuple[Tensor, Tensor]:
    """p (U,) of every n-gram of an order and β (H,) of every history, from p of the order below."""
    device = table.counts.device
    prob = memory.empty(len(table.counts), torch.float32).to(device)
    weight = memory.empty(len(table.first) - 1, torch.float32).to(device)

    def smooth_block(part: tuple[slice, slice]) -> None:
        owners, grams = part
        bounds = table.first[owners.start : owners.stop + 1].long() - grams.start
        size = bounds.diff()
        h = Histories(
            counts=table.counts[grams],
            lower=lower.index_select(0, table.suffix[grams]).double(),
            first=bounds,
            owner=torch.arange(len(size), device=device).repeat_interleave(size),
            total=torch.zeros(len(size), dtype=torch.float64, device=device),
            whole=None if whole is None else whole[owners],
        )
        total = h.sum(h.counts)
        h = h._replace(
            total=total if table.pruned_count is None else total + table.pruned_count[owners]
        )
        prob[grams], found = method.combine(h, method.discount(h, constants))
        weight[owners] = torch.where(size > 0, found, 1.0).float()
        progress(grams.stop / max(1, len(table.counts)))
        memory.release_pages()

    weight[:] = 1  # of histories without n-grams there may be no block
    parallel_map(smooth_block, histories(table.first), device)
    return prob, weight


def _log(values: Tensor, memory: Memory) -> Tensor:
    """In place."""

    def log_block(part: slice) -> None:
        values[part].log_()
        memory.release_pages()

    parallel_map(log_block, blocks(values), values.device)
    return values


def _whole(tables: list[NGrams], context: str) -> list[Tensor]:
    """An order each, (H,) bool: histories of n-1 words, or back to the start of the line."""
    begins = torch.zeros(1, dtype=torch.bool, device=tables[0].words.device)  # the empty history
    whole = []
    for k, table in enumerate(tables, 1):
        whole.append(begins if k < len(tables) else torch.ones_like(begins))
        begins = begins.repeat_interleave(table.first.diff())
        if k == 1 and context == "sentence":
            begins[EOS] = True
    return whole
