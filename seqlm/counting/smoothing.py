"""From counts to probabilities: one function a method, each the equation of its paper.

    p(w | h) for every n-gram hw of one order, and the weight β(h) with which h backs off

    h  history, the context of k-1 words    h'  h without its first word    w  next word
    c(hw) raw count · a(hw) adjusted count · p(w | h') probability of the suffix, an order below
    V  vocabulary size

A method sees a few histories at a time, each with all the words that continue it; what it needs to
know of the whole order (`constants`) is found once, before. At order 1 the history is empty, its
words are the whole vocabulary and p(w | h') = 1/V.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seqlm.errors import DataError


class Histories(NamedTuple):
    """H histories of one order and the U n-grams that continue them."""

    counts: Tensor  # (U,) int32, raw or adjusted
    lower: Tensor  # (U,) float64, p(w | h')
    first: Tensor  # (H + 1,) int64, history h has the n-grams first[h] to first[h + 1]
    owner: Tensor  # (U,) int64, the history of each n-gram
    whole: Tensor  # (H,) bool, as long as they get: n-1 words, or back to the start of the line

    def sum(self, values: Tensor) -> Tensor:
        """(U,) -> (H,) float64, Σ over the n-grams of each history."""
        sums = torch.zeros(len(values) + 1, dtype=torch.float64, device=values.device)
        torch.cumsum(values, 0, dtype=torch.float64, out=sums[1:])
        return sums.index_select(0, self.first).diff()

    def spread(self, values: Tensor) -> Tensor:
        """(H,) -> (U,), every n-gram gets its history's."""
        return values.index_select(0, self.owner)


class Estimate(NamedTuple):
    prob: Tensor  # (U,) float64
    weight: Tensor  # (H,) float64, β of histories that have continuations


class Options(NamedTuple):
    vocab_size: int
    context: str = "sentence"
    add_k: float = 1.0
    discount_fallback: tuple[float, float, float] | None = None


def maximum_likelihood(h: Histories, constants: Tensor) -> Estimate:
    """Relative frequency after the longest history seen.

        p(w | h) = c(hw) / Σ_v c(hv),    β(h) = 0

    What was never seen after h has no probability there, however well shorter histories know it.
    """
    total = h.sum(h.counts)
    return Estimate(h.counts / h.spread(total), torch.zeros_like(total))


def additive(h: Histories, constants: Tensor) -> Estimate:
    """Add k to every count (Lidstone, 1920; k = 1 is Laplace's rule).

        p(w | h) = (c(hw) + k) / (C + kV),    β(h) = kV / (C + kV),    C = Σ_v c(hv)

    That is for whole histories. Shorter ones say 1/V, so that a word not seen after h gets the
    k / (C + kV) it should, and any word after a history not seen gets 1/V.
    """
    added = constants[0]  # kV
    total = h.sum(h.counts) + added
    smoothed = (h.counts + added * h.lower) / h.spread(total)
    return Estimate(
        torch.where(h.spread(h.whole), smoothed, h.lower),
        torch.where(h.whole, added / total, 1.0),
    )


def kneser_ney(h: Histories, discounts: Tensor) -> Estimate:
    """Interpolated modified Kneser-Ney (Kneser & Ney, 1995; Chen & Goodman, 1998).

        p(w | h) = (a(hw) - D(a(hw))) / A + β(h) p(w | h')
        β(h)     = Σ_v D(a(hv)) / A,    A = Σ_v a(hv)

    D(a) is `discounts[min(a, 3)]`: what is taken from each n-gram is given to the lower order.
    """
    discount = discounts.index_select(0, h.counts.clamp(max=3))
    total = h.sum(h.counts)
    weight = h.sum(discount) / total
    prob = (h.counts - discount) / h.spread(total) + h.spread(weight) * h.lower
    return Estimate(prob, weight)


def modified_discounts(counts: Tensor, order: int, options: Options) -> Tensor:
    """(4,) float64: 0, D₁, D₂, D₃₊ of one order (Chen & Goodman, 1998, eq. 26).

        D_j = j - (j + 1) Y n_{j+1} / n_j,    Y = n₁ / (n₁ + 2 n₂)

    n_j is the number of n-grams with adjusted count j. Errors: DataError where n₁, n₂ or n₃ is 0
    or a D_j outside 0 … j, because the text is too small or too regular, and options have no
    `discount_fallback`.
    """
    n = torch.bincount(counts.clamp(max=5), minlength=6).tolist()
    unseen = [j for j in (1, 2, 3) if n[j] == 0]
    if unseen:
        problem = f"no {order}-gram has the count {unseen[0]}"
    else:
        y = n[1] / (n[1] + 2 * n[2])
        d = [0.0] + [j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3)]
        outside = [j for j in (1, 2, 3) if not 0 <= d[j] <= j]
        if not outside:
            return torch.tensor(d, dtype=torch.float64, device=counts.device)
        problem = f"D{outside[0]} of the {order}-grams would be {d[outside[0]]:.3f}"
    if options.discount_fallback is None:
        raise DataError(
            f"this text is too small or too regular for Kneser-Ney's discounts: {problem}; "
            "use --discount-fallback (0.5 1 1.5), a smaller --order, or --smoothing add-k"
        )
    fallback = [0.0, *options.discount_fallback]
    return torch.tensor(fallback, dtype=torch.float64, device=counts.device)


def _added_mass(counts: Tensor, order: int, options: Options) -> Tensor:
    mass = options.add_k * options.vocab_size
    return torch.tensor([mass], dtype=torch.float64, device=counts.device)


def _nothing(counts: Tensor, order: int, options: Options) -> Tensor:
    return torch.empty(0, dtype=torch.float64, device=counts.device)


@dataclass(frozen=True)
class Method:
    estimate: Callable[[Histories, Tensor], Estimate]
    constants: Callable[[Tensor, int, Options], Tensor]
    adjusted: bool  # of orders below the highest: counts of different words before, not occurrences


METHODS = {
    "kneser-ney": Method(kneser_ney, modified_discounts, adjusted=True),
    "mle": Method(maximum_likelihood, _nothing, adjusted=False),
    "add-k": Method(additive, _added_mass, adjusted=False),
}
