"""Smoothing the slow way: every formula as its paper prints it, on the dictionaries of `oracle.py`.

h history · h' h without its first word · c*(hw) what discounting leaves of a count
Z(h) what that is divided by · T(h) how many different words follow h · V vocabulary
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from seqlm.text.vocabulary import EOS
from tests.counting.oracle import Counts, Gram, count

Fallback = tuple[float, float, float] | None


class Undefined(ValueError):
    """The counts are too small or too regular for the method."""


class Method:
    """p(w | h) of a method that defines `discounted`: every c*(hw), and Z(h)."""

    adjusted = False

    def __init__(
        self,
        ids: list[int],
        vocab_size: int,
        order: int,
        context: str,
        backoff: bool = False,
        cutoffs: Sequence[int] = (),
        fallback: Fallback = None,
    ) -> None:
        self.vocab_size, self.order, self.context = vocab_size, order, context
        self.backoff, self.fallback = backoff, fallback
        self.counts: Counts = count(ids, order, context, self.adjusted, cutoffs)
        self.cache: dict[Gram, list[float]] = {}
        self.prepare()

    def prepare(self) -> None:
        """Computes what the method needs of whole orders."""

    def discounted(
        self, h: Gram, after: dict[int, int], total: int
    ) -> tuple[dict[int, float], float]:
        raise NotImplementedError

    def probs(self, h: Gram) -> list[float]:
        """p(w | h) of every w."""
        if h not in self.cache:
            lower = self.probs(h[1:]) if h else [1 / self.vocab_size] * self.vocab_size
            after = self.counts.after.get(h, {})
            self.cache[h] = self.combine(h, after, lower) if after else self.unseen(lower)
        return self.cache[h]

    def unseen(self, lower: list[float]) -> list[float]:
        """What a history that nothing follows passes on."""
        return lower

    def combine(self, h: Gram, after: dict[int, int], lower: list[float]) -> list[float]:
        left, whole = self.discounted(h, after, self.counts.total[h])
        share = {word: c / whole for word, c in left.items()}
        rest = 1 - sum(share.values())
        if not self.backoff:
            return [share.get(word, 0) + rest * p for word, p in enumerate(lower)]
        unseen = sum(p for word, p in enumerate(lower) if word not in after)
        if unseen < 1e-6:  # nothing to back off to
            return [share.get(word, 0) / sum(share.values()) for word in range(self.vocab_size)]
        return [share.get(word, rest / unseen * p) for word, p in enumerate(lower)]


# ----------------------------------------------------------------------- discounting by subtraction


class Absolute(Method):
    """c* = c - D(c), Z = C, with one D = n₁ / (n₁ + 2 n₂)."""

    def prepare(self) -> None:
        self.discounts = {k: self.of_order(n) for k, n in self.counts.counts_of_counts.items()}

    def of_order(self, n: Counter[int]) -> list[float]:
        """D(0), D(1), D(2), D(3 and more)."""
        if n[1] and n[2]:
            d = n[1] / (n[1] + 2 * n[2])
            return [0, d, d, d]
        if self.fallback is None:
            raise Undefined
        return [0, *[self.fallback[0]] * 3]

    def discounted(
        self, h: Gram, after: dict[int, int], total: int
    ) -> tuple[dict[int, float], float]:
        d = self.discounts[len(h) + 1]
        return {word: c - d[min(c, 3)] for word, c in after.items()}, total


class KneserNey(Absolute):
    adjusted = True


class ModifiedKneserNey(KneserNey):
    """D₁ = 1 - 2Y n₂/n₁, D₂ = 2 - 3Y n₃/n₂, D₃₊ = 3 - 4Y n₄/n₃, Y = n₁ / (n₁ + 2 n₂).

    As backoff something must be left of every count.
    """

    def of_order(self, n: Counter[int]) -> list[float]:
        try:
            y = n[1] / (n[1] + 2 * n[2])
            d = [0.0, *(j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))]
        except ZeroDivisionError:
            d = [math.nan]
        if all(0 <= of <= j for j, of in enumerate(d)) and not (self.backoff and d[3] == 3):
            return d
        if self.fallback is None:
            raise Undefined
        return [0, *self.fallback]


# -------------------------------------------------------------------------------- the other methods


class WittenBell(Method):
    """c* = c, Z = C + T."""

    def discounted(
        self, h: Gram, after: dict[int, int], total: int
    ) -> tuple[dict[int, float], float]:
        return dict(after), total + len(after)


class GoodTuring(Method):
    """c* = d_c c of counts up to k, Z = C; where that frees nothing, Z = C + 1."""

    def prepare(self) -> None:
        self.backoff = True
        self.ratios = {k: self.of_order(k, n) for k, n in self.counts.counts_of_counts.items()}

    def of_order(self, order: int, n: Counter[int]) -> list[float]:
        """d₁ … d_k, the largest k up to 7 with which they are ratios."""
        for k in range(7, 0, -1):
            try:
                ratios = [self.ratio(r, k, n) for r in range(1, k + 1)]
            except ZeroDivisionError:
                continue
            if all(0 < d <= 1 for d in ratios) and n[k + 1] and (k + 1) * n[k + 1] < n[1]:
                return ratios
        if order > 1:
            raise Undefined
        return []

    def ratio(self, r: int, k: int, n: Counter[int]) -> float:
        """d_r = (r*/r - (k+1) n_{k+1}/n₁) / (1 - (k+1) n_{k+1}/n₁), r* = (r+1) n_{r+1}/n_r."""
        expected = (r + 1) * n[r + 1] / n[r]
        above = (k + 1) * n[k + 1] / n[1]
        return (expected / r - above) / (1 - above)

    def discounted(
        self, h: Gram, after: dict[int, int], total: int
    ) -> tuple[dict[int, float], float]:
        d = self.ratios[len(h) + 1]
        left = {word: c * (d[c - 1] if c <= len(d) else 1) for word, c in after.items()}
        return left, total if sum(left.values()) < total else total + 1


class JelinekMercer(Method):
    """c* = λ c, Z = C, with λ by ⌊log2 C⌋."""

    weights: Sequence[Sequence[float]] = ()

    def discounted(
        self, h: Gram, after: dict[int, int], total: int
    ) -> tuple[dict[int, float], float]:
        weight = self.weights[len(h)]
        w = weight[min(math.floor(math.log2(total)), len(weight) - 1)]
        return {word: w * c for word, c in after.items()}, total


class MaximumLikelihood(Method):
    """c(hw) / C(h) after the longest history that something has followed."""

    def discounted(
        self, h: Gram, after: dict[int, int], total: int
    ) -> tuple[dict[int, float], float]:
        return dict(after), total


class StupidBackoff(Method):
    """c(hw) / C(h) if hw was seen, else 0.4 S(w | h'), h seen or not (Brants et al., eq. 5)."""

    def combine(self, h: Gram, after: dict[int, int], lower: list[float]) -> list[float]:
        total = self.counts.total[h]
        return [after[word] / total if word in after else 0.4 * p for word, p in enumerate(lower)]

    def unseen(self, lower: list[float]) -> list[float]:
        return [0.4 * p for p in lower]


class AddK(Method):
    """(c(hw) + k) / (C(h) + kV) after whole histories, where all share what was cut off."""

    k = 1.0

    def probs(self, h: Gram) -> list[float]:
        after, total = self.counts.after.get(h, {}), self.counts.total[h]
        if len(h) < self.order - 1 and not (self.context == "sentence" and h[:1] == (EOS,)):
            return [1 / self.vocab_size] * self.vocab_size  # no whole history
        each = self.k + (total - sum(after.values())) / self.vocab_size
        whole = total + self.k * self.vocab_size
        return [(after.get(word, 0) + each) / whole for word in range(self.vocab_size)]


METHODS: dict[str, Callable[..., Method]] = {
    "modified-kneser-ney": ModifiedKneserNey,
    "kneser-ney": KneserNey,
    "absolute": Absolute,
    "witten-bell": WittenBell,
    "good-turing": GoodTuring,
    "jelinek-mercer": JelinekMercer,
    "add-k": AddK,
    "stupid-backoff": StupidBackoff,
    "mle": MaximumLikelihood,
}
FORMS = [
    (name, backoff)
    for name in METHODS
    for backoff in (False, True)
    if not backoff or name in ("modified-kneser-ney", "kneser-ney", "absolute", "witten-bell")
]
"""Every method, interpolated or in its one form, and as backoff where it comes so."""
