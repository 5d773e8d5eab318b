"""From counts to probabilities: one function a method, each the equation of its paper.

A method says what is left of each count after discounting, c*(hw), and what that is divided by,
Z(h). What h does not use, its continuations of the order below share:

    interpolated    p(w | h) = c*(hw) / Z(h) + β(h) p(w | h'),     β(h) = 1 - Σ_v c*(hv) / Z(h)
    backoff         p(w | h) = c*(hw) / Z(h) if hw was seen, else β(h) p(w | h'),
                    β(h) = (1 - Σ_v c*(hv) / Z(h)) / (1 - Σ_v p(v | h')),  sums over seen hv

    h  history, the context of k-1 words    h'  h without its first word    w  next word
    c(hw) count: of occurrences, or adjusted · C = Σ_v c(hv), the pruned included
    p(w | h') probability of the suffix, an order below · V  vocabulary size
    n_j  how many n-grams of this order have the count j

A method sees a few histories at a time, each with all the words that continue it; what it needs to
know of the whole order (`constants`) is found once, before. At order 1 the history is empty, its
words are the whole vocabulary and p(w | h') = 1/V.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.errors import DataError, UsageError, did_you_mean


class Histories(NamedTuple):
    """H histories of one order and the U n-grams that continue them."""

    counts: Tensor  # (U,) int, occurrences or adjusted
    lower: Tensor  # (U,) float64, p(w | h')
    first: Tensor  # (H + 1,) int64, history h has the n-grams first[h] to first[h + 1]
    owner: Tensor  # (U,) int64, the history of each n-gram
    total: Tensor  # (H,) float64, C
    whole: Tensor | None  # (H,) bool, as long as they get: n-1 words, or to the start of the line

    def sum(self, values: Tensor) -> Tensor:
        """(U,) -> (H,) float64, Σ over the n-grams of each history."""
        sums = torch.zeros(len(values) + 1, dtype=torch.float64, device=values.device)
        torch.cumsum(values, 0, dtype=torch.float64, out=sums[1:])
        return sums.index_select(0, self.first).diff()

    def spread(self, values: Tensor) -> Tensor:
        """(H,) -> (U,), every n-gram gets its history's."""
        return values.index_select(0, self.owner)


class Kept(NamedTuple):
    """What discounting leaves."""

    counts: Tensor  # (U,) float64, c*
    total: Tensor  # (H,) float64, Z


class Estimate(NamedTuple):
    prob: Tensor  # (U,) float64
    weight: Tensor  # (H,) float64, β of histories that have continuations


@dataclass(frozen=True)
class Smoothing:
    """Which method, and what it is told."""

    method: str = "modified-kneser-ney"
    backoff: bool = False
    """The form that is not interpolated, of a method that has both."""
    cutoffs: tuple[int, ...] = ()
    """The most occurrences of what each order leaves out; the last serves all higher orders."""
    discount_fallback: tuple[float, float, float] | None = None
    """D₁, D₂, D₃₊ of orders whose counts tell none."""
    add_k: float = 1.0
    weights: tuple[tuple[float, ...], ...] = ()
    """Of Jelinek-Mercer, an order each: λ by ⌊log2 C⌋."""


# ------------------------------------------------------------------------------------- discounting


def maximum_likelihood(h: Histories, constants: Tensor) -> Kept:
    """Relative frequency after the longest history seen: c* = c, Z = C.

    What was never seen after h has no probability there, however well shorter histories know it.
    """
    return Kept(h.counts.double(), h.total)


def additive(h: Histories, constants: Tensor) -> Kept:
    """Add k to every count (Lidstone, 1920; k = 1 is Laplace's rule).

        p(w | h) = (c(hw) + k) / (C + kV):    c* = c, Z = C + kV, with 1/V for p(w | h')

    That is for whole histories. Shorter ones keep nothing, so that they say 1/V: a word not seen
    after h gets the k / (C + kV) it should, and any word after a history not seen gets 1/V.
    """
    assert h.whole is not None
    counts = torch.where(h.spread(h.whole), h.counts, 0).double()
    return Kept(counts, h.total + constants[0])


def good_turing(h: Histories, ratios: Tensor) -> Kept:
    """Good-Turing discounting of small counts (Katz, 1987): c* = d_c c, Z = C.

    d_r is `ratios[min(r, k + 1)]`, see `katz_ratios`. Where no count is small, Z = C + 1, so that
    what was never seen is not impossible (as SRILM does).
    """
    kept = Kept(h.counts * ratios.index_select(0, h.counts.clamp(max=len(ratios) - 1)), h.total)
    return kept._replace(total=torch.where(freed(h, kept) > 0, h.total, h.total + 1))


