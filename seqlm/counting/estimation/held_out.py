"""What a smoothing learns from held-out text: the k of add-k, the weights of Jelinek-Mercer.

Both see only how often each held-out token, and anything at all, followed each of its histories in
the training text. These counts are looked up once.

    N held-out tokens · n order · c_k(i) count of token i after its history of k-1 words
    C_k(i) count of that history, 0 where it was not seen · f_k = c_k / C_k · V vocabulary
"""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlm.counting.estimation.smoothing import Smoothing, chosen
from seqlm.counting.tables.arrays import sums
from seqlm.counting.tables.in_memory import NGrams
from seqlm.models.config.ngram_config import NGramConfig
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.text.vocabulary import EOS
from seqlm.threads import one_thread

BUCKETS = 32  # of histories, by ⌊log2 C⌋


def tuned(
    how: Smoothing, tables: list[NGrams], vocab_size: int, context: str, ids: np.ndarray
) -> Smoothing:
    """`how` with what makes held-out `ids` (N,), a text of its own, likeliest.

    `tables` are of occurrences, `how` a method that is `tuned`.
    """
    assert chosen(how).tuned
    held_out = look_up(tables, vocab_size, context, ids)
    if how.method == "add-k":
        return replace(how, add_k=best_k(held_out, vocab_size))
    return replace(how, weights=mixing_weights(held_out, vocab_size))


class HeldOut(NamedTuple):
    counts: Tensor  # (n, N) float64, c
    totals: Tensor  # (n, N) float64, C
    length: Tensor  # (N,) int64, words in the whole history: n-1, or back to the start of the line


@one_thread()
def look_up(tables: list[NGrams], vocab_size: int, context: str, ids: np.ndarray) -> HeldOut:
    """The counts behind held-out `ids` (N,), a text of its own, in `tables` of occurrences."""
    order, size = len(tables), len(ids)
    walker = _walker(tables, vocab_size, context)
    counts = torch.zeros((order, size), dtype=torch.float64)
    totals = torch.zeros((order, size), dtype=torch.float64)
    tokens = torch.from_numpy(ids.astype(np.int64)).to(walker.device)
    counts[0] = tables[0].counts[tokens].cpu()
    totals[0] = tables[0].counts.sum().cpu()
    sizes = [sums(table.counts, table.first) for table in tables]  # (H,) each, C
    state, done = walker.start(1), 0
    for part in tokens.split(1 << 16):
        levels, state = walker.walk(state, part[None])
        block = slice(done, done + len(part))
        for k, (context_row, row) in enumerate(levels, 1):
            if len(tables[k].counts) == 0:  # no line is that long
                break
            found = tables[k].counts[row[0].clamp(min=0)]
            counts[k, block] = torch.where(row[0] >= 0, found, 0).double().cpu()
            found = sizes[k][context_row[0].clamp(min=0)]
            totals[k, block] = torch.where(context_row[0] >= 0, found, 0).double().cpu()
        done += len(part)
    place = torch.arange(size)
    starts = torch.from_numpy(np.concatenate([[EOS], ids[:-1]])) == EOS
    since = place - torch.where(starts, place, 0).cummax(0).values  # words since the line began
    length = since + 1 if context == "sentence" else place + 1
    return HeldOut(counts, totals, length.clamp(max=order - 1))


def best_k(held_out: HeldOut, vocab_size: int) -> float:
    """The k of add-k under which held-out text is likeliest, to a thousandth of itself.

    p(i) = (c + k) / (C + kV) after the whole history; a finer and finer grid of log k.
    """
    level = held_out.length[None]
    c, total = held_out.counts.gather(0, level)[0], held_out.totals.gather(0, level)[0]  # (N,)
    low, high = 1e-9, 1e3
    while high > 1.001 * low:
        grid = torch.logspace(np.log10(low), np.log10(high), 25, dtype=torch.float64).tolist()
        fit = [float(((c + k) / (total + k * vocab_size)).log().sum()) for k in grid]
        best = int(np.argmax(fit))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float((low * high) ** 0.5)


def mixing_weights(held_out: HeldOut, vocab_size: int) -> tuple[tuple[float, ...], ...]:
    """λ of Jelinek-Mercer smoothing by EM (Jelinek & Mercer, 1980; Dempster et al., 1977).

        p_k(i) = λ_k f_k(i) + (1 - λ_k) p_{k-1}(i),    p_0 = 1/V,    λ_k by ⌊log2 C_k(i)⌋

    A token comes from order k with probability reach_k λ_k f_k / p_n, if all orders above have
    passed it on: reach_k = Π_{j>k} (1 - λ_j). λ is the share of what reaches an order that stays.
    An order each, by bucket; a bucket that held-out text does not know has the weight of
    the one below it.
    """
    order, size = held_out.counts.shape
    known = held_out.totals > 0  # (n, N)
    f = held_out.counts / held_out.totals.clamp(min=1)
    bucket = held_out.totals.clamp(min=1).log2().long().clamp(max=BUCKETS - 1)
    weights = torch.full((order, BUCKETS), 0.5, dtype=torch.float64)
    before = -torch.inf
    for _ in range(1000):
        λ = torch.where(known, weights.gather(1, bucket), 0.0)  # (n, N)
        p = [torch.full((size,), 1 / vocab_size, dtype=torch.float64)]
        for k in range(order):
            p.append(λ[k] * f[k] + (1 - λ[k]) * p[-1])
        likelihood = float(p[-1].log().mean())
        if likelihood - before < 1e-9:
            break
        before = likelihood
        reach = 1 / p[-1]
        for k in reversed(range(order)):
            share = torch.where(known[k], reach, 0.0)
            stays = torch.zeros(BUCKETS, dtype=torch.float64)
            stays.index_add_(0, bucket[k], share * λ[k] * f[k])
            comes = torch.zeros_like(stays).index_add_(0, bucket[k], share * p[k + 1])
            weights[k] = torch.where(comes > 0, stays / comes, torch.nan).clamp(max=1 - 1e-6)
            reach = reach * (1 - λ[k])
        weights = _filled(weights)
    return tuple(map(tuple, weights.tolist()))


def _filled(weights: Tensor) -> Tensor:
    """NaN becomes the last weight before it, or the first there is."""
    rows = []
    for row in weights:
        there = row.isfinite()
        last = torch.where(there, torch.arange(BUCKETS), -1).cummax(0).values
        first = int(there.int().argmax())
        rows.append(row[last.clamp(min=first)])
    return torch.stack(rows).nan_to_num(0.5)  # an order no held-out history reaches


def _walker(tables: list[NGrams], vocab_size: int, context: str) -> NGramModel:
    """A model of the same tables, to find rows with; it has no probabilities."""
    rows = tuple(len(table.counts) for table in tables)
    config = NGramConfig(vocab_size, len(tables), "counts", context, rows)
    nothing = torch.zeros(1, device=tables[0].words.device)
    tensors = {f"orders.{k}.log_prob": nothing.expand(n) for k, n in enumerate(rows)}
    for k, (below, above) in enumerate(pairwise(tables)):
        tensors |= {
            f"orders.{k}.backoff": nothing.expand(len(below.counts)),
            f"orders.{k}.first": above.first,
            f"orders.{k + 1}.words": above.words,
        }
    return NGramModel.from_tensors(asdict(config), tensors)
