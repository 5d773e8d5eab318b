"""What a model of given n-grams backs off to, and the weights with which its histories sum to 1.

    β(h) = N / M,    N = 1 - Σ_v p(v | h),  M = 1 - Σ_v p(v | h'),    sums over the v listed for h

The words that h does not list share N, the probability that is left, in proportion to what h' gives
them: M in all.

    U n-grams of an order k · H histories, the n-grams of the order below
    B n-grams of a block · Q n-grams without a probability
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from seqlm.models.ngram.ngram_model import NGramModel, NGramState
from seqlm.models.ngram.scrambling import unscramble_ids
from seqlm.models.ngram.table import UNSEEN, segment_sum, words_of_range, words_of_rows
from seqlm.threads import prefetch_map

BLOCK = 1 << 14
"""N-grams looked up at a time."""


def compute_backoffs(model: NGramModel) -> None:
    """Sets all backoff weights of `model`, from its probabilities."""
    for k in range(2, model.config.order + 1):  # longer n-grams need the weights of shorter ones
        below, above = model.order(k - 1), model.order(k)
        first = below.first.long()
        n = remainder(above.log_prob.double().exp(), first)
        m = remainder(suffix_log_probs(model, k).exp(), first)
        below.backoff.copy_(torch.where(first.diff() > 0, (n / m).log(), 0.0))


def remainder(p: Tensor, first: Tensor) -> Tensor:
    """(H,) what the probabilities `p` (U,) of each history leave of 1, at least a little."""
    return (1 - segment_sum(p, first, torch.float64)).clamp(min=1e-7)


def suffix_log_probs(model: NGramModel, k: int) -> Tensor:
    """(U,) float64 ln p(w | h') of every n-gram hw of order k ≥ 2."""
    log_probs = torch.empty(model.config.rows[k - 1], dtype=torch.float64, device=model.device)

    def look_up(block: tuple[slice, Tensor]) -> None:
        part, ids = block
        log_probs[part] = last_log_probs(model, ids[:, 1:]).double()

    for _ in prefetch_map(look_up, ngram_blocks(model, k)):
        pass
    return log_probs


def last_log_probs(model: NGramModel, ids: Tensor) -> Tensor:
    """(B,) ln p of the last of `ids` (B, k) after the others, and nothing else."""
    no_history = torch.full((len(ids), model.config.order - 1), UNSEEN, dtype=torch.int32)
    scores, _ = model.score(NGramState(no_history.to(model.device)), ids)
    return scores[:, -1]


def fill_in_probabilities(model: NGramModel, k: int) -> None:
    """p(w | h) = β(h) p(w | h') for the n-grams of order k ≥ 2 that have no probability: NaN."""
    log_prob, tables = model.order(k).log_prob, model.tables(k)
    backoff = model.order(k - 1).backoff

    def fill_in(rows: Tensor) -> None:
        _, *words = words_of_rows(tables, rows)
        ids = unscramble_ids(torch.stack(words, 1), model.config.vocab_size)  # (B, k-1), of h'w
        log_prob[rows] = backoff[tables[-1].contexts(rows)] + last_log_probs(model, ids)

    missing = log_prob.isnan().nonzero()[:, 0]  # (Q,)
    for _ in prefetch_map(fill_in, missing.split(BLOCK)):
        pass


def ngram_blocks(model: NGramModel, k: int) -> Iterator[tuple[slice, Tensor]]:
    """The n-grams of order k ≥ 2 in blocks: the rows, and their ids (B, k) int64."""
    tables, rows = [table.cpu() for table in model.tables(k)], model.config.rows[k - 1]
    for start in range(0, rows, BLOCK):
        stop = min(start + BLOCK, rows)
        ids = (
            torch.from_numpy(np.stack(words_of_range(tables, start, stop), 1))
            .to(model.device)
            .long()
        )
        ids[:, 1:] = unscramble_ids(ids[:, 1:], model.config.vocab_size)
        yield slice(start, stop), ids
