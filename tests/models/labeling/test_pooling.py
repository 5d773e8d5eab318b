"""One vector of a text, against sums and maxima in loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqlm.models.labeling.pooling import Pooling, make_pooling

B, T, D = 4, 5, 3
LENGTHS = [5, 1, 3, 2]


def pool_slowly(pooling: Pooling, h: Tensor) -> Tensor:
    """The words h (T, D) of one text -> (D,)."""
    if pooling.kind == "max":
        return torch.stack([max(column) for column in h.t()])
    if pooling.kind == "mean":
        return sum(h, torch.zeros(D).double()) / len(h)
    W, b, u = pooling.hidden.weight, pooling.hidden.bias, pooling.query.weight[0]
    weights = [math.exp((u @ torch.tanh(W @ word + b)).item()) for word in h]
    return sum((a / sum(weights) * word for a, word in zip(weights, h)), torch.zeros(D).double())


@pytest.mark.parametrize("kind", ["mean", "max", "attention"])
@pytest.mark.parametrize("padding", [0.0, 1e9, math.nan, -math.inf])
def test_it_is_the_equation_and_ignores_the_padding(kind: str, padding: float) -> None:
    torch.manual_seed(1)
    pooling = Pooling(kind, D).double()
    h, last = torch.randn(B, T, D).double() - 3, torch.randn(B, D).double()
    expected = [pool_slowly(pooling, h[row, :length]) for row, length in enumerate(LENGTHS)]
    h[torch.arange(T) >= torch.tensor(LENGTHS)[:, None]] = padding
    found = pooling(h, last, torch.tensor(LENGTHS))
    torch.testing.assert_close(found, torch.stack(expected)[:, None])


def test_last_is_what_the_encoder_left_behind() -> None:
    h, last = torch.randn(B, T, D), torch.randn(B, D)
    found = Pooling("last", D)(h, last, torch.tensor(LENGTHS))
    assert torch.equal(found, last[:, None])


def test_a_tagger_has_none() -> None:
    assert make_pooling(None, D) is None
