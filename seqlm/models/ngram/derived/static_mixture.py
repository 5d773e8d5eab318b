"""Several n-gram models as one: static interpolation (Stolcke, 2002; `ngram -mix-lm` of SRILM).

A mixture of backoff models (Jelinek & Mercer, 1980) is no backoff model. This one is close to it:
it lists the n-grams of all, each with its probability in the mixture, and backs off from there.

    p(w | h)  =  Σ_i λ_i p_i(w | h)          of every n-gram hw that any model lists
    β(h)      =  (1 - Σ_v p(v | h)) / (1 - Σ_v p(v | h'))          sums over the v listed for h

So every history sums to 1, and only words that no model lists after h differ from the mixture:
there β(h) p(w | h') stands for Σ_i λ_i β_i(h) p_i(w | h').

The models may have different types and orders. The result has the types of all. A model gives a
word that it does not have the probability 0, and has seen no history with that word.

First the models are *united*: each is spread over the n-grams of all, with the probabilities that
it gives to them. United models share their tables, and rows with the same number are one n-gram.

    p_i(w | h)  as it is, or  β_i(h) p_i(w | h')  where model i does not list hw;   β_i(h) = 1 where
    it does not list h

    i a model · λ_i its weight, Σ_i λ_i = 1 · V vocabulary of all, V_i of model i
    U n-grams of an order k of all, U_i of model i · H, H_i those of the order below
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from seqlm.errors import ModelError
from seqlm.models.ngram.derived.backing_off import (
    compute_backoffs,
    fill_in_probabilities,
    suffix_rows,
)
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.ngram_order import make_records, row_contexts
from seqlm.models.ngram.scrambling import scramble_ids, unscramble_ids
from seqlm.models.ngram.sort_keys import first_of_equals, pack_keys, unpack_keys
from seqlm.progress import Progress, silent


def unite(
    models: Sequence[NGramModel],
    type_ids: Sequence[np.ndarray],
    vocab_size: int,
    progress: Progress = silent,
) -> list[NGramModel]:
    """The models, each over the n-grams of all.

    `type_ids[i]` (V_i,) int64 are the ids, in the vocabulary of all, of the types of model i.
    Errors: ModelError if there are more n-grams of an order than 31 bits number.
    """
    order = max(model.config.order for model in models)
    # Of order 1 the rows are the ids, and continue one empty context.
    shared = [SharedOrder(np.arange(vocab_size), np.array([0, vocab_size]), list(type_ids))]
    for k in range(2, order + 1):
        progress(f"uniting {k}-grams")
        shared.append(unite_order(models, type_ids, k, shared[-1], vocab_size))
    sizes = tuple(len(each.words) for each in shared)
    united = []
    for i, model in enumerate(models):
        config = model.config.with_rows(sizes)
        orders = [spread(model, i, k, shared) for k in range(1, order + 1)]
        united.append(NGramModel(config, orders))
    for k, suffixes in enumerate(suffix_rows(united[0]), 2):
        progress(f"backing off from {k}-grams")
        for model in united:
            fill_in_probabilities(model, k, suffixes)
    return united


class SharedOrder(NamedTuple):
    """The n-grams of an order that any model has."""

    words: np.ndarray  # (U,) int32, scrambled
    first: np.ndarray  # (H + 1,) int64, where those of each context begin
    rows: list[np.ndarray]  # (U_i,) int64 each, where the n-grams of each model are among them


def unite_order(
    models: Sequence[NGramModel],
    type_ids: Sequence[np.ndarray],
    k: int,
    below: SharedOrder,
    vocab_size: int,
) -> SharedOrder:
    """The n-grams of order k ≥ 2, which continue those of the order `below`."""
    keys = [
        keys_among_all(model, ids, own_contexts, k, vocab_size)
        for model, ids, own_contexts in zip(models, type_ids, below.rows)
    ]
    sorted_keys = np.concatenate(keys)
    sorted_keys.sort()
    united = sorted_keys[first_of_equals(sorted_keys)]  # (U,)
    if len(united) >= 2**31 - 1:
        raise ModelError(f"the models have {len(united):,} {k}-grams in all: at most 2^31 - 2")
    owners, words = unpack_keys(united)
    sizes = np.bincount(owners, minlength=len(below.words))
    first = np.concatenate([[0], sizes.cumsum()])
    return SharedOrder(words.astype(np.int32), first, [united.searchsorted(own) for own in keys])


def keys_among_all(
    model: NGramModel, type_ids: np.ndarray, contexts: np.ndarray, k: int, vocab_size: int
) -> np.ndarray:
    """(U_i,) int64, the sort keys of the n-grams of order k of a model in the vocabulary of all,
    whose `contexts` (H_i,) are those rows there."""
    if k > model.config.order:
        return np.empty(0, np.int64)
    ids = type_ids[unscramble_ids(model.order(k).words, model.config.vocab_size)]
    own_contexts = row_contexts(model.order(k - 1).first)
    return pack_keys(contexts[own_contexts], scramble_ids(ids, vocab_size))


def spread(model: NGramModel, i: int, k: int, shared: Sequence[SharedOrder]) -> np.ndarray:
    """The records of order k of model i over the n-grams of all. Where it lists none, β is 1, and p
    is NaN, to be filled in; or 0 where it lacks a type."""
    words, _, rows = shared[k - 1]
    log_prob = np.full(len(words), -np.inf if k == 1 else np.nan, np.float32)
    if k <= model.config.order:
        log_prob[rows[i]] = model.order(k).log_prob
    if k == len(shared):
        return make_records(words, log_prob)
    backoff = np.zeros(len(words), np.float32)
    if k < model.config.order:
        backoff[rows[i]] = model.order(k).backoff
    return make_records(words, log_prob, backoff, shared[k].first)


def mix_united(
    models: Sequence[NGramModel], weights: Sequence[float], progress: Progress = silent
) -> NGramModel:
    """One model of several that `unite` has made, with one of the `weights` λ each."""
    orders = [order.records.copy() for order in models[0].orders]  # whose n-grams are those of all
    for k, records in enumerate(orders, 1):
        p = np.zeros(len(records) - 1)  # (U,)
        for model, weight in zip(models, weights, strict=True):
            p += weight * np.exp(model.order(k).log_prob, dtype=np.float64)
        with np.errstate(divide="ignore"):  # log 0
            records["log_prob"][:-1] = np.log(p)
    progress("computing backoff weights")
    mixed = NGramModel(replace(models[0].config, smoothing="mixture"), orders)
    compute_backoffs(mixed)
    return mixed
