"""Which smoothing method is used, and its parameters."""

from __future__ import annotations

from dataclasses import dataclass

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""D₁, D₂ and D₃₊ where discounts cannot be estimated; those of lmplz."""


@dataclass(frozen=True)
class Smoothing:
    method: str = "modified-kneser-ney"
    """A name in `METHODS`."""
    backoff: bool = False
    """Back off instead of interpolating, for methods that have both forms."""
    cutoffs: tuple[int, ...] = ()
    """n-grams seen at most this often are dropped: one number for each order, of which the last
    serves all higher orders too."""
    discount_fallback: tuple[float, float, float] | None = None
    """D₁, D₂ and D₃₊ of orders whose discounts cannot be estimated; None is an error there."""
    add_k: float = 1.0
    """What add-k adds to every count."""
    weights: tuple[tuple[float, ...], ...] = ()
    """λ of Jelinek-Mercer smoothing for each order, by ⌊log2 C⌋."""
