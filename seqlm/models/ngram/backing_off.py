"""What a model of given n-grams backs off to, and the weights with which its histories sum to 1.

    β(h) = N / M,    N = 1 - Σ_v p(v | h),  M = 1 - Σ_v p(v | h'),    sums over the v listed for h

The words that h does not list share N, the probability that is left, in proportion to what h' gives
them: M in all. An n-gram hw backs off to its *suffix* h'w, which most models list too. Its row is
found from that of the suffix of the context:

    row(h'w)  is the row of w among the continuations of row(h'),      h' the suffix of h

    U n-grams of an order k · H histories, the n-grams of the order below · Q some of the n-grams
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seqlm.models.ngram.masks import indices
from seqlm.models.ngram.ngram_model import NGramModel, NGramState
from seqlm.models.ngram.scrambling import unscramble_ids
from seqlm.models.ngram.table import (
    UNSEEN,
    NGramTable,
    context_blocks,
    row_contexts,
    segment_sum,
    words_of_rows,
)
from seqlm.threads import parallel_map, prefetch_map

BLOCK = 1 << 16
"""N-grams looked up at a time."""


def compute_backoffs(model: NGramModel) -> None:
    """Sets all backoff weights of `model`, from its probabilities."""
    # Longer n-grams need the weights of shorter ones.
    for k, suffixes in enumerate(suffix_rows(model), 2):
        below, above = model.order(k - 1), model.order(k)
        first = below.first.long()
        n = remainder(above.log_prob.double().exp(), first)
        m = remainder(suffix_log_probs(model, k, suffixes).exp(), first)
        below.backoff.copy_(torch.where(first.diff() > 0, (n / m).log(), 0.0))


def remainder(p: Tensor, first: Tensor) -> Tensor:
    """(H,) what the probabilities `p` (U,) of each history leave of 1, at least a little."""
    return (1 - segment_sum(p, first, torch.float64)).clamp(min=1e-7)


def fill_in_probabilities(model: NGramModel, k: int, suffixes: Tensor) -> None:
    """p(w | h) = β(h) p(w | h') for the n-grams of order k ≥ 2 that have no probability: NaN.

    `suffixes` (U,) are those of `suffix_rows`.
    """
    log_prob, backoff = model.order(k).log_prob, model.order(k - 1).backoff
    table = model.tables(k)[-1]

    def fill_in(rows: Tensor) -> None:
        log_prob[rows] = backoff[table.contexts(rows)] + lower_log_probs(model, k, rows, suffixes)

    for _ in prefetch_map(fill_in, indices(log_prob.isnan()).split(BLOCK)):
        pass


# ---------------------------------------------------------------------------------------- suffixes


def suffix_rows(model: NGramModel) -> Iterator[Tensor]:
    """For orders 2 … n (U,) int32, the row in the order below of the suffix of every n-gram, or
    UNSEEN."""
    size, tables = model.config.vocab_size, model.tables()
    for k, table in enumerate(tables, 2):
        if k == 2:
            suffixes = unscramble_ids(table.words, size).int()  # rows of order 1 are ids
        else:
            suffixes = longer_suffixes(tables[k - 3], table, suffixes, size)
        yield suffixes


def longer_suffixes(
    below: NGramTable, table: NGramTable, suffixes: Tensor, vocab_size: int
) -> Tensor:
    """(U,) the suffixes in `table`, from those of the order `below` (H,)."""
    rows = torch.empty_like(table.words)

    def find(block: tuple[slice, slice]) -> None:
        owners, part = block
        first = table.first[owners.start : owners.stop + 1]
        contexts = suffixes[owners].index_select(0, row_contexts(first))
        rows[part] = below.find(contexts, table.words[part], vocab_size)

    parallel_map(find, context_blocks(table.first, BLOCK), rows.device)
    return rows


def suffix_log_probs(model: NGramModel, k: int, suffixes: Tensor) -> Tensor:
    """(U,) float64 ln p(w | h') of every n-gram hw of order k ≥ 2."""
    log_probs = torch.empty(len(suffixes), dtype=torch.float64, device=model.device)

    def look_up(rows: Tensor) -> None:
        log_probs[rows] = lower_log_probs(model, k, rows, suffixes).double()

    all_rows = torch.arange(len(suffixes), device=model.device)
    for _ in prefetch_map(look_up, all_rows.split(BLOCK)):
        pass
    return log_probs


def lower_log_probs(model: NGramModel, k: int, rows: Tensor, suffixes: Tensor) -> Tensor:
    """(Q,) ln p(w | h') of n-grams of order k ≥ 2 by their rows: that of the suffix, or of what it
    backs off to in turn."""
    suffix = suffixes.index_select(0, rows)
    log_probs = model.order(k - 1).log_prob.index_select(0, suffix.clamp(min=0))
    unlisted = indices(suffix < 0)
    if len(unlisted):
        _, *words = words_of_rows(model.tables(k), rows[unlisted])
        ids = unscramble_ids(torch.stack(words, 1), model.config.vocab_size)  # (Q, k-1), of h'w
        no_history = torch.full((len(ids), model.config.order - 1), UNSEEN, dtype=torch.int32)
        scores, _ = model.score(NGramState(no_history.to(model.device)), ids)
        log_probs[unlisted] = scores[:, -1]
    return log_probs