def witten_bell(h: Histories, constants: Tensor) -> Kept:
    """A new word is as likely as one was so far (Witten & Bell, 1991, method C).

    c* = c,    Z = C + T(h),    T(h) = number of different words seen after h
    """
    return Kept(h.counts.double(), h.total + h.sum(h.counts > 0))


def absolute(h: Histories, discounts: Tensor) -> Kept:
    """Absolute discounting (Ney, Essen & Kneser, 1994): c* = c - D(c), Z = C.

    D(c) is `discounts[min(c, 3)]`. With one D for all counts that is the method of that name; on
    adjusted counts Kneser-Ney (1995); on adjusted counts with D₁, D₂, D₃₊ its modification by Chen
    & Goodman (1998).
    """
    return Kept(h.counts - discounts.index_select(0, h.counts.clamp(max=3)), h.total)


def jelinek_mercer(h: Histories, weights: Tensor) -> Kept:
    """Linear interpolation (Jelinek & Mercer, 1980): c* = λ c, Z = C.

    λ is `weights[⌊log2 C⌋]`, found by EM on held-out text: histories seen more often are trusted
    more. The last weight serves all larger C.
    """
    bucket = h.total.log2().long().clamp(0, len(weights) - 1)
    return Kept(h.counts * h.spread(weights.index_select(0, bucket)), h.total)


# --------------------------------------------------------------------------------------- combining


def freed(h: Histories, kept: Kept) -> Tensor:
    """(H,) 1 - Σ_v c*(hv) / Z(h), from sums of what is taken away, which are small and exact."""
    return (h.sum(h.counts - kept.counts) + (kept.total - h.sum(h.counts))) / kept.total


def interpolate(h: Histories, kept: Kept) -> Estimate:
    weight = freed(h, kept)
    lower = h.lower * h.spread(weight)
    return Estimate((kept.counts / h.spread(kept.total)).add_(lower), weight)


def back_off(h: Histories, kept: Kept) -> Estimate:
    """Where nothing is left to back off to, the seen words share the whole again."""
    seen = h.counts > 0  # at order 1 some are not
    share = kept.counts / h.spread(kept.total)
    rest = 1 - h.sum(torch.where(seen, h.lower, 0.0))
    some = rest > 1e-6
    left = freed(h, kept)
    weight = torch.where(some, left / rest.clamp(min=1e-6), 0.0)
    share = torch.where(h.spread(some), share, share / h.spread(1 - left))
    return Estimate(torch.where(seen, share, h.spread(weight) * h.lower), weight)


def stupid_backoff(h: Histories, kept: Kept) -> Estimate:
    """Scores that sum to no whole (Brants et al., 2007): c / C if hw was seen, else 0.4 S(w | h').

    At order 1 what was never seen gets 0.4 / V.
    """
    weight = torch.full_like(kept.total, 0.4)
    seen = h.counts > 0
    return Estimate(torch.where(seen, kept.counts / h.spread(kept.total), 0.4 * h.lower), weight)


# --------------------------------------------------------------------- constants of a whole order


def one_discount(n: list[int], order: int, how: Smoothing, vocab_size: int) -> list[float]:
    """0, D, D, D with D = n₁ / (n₁ + 2 n₂) (Ney, Essen & Kneser, 1994). Errors: DataError."""
    if n[1] and n[2]:
        return [0.0, *[n[1] / (n[1] + 2 * n[2])] * 3]
    if how.discount_fallback is not None:
        return [0.0, *[how.discount_fallback[0]] * 3]
    raise undefined(f"no {order}-gram has the count {2 if n[1] else 1}", order)


def three_discounts(n: list[int], order: int, how: Smoothing, vocab_size: int) -> list[float]:
    """0, D₁, D₂, D₃₊ of one order (Chen & Goodman, 1998, eq. 26).

        D_j = j - (j + 1) Y n_{j+1} / n_j,    Y = n₁ / (n₁ + 2 n₂)

    Errors: DataError where n₁, n₂ or n₃ is 0 or a D_j outside 0 … j, because the text is too small
    or too regular, and there is no `discount_fallback`.
    """
    unseen = [j for j in (1, 2, 3) if n[j] == 0]
    if unseen:
        problem = f"no {order}-gram has the count {unseen[0]}"
    else:
        y = n[1] / (n[1] + 2 * n[2])
        d = [0.0, *(j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))]
        # As backoff, a word seen j times must keep something.
        outside = [j for j in (1, 2, 3) if not 0 <= d[j] <= j or (how.backoff and d[j] == j)]
        if not outside:
            return d
        problem = f"D{outside[0]} of the {order}-grams would be {d[outside[0]]:.3f}"
    if how.discount_fallback is not None:
        return [0.0, *how.discount_fallback]
    raise undefined(problem, order)


