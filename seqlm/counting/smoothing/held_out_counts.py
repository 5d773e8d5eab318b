"""How often the tokens of a held-out text followed their histories in the training text.

The parameters of a smoothing method that are tuned on held-out text depend on these counts alone,
so that they are looked up once.

    N held-out tokens · n order · c_k(i) count of token i after its history of k-1 words
    C_k(i) count of that history, 0 if it was not seen · H histories of an order
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seqlm.counting.tables.ngrams import NGrams, orders_of
from seqlm.models.ngram.ngram_order import segment_sum
from seqlm.models.ngram.walk import match_ngrams, start_rows
from seqlm.text.vocabulary import EOS, split_into_chunks


class HeldOutCounts(NamedTuple):
    counts: np.ndarray  # (n, N) float64, c
    totals: np.ndarray  # (n, N) float64, C
    length: (
        np.ndarray
    )  # (N,) int64, words in the full history: n-1, or back to the start of the line


def look_up_counts(
    tables: list[NGrams], vocab_size: int, context: str, ids: np.ndarray
) -> HeldOutCounts:
    """The counts of held-out `ids` (N,), a separate text, in `tables` of occurrences."""
    order, size, orders = len(tables), len(ids), orders_of(tables)
    counts, totals = np.zeros((order, size)), np.zeros((order, size))
    counts[0], totals[0] = tables[0].counts[ids], tables[0].counts.sum()
    history_totals = [segment_sum(table.counts, table.first) for table in tables]  # (H,) each, C
    rows, done = start_rows(1, order), 0
    for part in split_into_chunks(ids):
        matches, rows = match_ngrams(orders, rows, part[None], context == "sentence")
        block = slice(done, done + len(part))
        for k, match in enumerate(matches, 1):
            if len(tables[k].counts) == 0:  # no line is that long
                break
            row, context_row = match.rows[0], match.contexts[0]
            count, total = tables[k].counts[row.clip(0)], history_totals[k][context_row.clip(0)]
            counts[k, block] = np.where(row >= 0, count, 0)
            totals[k, block] = np.where(context_row >= 0, total, 0)
        done += len(part)
    position = np.arange(size)
    starts_line = np.append(EOS, ids[:-1]) == EOS
    in_line = position - np.maximum.accumulate(np.where(starts_line, position, 0))
    length = in_line + 1 if context == "sentence" else position + 1
    return HeldOutCounts(counts, totals, np.minimum(length, order - 1))
