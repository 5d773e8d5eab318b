"""Estimation: from a stream of ids, or its counts, to an n-gram model.

    order k = 1 … n:    p_k, β_{k-1}  =  method(counts of order k, p_{k-1}),    p_0 = 1/V

A word is only ever smoothed with the others of its history, so that an order is done in blocks of
whole histories. As soon as the backoffs of an order are known its records are made, and what no
later order needs is released.

    U n-grams of this order · H histories, the n-grams of the order below · V vocabulary
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from seqlm.counting.estimation.counts_of_counts import lmplz_corrections
from seqlm.counting.estimation.cutoffs import cutoffs_by_order
from seqlm.counting.estimation.prepare_counts import PreparedCounts, prepare_counts
from seqlm.counting.estimation.smooth_order import smooth_order
from seqlm.counting.smoothing.smoothing_methods import Method, method_of
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.counting.tables.array_passes import blocks
from seqlm.counting.tables.in_memory import count_ngrams
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import DataError, UsageError
from seqlm.machine.memory import IN_MEMORY, Memory
from seqlm.machine.threads import parallel_map
from seqlm.models.config.ngram_config import NGramConfig
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.ngram_order import HIGHEST, RECORD
from seqlm.progress import Progress, silent
from seqlm.text.vocabulary import EOS


def estimate(
    ids: np.ndarray,
    vocab_size: int,
    order: int = 5,
    smoothing: str = "modified-kneser-ney",
    context: str = "sentence",
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
    tables = count_ngrams(ids, vocab_size, order, context, progress=progress)
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
    return NGramModel(
        config, smooth_orders(counts, smoothing, vocab_size, context, progress, memory)
    )


def smooth_orders(
    counts: PreparedCounts,
    smoothing: Smoothing,
    vocab_size: int,
    context: str = "sentence",
    progress: Progress = silent,
    memory: Memory = IN_MEMORY,
) -> list[np.ndarray]:
    """The records of orders 1 … n. The list of tables is emptied on the way. Errors: DataError."""
    method = method_of(smoothing)
    tables, order = counts.tables, len(counts.tables)
    check_line_length(counts, method, smoothing)
    constants = [
        np.array(method.constants(n, k, smoothing, vocab_size), np.float64)
        for k, n in enumerate(counts.counts_of_counts, 1)
    ]
    full_histories = _full_histories(tables, context) if smoothing.method == "add-k" else None

    records: list[np.ndarray] = []
    prob = np.array([1 / vocab_size], np.float32)  # of the one n-gram of order 0
    words = np.empty(0, np.int32)  # (H,) of the order below
    for k in range(1, order + 1):
        table, lower = tables.pop(0), prob
        is_full_history = full_histories[k - 1] if full_histories else None
        report = partial(progress, f"smoothing {k}-grams")
        prob, backoff = smooth_order(
            table, lower, method, constants[k - 1], is_full_history, memory, report
        )
        if k > 1:
            records.append(make_records(memory, words, lower, backoff, table.first))
        words = table.words
        del table, lower, backoff
    records.append(make_records(memory, words, prob))
    return records


def make_records(
    memory: Memory,
    words: np.ndarray,
    prob: np.ndarray,
    backoff: np.ndarray | None = None,
    first: np.ndarray | None = None,
) -> np.ndarray:
    """(U + 1,) the records of an order from its columns (U,), and `first` (U + 1,); the highest
    order has two of them. `prob` and `backoff` become logarithms on the way."""
    kind = HIGHEST if first is None else RECORD
    records = memory.empty((len(words) + 1) * kind.itemsize // 4, np.int32).view(kind)
    records[-1:] = np.zeros(1, kind)

    def fill_in(part: slice) -> None:
        records["word"][part] = words[part]
        records["log_prob"][part] = log_in_place(prob[part])
        if first is not None and backoff is not None:
            records["first"][part] = first[part]
            records["backoff"][part] = log_in_place(backoff[part])
        memory.release_pages()

    parallel_map(fill_in, blocks(words))
    if first is not None:
        records["first"][-1] = first[-1]
    return records


def log_in_place(values: np.ndarray) -> np.ndarray:
    """The natural logarithms of `values`, which they overwrite; that of 0 is -inf."""
    with np.errstate(divide="ignore"):
        logarithms: np.ndarray = np.log(values, out=values)
    return logarithms


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


def _full_histories(tables: list[NGrams], context: str) -> list[np.ndarray]:
    """For each order (H,) bool: is a history n-1 words long, or back to the start of the line?"""
    starts_line = np.zeros(1, np.bool_)  # (H,)
    full_histories = []
    for k, table in enumerate(tables, 1):
        is_longest = k == len(tables)
        full_histories.append(np.ones_like(starts_line) if is_longest else starts_line)
        starts_line = starts_line.repeat(np.diff(table.first))
        if k == 1 and context == "sentence":
            starts_line[EOS] = True
    return full_histories
