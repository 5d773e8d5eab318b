"""Kim's classifier against its equations, window by window, and against `nn.Conv1d`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqlm.models.labeling.convolutional_classifier import (
    ConvolutionalClassifier,
    ConvolutionalEncoder,
)
from seqlm.models.labeling.pooling import Pooling

B, T, E, FILTERS = 4, 7, 3, 5
LENGTHS = [7, 1, 2, 5]


def config(kernels: tuple[int, ...]) -> Any:
    sizes = {"vocab_size": 5, "label_types": (2,), "character_types": 5, "affix_types": ()}
    return ConvolutionalClassifier.config_class(
        **sizes, column_types=(), contextual_widths=(), kernels=kernels, filters=FILTERS
    )


def features_slowly(encoder: ConvolutionalEncoder, text: Tensor) -> Tensor:
    """h of one text (T, E) -> (D,): for each width the largest value of each filter, of windows of
    which at least one word is of the text, as many as it has words."""
    maxima = []
    for n, filters in zip(encoder.kernels, encoder.filters):
        W, b, values = filters.weight, filters.bias, []
        for t in range(len(text)):
            begin = t - (n - 1) // 2
            window = [
                text[at] if 0 <= at < len(text) else torch.zeros(E).double()
                for at in range(begin, begin + n)
            ]
            values.append(torch.relu(W @ torch.cat(window) + b))
        maxima.append(torch.stack(values).amax(0))
    return torch.cat(maxima)


@pytest.mark.parametrize("kernels", [(3, 4, 5), (1,), (2, 10)], ids=str)
def test_the_features_are_the_equations(kernels: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    encoder = ConvolutionalEncoder(config(kernels), E).double()
    x = torch.randn(B, T, E).double()
    lengths = torch.tensor(LENGTHS)
    found = Pooling("max", encoder.width)(*encoder(x, lengths), lengths)
    assert encoder.width == FILTERS * len(kernels)
    expected = [features_slowly(encoder, x[row, :length]) for row, length in enumerate(LENGTHS)]
    torch.testing.assert_close(found[:, 0], torch.stack(expected))


@pytest.mark.parametrize("n", [1, 3, 5])
def test_a_window_is_a_convolution(n: int) -> None:
    torch.manual_seed(1)
    encoder = ConvolutionalEncoder(config((n,)), E).double()
    convolution = nn.Conv1d(E, FILTERS, n, padding=n // 2).double()
    [filters] = encoder.filters
    convolution.weight.data = filters.weight.data.view(FILTERS, n, E).transpose(1, 2)
    convolution.bias.data = filters.bias.data
    x = torch.randn(2, T, E).double()
    h, _ = encoder(x, torch.tensor([T, T]))
    torch.testing.assert_close(h, convolution(x.transpose(1, 2)).transpose(1, 2).relu())


def test_it_pools_by_the_maximum() -> None:
    model = ConvolutionalClassifier(config((3,)))
    assert model.pooling is not None
    assert model.pooling.kind == "max"
