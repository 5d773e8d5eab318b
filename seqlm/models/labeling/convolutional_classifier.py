"""The convolutional classifier of Kim (2014).

    c_{t,n} = relu(W_n [x_t; ..; x_{t+n-1}] + b_n)     a window of n words, for n = 3, 4 and 5
    h       = [max_t c_{t,3}; max_t c_{t,4}; max_t c_{t,5}]

A window may reach beyond the ends of the text, where x is zero, so that every text has as many
windows as words, and one word is enough.

B texts · T words · E width of x · D width of h, the filters of all windows
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqlm.models.config.labeler_config import ConvolutionalClassifierConfig
from seqlm.models.labeling.sentence_labeler import SentenceEncoder, SentenceLabeler
from seqlm.models.layers.linear import Linear
from seqlm.models.layers.padding import padding_mask


class ConvolutionalEncoder(SentenceEncoder):
    def __init__(self, config: ConvolutionalClassifierConfig, input_width: int) -> None:
        super().__init__()
        self.kernels, self.width = config.kernels, len(config.kernels) * config.filters
        self.filters = nn.ModuleList(Linear(n * input_width, config.filters) for n in self.kernels)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = x * padding_mask(lengths, x.shape[1])[..., None]
        maps = []
        for n, filters in zip(self.kernels, self.filters):
            padded = nn.functional.pad(x, (0, 0, (n - 1) // 2, n // 2))  # (B, T + n - 1, E)
            windows = torch.cat([padded[:, k : k + x.shape[1]] for k in range(n)], 2)
            maps.append(filters(windows).relu())  # (B, T, filters)
        h = torch.cat(maps, 2)
        return h, h.take_along_dim(lengths[:, None, None] - 1, 1)[:, 0]


class ConvolutionalClassifier(SentenceLabeler):
    config_class = ConvolutionalClassifierConfig
    config: Any

    def make_encoder(self, input_width: int) -> SentenceEncoder:
        return ConvolutionalEncoder(self.config, input_width)
