"""Estimation: from a stream of ids, or its counts, to an n-gram model.

    order k = 1 … n:    p_k, β_{k-1}  =  method(counts of order k, p_{k-1}),    p_0 = 1/V

A word is only ever smoothed with the others of its history, so that an order is done in blocks of
whole histories. What no later order needs is released.

    U n-grams of this order · H histories, the n-grams of the order below · V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlm.counting.estimation.counts_of_counts import lmplz_corrections
from seqlm.counting.estimation.cutoffs import cutoffs_by_order
from seqlm.counting.estimation.prepare_counts import PreparedCounts, prepare_counts
from seqlm.counting.smoothing.interpolation_and_backoff import Histories
from seqlm.counting.smoothing.smoothing_methods import Method, method_of
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.counting.tables.array_passes import blocks, history_blocks
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import DataError, UsageError
from seqlm.memory import IN_MEMORY, Memory
from seqlm.models.config.ngram_config import NGramConfig
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.ngram_order import HIGHEST, RECORD
from seqlm.models.ngram.table import row_contexts
from seqlm.progress import Progress, silent
from seqlm.text.vocabulary import EOS
from seqlm.threads import parallel_map


def estimate(
    ids: np.ndarray,
    vocab_size: int,
    order: int = 5,
    smoothing: str = "modified-kneser-ney",
    context: str = "sentence",
    device: torch.device | str = "cpu",
    progress: Progress = silent,
    **parameters: Any,
) -> NGramModel:
    """An n-gram model of a stream of `ids` (N,) int32 that ends with `</s>`.

    `smoothing` names a method, and `parameters` are the other fields of `Smoothing`. `context` is
    "sentence" (every line starts afresh) or "carried" (lines are one stream). `progress` is
    called with each stage.

    Errors: UsageError on an unknown smoothing or context, or an invalid order; DataError on an
    empty text, or one whose counts the smoothing cannot use.
    """
    chosen = Smoothing(smoothing, **parameters)
    check_estimation(chosen, order, context)
    tables = count_ngrams(
        ids, vocab_size, order, context, counting_device(device), progress=progress
    )
    corrections = lmplz_corrections(ids, vocab_size, order) if context == "sentence" else []
    counts = prepare_counts(tables, chosen, corrections)
    return estimate_from_counts(counts, chosen, vocab_size, context, progress)


def check_estimation(smoothing: Smoothing, order: int, context: str) -> None:
    """Errors: UsageError on an unknown smoothing or context, or an invalid order."""
    method_of(smoothing)
    if context not in ("sentence", "carried"):
        raise UsageError(f"`context` is {context!r}; there are sentence and carried")
    if order < 1:
        raise UsageError(f"`order` is {order}; it must be at least 1")
    if not 0 <= smoothing.add_k <= 1e100:
        raise UsageError(f"`add_k` is {smoothing.add_k:g}; it must be from 0 to 1e100")
    cutoffs_by_order(smoothing.cutoffs, order)


def counting_device(device: torch.device | str) -> torch.device:
    """Where the counts of a model for `device` are: only CPU and CUDA have float64."""
    device = torch.device(device)
    return device if device.type == "cuda" else torch.device("cpu")


def estimate_from_counts(
    counts: PreparedCounts,
    smoothing: Smoothing,
    vocab_size: int,
    context: str = "sentence",
    progress: Progress = silent,
    memory: Memory = IN_MEMORY,
) -> NGramModel:
    """The model of `counts`, whose tables are emptied.

    Errors: DataError where discounts cannot be estimated.
    """
    rows = tuple(len(table.counts) for table in counts.tables)
    config = NGramConfig(vocab_size, len(rows), smoothing.method, context, rows)
    tensors = smooth_orders(counts, smoothing, vocab_size, context, progress, memory)
    return NGramModel(config, records_of(tensors, rows, memory))


def records_of(tensors: dict[str, Tensor], rows: Sequence[int], memory: Memory) -> list[np.ndarray]:
    """The records of orders 1 … n, from tensors by name, which are released on the way."""
    orders = []
    for k, size in enumerate(rows):
        kind = HIGHEST if k == len(rows) - 1 else RECORD
        storage = memory.zeros((size + 1) * (kind.itemsize // 4), torch.int32)
        records = storage.cpu().numpy().view(kind)  # (U + 1,)
        for field in kind.names or ():
            tensor = tensors.pop(f"orders.{k}.{'words' if field == 'word' else field}", None)
            if tensor is not None:
                records[field][: len(tensor)] = tensor.cpu().numpy()
                memory.release_pages()
        if k == 0:
            records["word"][:size] = np.arange(size)
        orders.append(records)
    return orders


def smooth_orders(
    counts: PreparedCounts,
    smoothing: Smoothing,
    vocab_size: int,
    context: str = "sentence",
    progress: Progress = silent,
    memory: Memory = IN_MEMORY,
) -> dict[str, Tensor]:
    """The model's tensors by name. The list of tables is emptied on the way. Errors: DataError."""
    method = method_of(smoothing)
    tables, order, device = counts.tables, len(counts.tables), counts.tables[0].counts.device
    check_line_length(counts, method, smoothing)
    constants = [
        torch.tensor(
            method.constants(n, k, smoothing, vocab_size), dtype=torch.float64, device=device
        )
        for k, n in enumerate(counts.counts_of_counts, 1)
    ]
    full_histories = _full_histories(tables, context) if smoothing.method == "add-k" else None

    tensors: dict[str, Tensor] = {}
    prob = torch.tensor([1 / vocab_size], device=device)  # of the one n-gram of order 0
    for k in range(1, order + 1):
        table, lower = tables.pop(0), prob
        is_full_history = full_histories[k - 1] if full_histories else None
        report = partial(progress, f"smoothing {k}-grams")
        prob, backoff = _smooth_order(
            table, lower, method, constants[k - 1], is_full_history, memory, report
        )
        if k > 1:
            tensors |= {
                f"orders.{k - 2}.log_prob": _log_in_place(lower, memory),
                f"orders.{k - 2}.backoff": _log_in_place(backoff, memory),
                f"orders.{k - 2}.first": table.first,
                f"orders.{k - 1}.words": table.words,
            }
    tensors[f"orders.{order - 1}.log_prob"] = _log_in_place(prob, memory)
    return tensors