def undefined(problem: str, order: int) -> DataError:
    shorter = f", --order {order - 1}" if order > 2 else ""
    return DataError(
        f"this text is too small or too regular for discounts from its counts: {problem}; "
        f"use --discount-fallback (0.5 1 1.5){shorter}, or --smoothing witten-bell"
    )


KATZ = 7
"""Counts above this are reliable and keep all (Katz, 1987, took 5; SRILM takes 7)."""


def katz_ratios(n: list[int], order: int, how: Smoothing, vocab_size: int) -> list[float]:
    """0, d₁ … d_k, 1 of one order (Katz, 1987, eq. 11).

        d_r = (r*/r - A) / (1 - A),    r* = (r + 1) n_{r+1} / n_r,    A = (k + 1) n_{k+1} / n₁

    k is KATZ, or the largest below for which all d_r are in 0 … 1. Where none is, single words keep
    their counts: a vocabulary cut to the frequent types has few rare ones to learn from. Errors:
    DataError for longer n-grams.
    """
    for k in range(KATZ, 0, -1):
        if all(n[1 : k + 2]):
            above = (k + 1) * n[k + 1] / n[1]
            d = [((r + 1) * n[r + 1] / (r * n[r]) - above) / (1 - above) if above < 1 else 0.0
                 for r in range(1, k + 1)]  # fmt: skip
            if all(0 < ratio <= 1 for ratio in d):
                return [0.0, *d, 1.0]
    if order == 1:
        return [0.0, 1.0]
    raise DataError(
        f"this text is too small or too regular for Good-Turing: {', '.join(map(str, n[1:5]))} …"
        f" {order}-grams have the counts 1, 2, 3, 4 …; use --smoothing witten-bell"
    )


def added_mass(n: list[int], order: int, how: Smoothing, vocab_size: int) -> list[float]:
    return [how.add_k * vocab_size]


def tuned_weights(n: list[int], order: int, how: Smoothing, vocab_size: int) -> list[float]:
    return list(how.weights[order - 1])


def nothing(n: list[int], order: int, how: Smoothing, vocab_size: int) -> list[float]:
    return []


# ----------------------------------------------------------------------------------------- methods


@dataclass(frozen=True)
class Method:
    discount: Callable[[Histories, Tensor], Kept]
    constants: Callable[[list[int], int, Smoothing, int], list[float]] = nothing
    """Of n_0 … n_9 of an order, which it is, what the method is told, and V."""
    combine: Callable[[Histories, Kept], Estimate] = interpolate
    adjusted: bool = False
    """Of orders below the highest: counts of different words before, not of occurrences."""
    has_backoff: bool = False
    """Comes interpolated and as backoff."""
    tuned: bool = False
    """Has something to be tuned on held-out text."""


METHODS = {
    "modified-kneser-ney": Method(absolute, three_discounts, adjusted=True, has_backoff=True),
    "kneser-ney": Method(absolute, one_discount, adjusted=True, has_backoff=True),
    "absolute": Method(absolute, one_discount, has_backoff=True),
    "witten-bell": Method(witten_bell, has_backoff=True),
    "good-turing": Method(good_turing, katz_ratios, back_off),
    "jelinek-mercer": Method(jelinek_mercer, tuned_weights, tuned=True),
    "add-k": Method(additive, added_mass, tuned=True),
    "stupid-backoff": Method(maximum_likelihood, combine=stupid_backoff),
    "mle": Method(maximum_likelihood),
}


def chosen(how: Smoothing) -> Method:
    """Errors: UsageError where there is no such method, or no such form of it."""
    if how.method not in METHODS:
        raise UsageError(f"no smoothing {how.method!r}{did_you_mean(how.method, METHODS)}")
    method = METHODS[how.method]
    if how.backoff and not method.has_backoff:
        both = ", ".join(name for name, of in METHODS.items() if of.has_backoff)
        raise UsageError(f"{how.method} comes in one form; --backoff is for {both}")
    return replace(method, combine=back_off) if how.backoff else method
