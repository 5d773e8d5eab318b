"""Entropy pruning (Stolcke, 1998): removes the n-grams whose removal changes the model least.

Without hw, p(w | h) comes from the shorter history, and the backoff weight of h grows from α to α':

    α   =  N / M,     N = 1 - Σ_v p(v | h),   M = 1 - Σ_v p(v | h'),    sums over the v listed for h
    α'  =  (N + p(w | h)) / (M + p(w | h'))

    D(p || p')  =  -p(h) { p(w | h) [ln p(w | h') + ln α' - ln p(w | h)]  +  N [ln α' - ln α] }

An n-gram is pruned if the perplexity grows by less than a share θ, exp(D) - 1 < θ, and no longer
n-gram that begins with it is kept. p(h) is the model's own; shorter Kneser-Ney distributions are
not meant to be probabilities of text, so that Kneser-Ney models lose more than others by this
(Chelba et al., 2010). Afterwards all backoff weights are computed again.

    U n-grams of an order · H histories, the n-grams of the order below
"""

from __future__ import annotations

from dataclasses import asdict, replace

import torch
from torch import Tensor

from seqlm.errors import UsageError
from seqlm.models.ngram.backing_off import (
    compute_backoffs,
    remainder,
    suffix_log_probs,
    suffix_rows,
)
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.table import row_contexts, segment_sum
from seqlm.progress import Progress, silent
from seqlm.threads import one_thread


def prune(
    model: NGramModel, threshold: float | None, ngrams: int | None, progress: Progress = silent
) -> NGramModel:
    """The model pruned by `threshold`, then to at most `ngrams` n-grams; None is no pruning.

    Errors: UsageError, see `prune_by_threshold` and `prune_to_size`.
    """
    if threshold is not None:
        progress("pruning")
        model = prune_by_threshold(model, threshold)
    if ngrams is not None:
        progress("pruning")
        model = prune_to_size(model, ngrams)
    return model


def prune_by_threshold(model: NGramModel, threshold: float) -> NGramModel:
    """A model without the n-grams that change its perplexity by less than a share `threshold`.

    Errors: UsageError on a threshold that is not positive.
    """
    if not threshold > 0:
        raise UsageError(f"`prune={threshold:g}`: the threshold is a positive number, such as 1e-8")
    return _keep(model, [growth >= threshold for growth in perplexity_growth(model)])


def prune_to_size(model: NGramModel, ngrams: int) -> NGramModel:
    """A model with the `ngrams` n-grams, of all orders, that change its perplexity most.

    It has fewer if some that change it equally would be too many. Errors: UsageError if the
    vocabulary alone is larger.
    """
    vocab_size = model.config.vocab_size
    if ngrams < vocab_size:
        raise UsageError(
            f"`prune_to={ngrams}`: it must be at least {vocab_size:,}, the number of unigrams"
        )
    if ngrams >= sum(model.config.rows):
        return model
    growths = perplexity_growth(model)
    ranked = torch.cat(growths).sort(descending=True).values
    bound = ranked[ngrams - vocab_size]  # the first that is one too many
    return _keep(model, [growth > bound for growth in growths])


@one_thread()
def perplexity_growth(model: NGramModel) -> list[Tensor]:
    """For orders 2 … n (U,) float64, the share exp(D) - 1 by which the perplexity grows without an
    n-gram. A context of longer n-grams gets at least the largest share of those.
    """
    history = model.order(1).log_prob.double()  # (H,) ln p(h)
    growths = []
    for k, suffixes in enumerate(suffix_rows(model), 2):
        first, log_p = model.order(k - 1).first.long(), model.order(k).log_prob.double()
        lower_log_p = suffix_log_probs(model, k, suffixes)  # (U,) ln p(w | h'), beside ln p(w | h)
        contexts = row_contexts(first)  # (U,)
        p, lower_p = log_p.exp(), lower_log_p.exp()
        n, m = remainder(p, first), remainder(lower_p, first)  # (H,)
        new_log_α = (n[contexts] + p).log() - (m[contexts] + lower_p).log()  # (U,)
        n_term = n[contexts] * (new_log_α - (n.log() - m.log())[contexts])
        n_term = n_term.nan_to_num()  # 0 where N is 0
        divergence = -history[contexts].exp() * (p * (lower_log_p + new_log_α - log_p) + n_term)
        growths.append(torch.expm1(divergence).nan_to_num(nan=0.0))  # 0 where p is 0
        history = history[contexts] + log_p
    for k in range(len(growths) - 1, 0, -1):
        contexts = row_contexts(model.order(k + 1).first.long())
        growths[k - 1].scatter_reduce_(0, contexts, growths[k], "amax")
    return growths


@one_thread()
def _keep(model: NGramModel, marks: list[Tensor]) -> NGramModel:
    """The model of the n-grams marked (U,) in orders 2 … n, whose contexts are marked too."""
    vocabulary = torch.ones(model.config.vocab_size, dtype=torch.bool, device=model.device)
    masks = [vocabulary, *marks]
    rows = tuple(int(mask.sum()) for mask in masks)
    tensors = {}
    for k, (mask, count) in enumerate(zip(masks, rows)):
        order = model.order(k + 1)
        tensors[f"orders.{k}.log_prob"] = order.log_prob[mask]
        if k > 0:
            tensors[f"orders.{k}.words"] = order.words[mask]
        if k < len(masks) - 1:
            first = torch.zeros(count + 1, dtype=torch.int32, device=model.device)
            first[1:] = segment_sum(masks[k + 1], order.first)[mask].cumsum(0)
            tensors[f"orders.{k}.first"] = first
            tensors[f"orders.{k}.backoff"] = torch.zeros(count, device=model.device)
    config = replace(model.config, rows=rows)
    pruned = NGramModel.from_tensors(asdict(config), tensors)
    compute_backoffs(pruned)
    return pruned
