"""The smoothing methods by name: how each discounts, combines and is tuned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from seqlm.counting.smoothing.additive import added_mass, additive, tune_k
from seqlm.counting.smoothing.good_turing import good_turing, katz_ratios
from seqlm.counting.smoothing.held_out_counts import HeldOutCounts, look_up_counts
from seqlm.counting.smoothing.interpolation_and_backoff import (
    Discounted,
    Histories,
    Smoothed,
    back_off,
    interpolate,
)
from seqlm.counting.smoothing.jelinek_mercer import (
    jelinek_mercer,
    tune_weights,
    weights_of_order,
)
from seqlm.counting.smoothing.kneser_ney import (
    kneser_ney_discount,
    modified_kneser_ney_discounts,
    subtract_discount,
)
from seqlm.counting.smoothing.maximum_likelihood import maximum_likelihood
from seqlm.counting.smoothing.smoothing_settings import Smoothing
from seqlm.counting.smoothing.stupid_backoff import stupid_backoff
from seqlm.counting.smoothing.witten_bell import witten_bell
from seqlm.counting.tables.ngrams import NGrams
from seqlm.errors import UsageError, did_you_mean
from seqlm.models.config.ngram_config import STUPID_BACKOFF


def no_constants(n: list[int], order: int, smoothing: Smoothing, vocab_size: int) -> list[float]:
    return []


@dataclass(frozen=True)
class Method:
    discount: Callable[[Histories, np.ndarray], Discounted]
    """From histories and the constants of their order."""
    constants: Callable[[list[int], int, Smoothing, int], list[float]] = no_constants
    """From n_0 … n_9 of an order, the order, the smoothing, and V."""
    combine: Callable[[Histories, Discounted], Smoothed] = interpolate
    adjusts_counts: bool = False
    """Orders below the highest count different preceding words instead of occurrences."""
    unseen_backoff: float = 1.0
    """β of a history that nothing follows in the tables."""
    has_backoff: bool = False
    """The method has an interpolated form and a backoff form."""
    tune: Callable[[Smoothing, HeldOutCounts, int], Smoothing] | None = None
    """Finds parameters on held-out text, from its counts and V; None where there are none."""


METHODS = {
    "modified-kneser-ney": Method(
        subtract_discount, modified_kneser_ney_discounts, adjusts_counts=True, has_backoff=True
    ),
    "kneser-ney": Method(
        subtract_discount, kneser_ney_discount, adjusts_counts=True, has_backoff=True
    ),
    "absolute": Method(subtract_discount, kneser_ney_discount, has_backoff=True),
    "witten-bell": Method(witten_bell, has_backoff=True),
    "good-turing": Method(good_turing, katz_ratios, back_off),
    "jelinek-mercer": Method(jelinek_mercer, weights_of_order, tune=tune_weights),
    "add-k": Method(additive, added_mass, tune=tune_k),
    "stupid-backoff": Method(
        maximum_likelihood, combine=stupid_backoff, unseen_backoff=STUPID_BACKOFF
    ),
    "mle": Method(maximum_likelihood),
}


def method_of(smoothing: Smoothing) -> Method:
    """Errors: UsageError if there is no such method, or no such form of it."""
    name = smoothing.method
    if name not in METHODS:
        raise UsageError(f"no smoothing {name!r}{did_you_mean(name, METHODS)}")
    method = METHODS[name]
    if smoothing.backoff and not method.has_backoff:
        both = ", ".join(name for name, other in METHODS.items() if other.has_backoff)
        raise UsageError(f"{name} comes in one form; `backoff` is for {both}")
    return replace(method, combine=back_off) if smoothing.backoff else method


def tune_smoothing(
    smoothing: Smoothing, tables: list[NGrams], vocab_size: int, context: str, ids: np.ndarray
) -> Smoothing:
    """`smoothing` with the parameters that make held-out `ids` (N,), a separate text, most likely.

    `tables` hold occurrences, and the method is one with `tune`.
    """
    tune = method_of(smoothing).tune
    assert tune is not None, f"{smoothing.method} is not tuned"
    return tune(smoothing, look_up_counts(tables, vocab_size, context, ids), vocab_size)
