"""How often the tokens of a held-out text followed their histories in the training text.

The parameters of a smoothing method that are tuned on held-out text depend on these counts alone,
so that they are looked up once.

    N held-out tokens · n order · c_k(i) count of token i after its history of k-1 words
    C_k(i) count of that history, 0 if it was not seen · H histories of an order
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.counting.tables.ngrams import NGrams
from seqlm.models.ngram.table import match_ngrams, segment_sum, start_rows
from seqlm.text.vocabulary import EOS
from seqlm.threads import one_thread


class HeldOutCounts(NamedTuple):
    counts: Tensor  # (n, N) float64, c
    totals: Tensor  # (n, N) float64, C
    length: Tensor  # (N,) int64, words in the full history: n-1, or back to the start of the line


@one_thread()
def look_up_counts(
    tables: list[NGrams], vocab_size: int, context: str, ids: np.ndarray
) -> HeldOutCounts:
    """The counts of held-out `ids` (N,), a separate text, in `tables` of occurrences."""
    order, size = len(tables), len(ids)
    device, above = tables[0].words.device, [counts.table for counts in tables[1:]]
    counts = torch.zeros((order, size), dtype=torch.float64)
    totals = torch.zeros((order, size), dtype=torch.float64)
    tokens = torch.from_numpy(ids.astype(np.int64)).to(device)
    counts[0] = tables[0].counts[tokens].cpu()
    totals[0] = tables[0].counts.sum().cpu()
    history_totals = [segment_sum(table.counts, table.first) for table in tables]  # (H,) each, C
    state, done = start_rows(1, order, device), 0
    for part in tokens.split(1 << 16):
        matches, state = match_ngrams(above, state, part[None], vocab_size, context == "sentence")
        block = slice(done, done + len(part))
        for k, (context_row, row) in enumerate(matches, 1):
            if len(tables[k].counts) == 0:  # no line is that long
                break
            count = tables[k].counts[row[0].clamp(min=0)]
            counts[k, block] = torch.where(row[0] >= 0, count, 0).double().cpu()
            total = history_totals[k][context_row[0].clamp(min=0)]
            totals[k, block] = torch.where(context_row[0] >= 0, total, 0).double().cpu()
        done += len(part)
    position = torch.arange(size)
    starts_line = torch.from_numpy(np.concatenate([[EOS], ids[:-1]])) == EOS
    in_line = position - torch.where(starts_line, position, 0).cummax(0).values
    length = in_line + 1 if context == "sentence" else position + 1
    return HeldOutCounts(counts, totals, length.clamp(max=order - 1))
