"""Entropy pruning (Stolcke, 1998): n-grams go whose loss changes the model least.

Without hw, p(w | h) is told by the shorter history, and the backoff weight of h grows from α to α':

    α   =  N / M,     N = 1 - Σ_v p(v | h),   M = 1 - Σ_v p(v | h'),    sums over the v listed for h
    α'  =  (N + p(w | h)) / (M + p(w | h'))

    D(p || p')  =  -p(h) { p(w | h) [ln p(w | h') + ln α' - ln p(w | h)]  +  N [ln α' - ln α] }

An n-gram is pruned if the perplexity grows by less than a share θ, exp(D) - 1 < θ, and nothing that
goes on from it is kept. p(h) is what the model itself says; shorter Kneser-Ney distributions do not
mean to be probabilities of text, so that Kneser-Ney models lose more than others by this (Chelba et
al., 2010). Afterwards all weights are found anew.

    U n-grams of an order · H histories, the n-grams of the order below
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

import torch
from torch import Tensor

from seqlm.errors import UsageError
from seqlm.models.ngram.ngram_model import NGramModel, NGramState, unscramble_ids
from seqlm.progress import Progress, silent
from seqlm.threads import one_thread

BLOCK = 1 << 14  # n-grams looked up at a time


def pruned(
    model: NGramModel, threshold: float | None, ngrams: int | None, progress: Progress = silent
) -> NGramModel:
    """By `threshold`, and then to so many `ngrams`, each where it is given. Errors: UsageError."""
    if threshold is not None:
        progress("pruning")
        model = prune(model, threshold)
    if ngrams is not None:
        progress("pruning")
        model = prune_to(model, ngrams)
    return model


def prune(model: NGramModel, threshold: float) -> NGramModel:
    """A model without the n-grams that change its perplexity by less than a share `threshold`.

    Errors: UsageError on a threshold that is not positive.
    """
    if not threshold > 0:
        raise UsageError(f"--prune {threshold:g}: the threshold is a positive number, such as 1e-8")
    return _without(model, [worth >= threshold for worth in worths(model)])


def prune_to(model: NGramModel, ngrams: int) -> NGramModel:
    """A model with the `ngrams` n-grams (of all orders) that are worth most, or just fewer.

    Errors: UsageError where not even the vocabulary fits.
    """
    vocabulary = model.config.vocab_size
    if ngrams < vocabulary:
        raise UsageError(f"--prune-to {ngrams}: the {vocabulary:,} single words alone are more")
    if ngrams >= sum(model.config.rows):
        return model
    found = worths(model)
    ranked = torch.cat(found).sort(descending=True).values
    bound = ranked[ngrams - vocabulary]  # the first that is one too many
    return _without(model, [worth > bound for worth in found])


@one_thread()
def worths(model: NGramModel) -> list[Tensor]:
    """Orders 2 … n, (U,) float64: the growth of perplexity exp(D) - 1 if an n-gram goes, and if it
    is the context of longer ones, the most that one of them is worth."""
    history = model.order(1).log_prob.double()  # (H,) ln p(h)
    found = []
    for k in range(2, model.config.order + 1):
        first, prob = model.order(k - 1).first.long(), model.order(k).log_prob.double()  # ln p(w|h)
        lower = suffix_log_probs(model, k)  # (U,) ln p(w | h')
        owner = _owners(first)
        p, p_lower = prob.exp(), lower.exp()
        n, m = _rest(p, first), _rest(p_lower, first)  # (H,)
        grown = (n[owner] + p).log() - (m[owner] + p_lower).log()  # ln α'
        change = (n[owner] * (grown - (n.log() - m.log())[owner])).nan_to_num()  # 0 where N is
        loss = -history[owner].exp() * (p * (lower + grown - prob) + change)
        found.append(torch.expm1(loss).nan_to_num(nan=0.0))  # of what has probability 0
        history = history[owner] + prob
    for k in range(len(found) - 1, 0, -1):
        owner = _owners(model.order(k + 1).first.long())
        found[k - 1].scatter_reduce_(0, owner, found[k], "amax")
    return found


def suffix_log_probs(model: NGramModel, k: int) -> Tensor:
    """(U,) float64 ln p(w | h') of every n-gram hw of order k ≥ 2."""
    found = torch.empty(model.config.rows[k - 1], dtype=torch.float64, device=model.device)
    for part, ids in spelled(model, k):
        nothing = torch.full((len(ids), model.config.order - 1), -1, dtype=torch.int32)
        state = NGramState(nothing.to(model.device))
        found[part] = model.score(state, ids[:, 1:])[0][:, -1].double()
    return found


def spelled(model: NGramModel, k: int) -> Iterator[tuple[slice, Tensor]]:
    """The n-grams of order k in blocks: the rows, and their words (B, k) int64."""
    rows, size = model.config.rows[k - 1], model.config.vocab_size
    for start in range(0, rows, BLOCK):
        row = torch.arange(start, min(start + BLOCK, rows), device=model.device)
        words = []
        for j in range(k, 1, -1):
            words.append(unscramble_ids(model.order(j).words[row], size))
            first = model.order(j - 1).first
            row = torch.searchsorted(first, row.to(first.dtype), right=True) - 1
        yield slice(start, start + len(words[0])), torch.stack([row, *reversed(words)], 1)


def _owners(first: Tensor) -> Tensor:
    """(U,) the history of each n-gram."""
    return torch.arange(len(first) - 1, device=first.device).repeat_interleave(first.diff())


def _rest(p: Tensor, first: Tensor) -> Tensor:
    """(H,) what the probabilities p (U,) of each history leave of 1, at least a little."""
    sums = torch.zeros(len(p) + 1, dtype=torch.float64, device=p.device)
    torch.cumsum(p, 0, out=sums[1:])
    return (1 - sums[first].diff()).clamp(min=1e-7)


@one_thread()
def _without(model: NGramModel, worthy: list[Tensor]) -> NGramModel:
    """The model of the n-grams marked (U,), orders 2 … n, whose contexts are marked too."""
    everything = torch.ones(model.config.vocab_size, dtype=torch.bool, device=model.device)
    kept = [everything, *worthy]
    rows = tuple(int(marks.sum()) for marks in kept)
    tensors = {}
    for k, (marks, count) in enumerate(zip(kept, rows)):
        table = model.order(k + 1)
        tensors[f"orders.{k}.log_prob"] = table.log_prob[marks]
        if k > 0:
            tensors[f"orders.{k}.words"] = table.words[marks]
        if k < len(kept) - 1:
            first = torch.zeros(count + 1, dtype=torch.int32, device=model.device)
            upto = torch.zeros(len(kept[k + 1]) + 1, dtype=torch.int32, device=model.device)
            upto[1:] = kept[k + 1].cumsum(0)
            first[1:] = upto[table.first.long()].diff()[marks].cumsum(0)
            tensors[f"orders.{k}.first"] = first
            tensors[f"orders.{k}.backoff"] = torch.zeros(count, device=model.device)
    config = replace(model.config, rows=rows)
    pruned = NGramModel.from_tensors(asdict(config), tensors)
    for k in range(2, config.order + 1):  # the shorter are right before the longer need them
        below, above = pruned.order(k - 1), pruned.order(k)
        first = below.first.long()
        n = _rest(above.log_prob.double().exp(), first)
        m = _rest(suffix_log_probs(pruned, k).exp(), first)
        below.backoff.copy_(torch.where(first.diff() > 0, (n / m).log(), 0.0))
    return pruned
