"""An n-gram model in a third of its memory: the same n-grams, with probabilities of 8 bits.

Unigrams stay as they are, and all other orders become compact (`compact_order.py`). How far the
probabilities are from those of the model is part of the settings:

    largest_error = max |log q(w | h) - log p(w | h)|     mean_error, the mean, over all n-grams
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqlm.models.ngram.compact.compact_order import CompactOrder
from seqlm.models.ngram.ngram_model import NGramModel
from seqlm.models.ngram.ngram_order import NGramOrder
from seqlm.progress import Progress, silent


def compact(model: NGramModel, progress: Progress = silent) -> NGramModel:
    """The compact form of a model; a compact one as it is. The last stage of `progress` says how
    far the two are apart."""
    if model.config.compact:
        return model
    orders: list[NGramOrder] = [model.order(1)]
    largest = total = 0.0
    for k in range(2, model.config.order + 1):
        progress(f"packing {k}-grams")
        order = model.order(k)
        rows_above = len(model.order(k + 1)) if k < model.config.order else None
        orders.append(CompactOrder.of(order, rows_above, model.config.vocab_size))
        errors = differences(orders[-1].log_prob, order.log_prob)
        largest = max(largest, float(errors.max(initial=0)))
        total += float(errors.sum(dtype=np.float64))
    mean = total / sum(model.config.rows)
    progress(f"compact: log p is off by {mean:.4f} nats on average, and by {largest:.4f} at most")
    config = replace(model.config, compact=True, largest_error=largest, mean_error=mean)
    return NGramModel(config, orders)


def differences(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """(U,) how far two logarithms are apart; two of 0 are equal."""
    with np.errstate(invalid="ignore"):  # infinity less infinity
        return np.where(ours == theirs, 0, np.abs(ours - theirs))
