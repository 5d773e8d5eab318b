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
from dataclasses import asdict, replace
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.errors import ModelError
from seqlm.models.config.ngram_config import NGramConfig
from seqlm.models.ngram.backing_off import (
    compute_backoffs,
    fill_in_probabilities,
    suffix_rows,
)
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.scrambling import scramble_ids, unscramble_ids
from seqlm.models.ngram.table import (
    NGramTable,
    first_of_equals,
    pack_keys,
    row_contexts,
    unpack_keys,
)
from seqlm.progress import Progress, silent


def unite(
    models: Sequence[NGramModel],
    type_ids: Sequence[Tensor],
    vocab_size: int,
    progress: Progress = silent,
) -> list[NGramModel]:
    """The models, on the CPU, each over the n-grams of all.

    `type_ids[i]` (V_i,) int64 are the ids, in the vocabulary of all, of the types of model i.
    Errors: ModelError if there are more n-grams of an order than 31 bits number.
    """
    order = max(model.config.order for model in models)
    rows = list(type_ids)  # (U_i,) int64 each, where the rows of each model are among those of all
    sizes, tensors = [vocab_size], [dict[str, Tensor]() for _ in models]
    for k in range(1, order + 1):
        if k > 1:
            progress(f"uniting {k}-grams")
            shared = unite_order(models, type_ids, rows, k, sizes[-1], vocab_size)
            rows = shared.rows
            sizes.append(len(shared.table.words))
        for model, own_rows, own in zip(models, rows, tensors):
            own |= spread_numbers(model, own_rows, k, sizes[-1], has_backoff=k < order)
            if k > 1:
                own[f"orders.{k - 2}.first"] = shared.table.first
                own[f"orders.{k - 1}.words"] = shared.table.words
    united = []
    for model, own in zip(models, tensors):
        config = replace(model.config, vocab_size=vocab_size, order=order, rows=tuple(sizes))
        united.append(NGramModel.from_tensors(asdict(config), own))
    for k, suffixes in enumerate(suffix_rows(united[0]), 2):
        progress(f"backing off from {k}-grams")
        for model in united:
            fill_in_probabilities(model, k, suffixes)
    return united


class SharedOrder(NamedTuple):
    table: NGramTable
    rows: list[Tensor]  # (U_i,) int64 each, the rows in `table` of the n-grams of each model


def unite_order(
    models: Sequence[NGramModel],
    type_ids: Sequence[Tensor],
    contexts: Sequence[Tensor],
    k: int,
    size_below: int,
    vocab_size: int,
) -> SharedOrder:
    """The n-grams of order k ≥ 2 that any model has; `contexts` (H_i,) are the rows of those of
    order k - 1 among the `size_below` of all."""
    keys = [
        keys_among_all(model, ids, own_contexts, k, vocab_size)
        for model, ids, own_contexts in zip(models, type_ids, contexts)
    ]
    sorted_keys = torch.cat(keys).numpy()
    sorted_keys.sort()
    united = torch.from_numpy(sorted_keys[first_of_equals(sorted_keys)])  # (U,)
    if len(united) >= 2**31 - 1:
        raise ModelError(f"the models have {len(united):,} {k}-grams in all: at most 2^31 - 2")
    rows = [torch.searchsorted(united, own) for own in keys]
    owners, words = unpack_keys(united)
    first = torch.zeros(size_below + 1, dtype=torch.int32)
    first[1:] = torch.bincount(owners, minlength=size_below).cumsum(0)
    return SharedOrder(NGramTable(first, words.int()), rows)


def keys_among_all(
    model: NGramModel, type_ids: Tensor, contexts: Tensor, k: int, vocab_size: int
) -> Tensor:
    """(U_i,) int64, the sort keys of the n-grams of order k of a model in the vocabulary of all."""
    if k > model.config.order:
        return torch.empty(0, dtype=torch.int64)
    table = model.tables(k)[-1].cpu()
    ids = type_ids[unscramble_ids(table.words, model.config.vocab_size)]
    return pack_keys(contexts[row_contexts(table.first)], scramble_ids(ids, vocab_size))


def spread_numbers(
    model: NGramModel, rows: Tensor, k: int, size: int, has_backoff: bool
) -> dict[str, Tensor]:
    """log p and log β of order k at the `rows` (U_i,) among `size`. Elsewhere β is 1, and p is NaN,
    to be filled in; or 0 where a model lacks a type."""
    log_prob = torch.full((size,), -torch.inf if k == 1 else torch.nan)
    backoff = torch.zeros(size if has_backoff else 0)
    if k <= model.config.order:
        log_prob[rows] = model.order(k).log_prob.cpu()
    if k < model.config.order:
        backoff[rows] = model.order(k).backoff.cpu()
    numbers = {f"orders.{k - 1}.log_prob": log_prob}
    return numbers | ({f"orders.{k - 1}.backoff": backoff} if has_backoff else {})


def mix_united(
    models: Sequence[NGramModel], weights: Sequence[float], progress: Progress = silent
) -> NGramModel:
    """One model of several that `unite` has made, with one of the `weights` λ each."""
    tensors = dict(models[0].state_dict())  # whose tables are those of all
    for k in range(1, models[0].config.order + 1):
        p = torch.zeros(models[0].config.rows[k - 1], dtype=torch.float64)  # (U,)
        for model, weight in zip(models, weights, strict=True):
            p += weight * model.order(k).log_prob.double().exp()
        tensors[f"orders.{k - 1}.log_prob"] = p.log().float()
        if k < models[0].config.order:
            tensors[f"orders.{k - 1}.backoff"] = torch.zeros(len(p))
    progress("computing backoff weights")
    config: NGramConfig = replace(models[0].config, smoothing="mixture")
    mixed = NGramModel.from_tensors(asdict(config), tensors)
    compute_backoffs(mixed)
    return mixed
