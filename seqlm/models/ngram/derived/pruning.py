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

import numpy as np

from seqlm.errors import UsageError
from seqlm.models.ngram.derived.backing_off import (
    compute_backoffs,
    remainder,
    suffix_log_probs,
    suffix_rows,
)
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.ngram_order import make_records, row_contexts, segment_sum
from seqlm.progress import Progress, silent


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
    ranked = -np.sort(-np.concatenate(growths))
    bound = ranked[ngrams - vocab_size]  # the first that is one too many
    return _keep(model, [growth > bound for growth in growths])


def perplexity_growth(model: NGramModel) -> list[np.ndarray]:
    """For orders 2 … n (U,) float64, the share exp(D) - 1 by which the perplexity grows without an
    n-gram. A context of longer n-grams gets at least the largest share of those.
    """
    history = model.order(1).log_prob.astype(np.float64)  # (H,) ln p(h)
    growths = []
    with np.errstate(divide="ignore", invalid="ignore"):  # p may be 0, and all that is left too
        for k, suffixes in enumerate(suffix_rows(model), 2):
            first = model.order(k - 1).first.astype(np.int64)
            log_p = model.order(k).log_prob.astype(np.float64)  # (U,) ln p(w | h)
            lower_log_p = suffix_log_probs(model, k, suffixes)  # (U,) ln p(w | h')
            contexts = row_contexts(first)  # (U,)
            p, lower_p = np.exp(log_p), np.exp(lower_log_p)
            n, m = remainder(p, first), remainder(lower_p, first)  # (H,)
            new_log_α = np.log(n[contexts] + p) - np.log(m[contexts] + lower_p)  # (U,)
            n_term = n[contexts] * (new_log_α - (np.log(n) - np.log(m))[contexts])
            n_term = np.nan_to_num(n_term)  # 0 where N is 0
            p_term = p * (lower_log_p + new_log_α - log_p)
            divergence = -np.exp(history[contexts]) * (p_term + n_term)
            growths.append(np.nan_to_num(np.expm1(divergence), nan=0.0))  # 0 where p is 0
            history = history[contexts] + log_p
    for k in range(len(growths) - 1, 0, -1):
        contexts = row_contexts(model.order(k + 1).first.astype(np.int64))
        np.maximum.at(growths[k - 1], contexts, growths[k])
    return growths


def _keep(model: NGramModel, marks: list[np.ndarray]) -> NGramModel:
    """The model of the n-grams marked (U,) in orders 2 … n, whose contexts are marked too."""
    masks = [np.ones(model.config.vocab_size, bool), *marks]
    orders = []
    for k, mask in enumerate(masks, 1):
        order = model.order(k)
        words, log_prob = order.words[mask], order.log_prob[mask]
        if k == len(masks):
            orders.append(make_records(words, log_prob))
            break
        kept = segment_sum(masks[k], order.first)[mask]  # continuations of each that is kept
        first = np.concatenate([[0], kept.cumsum()])
        orders.append(make_records(words, log_prob, np.zeros(len(words)), first))
    config = model.config.with_rows(tuple(len(records) - 1 for records in orders))
    pruned = NGramModel(config, orders)
    compute_backoffs(pruned)
    return pruned