def check_line_length(counts: PreparedCounts, method: Method, smoothing: Smoothing) -> None:
    """Errors: DataError if the highest orders have no n-grams from which to estimate discounts."""
    usable = sum(
        sum(n[1:]) > 0 or len(table.counts) > 0
        for table, n in zip(counts.tables, counts.counts_of_counts)
    )
    has_discounts = method.adjusts_counts and smoothing.discount_fallback is None
    if usable < len(counts.tables) and has_discounts:
        raise DataError(
            f"no line is long enough for a {usable + 1}-gram: "
            f"use `order={usable}`, `discount_fallback`, or `smoothing=witten-bell`"
        )


def _smooth_order(
    table: NGrams,
    lower: Tensor,
    method: Method,
    constants: Tensor,
    is_full_history: Tensor | None,
    memory: Memory,
    progress: Callable[[float], None],
) -> tuple[Tensor, Tensor]:
    """p (U,) of every n-gram of an order and β (H,) of every history, from p of the order below."""
    device = table.counts.device
    prob = memory.empty(len(table.counts), torch.float32).to(device)
    backoff = memory.empty(len(table.first) - 1, torch.float32).to(device)

    def smooth_block(part: tuple[slice, slice]) -> None:
        owners, grams = part
        bounds = table.first[owners.start : owners.stop + 1].long() - grams.start
        size = bounds.diff()
        h = Histories(
            counts=table.counts[grams],
            lower=lower.index_select(0, table.suffix[grams]).double(),
            first=bounds,
            history=row_contexts(bounds),
            total=torch.zeros(len(size), dtype=torch.float64, device=device),
            is_full_history=None if is_full_history is None else is_full_history[owners],
        )
        total = h.sum(h.counts)
        h = h._replace(
            total=total if table.pruned_count is None else total + table.pruned_count[owners]
        )
        prob[grams], block_backoff = method.combine(h, method.discount(h, constants))
        backoff[owners] = torch.where(size > 0, block_backoff, method.unseen_backoff).float()
        progress(grams.stop / max(1, len(table.counts)))
        memory.release_pages()

    backoff[:] = method.unseen_backoff  # histories without n-grams may be in no block
    parallel_map(smooth_block, history_blocks(table.first), device)
    return prob, backoff


def _log_in_place(values: Tensor, memory: Memory) -> Tensor:
    def log_block(part: slice) -> None:
        values[part].log_()
        memory.release_pages()

    parallel_map(log_block, blocks(values), values.device)
    return values


def _full_histories(tables: list[NGrams], context: str) -> list[Tensor]:
    """For each order (H,) bool: is a history n-1 words long, or back to the start of the line?"""
    starts_line = torch.zeros(1, dtype=torch.bool, device=tables[0].words.device)  # (H,)
    full_histories = []
    for k, table in enumerate(tables, 1):
        is_longest = k == len(tables)
        full_histories.append(torch.ones_like(starts_line) if is_longest else starts_line)
        starts_line = starts_line.repeat_interleave(table.first.diff())
        if k == 1 and context == "sentence":
            starts_line[EOS] = True
    return full_histories
