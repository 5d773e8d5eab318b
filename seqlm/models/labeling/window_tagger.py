"""The window network of Collobert et al. (2011, section 3.2.1), the baseline of the taggers.

    h_t = tanh(W [x_{t-n}; ..; x_t; ..; x_{t+n}] + b)

A word is labeled from itself and the n words to each side, with zeros beyond the ends of the
sentence. The authors take a hard tanh.

B sentences · T words · E width of x · D width of h
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqlm.models.config.labeler_config import WindowLabelerConfig, WindowTaggerConfig
from seqlm.models.labeling.sentence_labeler import SentenceEncoder, SentenceLabeler
from seqlm.models.layers.linear import Linear
from seqlm.models.layers.padding import padding_mask


class WindowEncoder(SentenceEncoder):
    def __init__(self, config: WindowLabelerConfig, input_width: int) -> None:
        super().__init__()
        self.window, self.width = config.window, config.width
        self.hidden = Linear((2 * config.window + 1) * input_width, config.width)  # W and b

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = x * padding_mask(lengths, x.shape[1])[..., None]
        padded = nn.functional.pad(x, (0, 0, self.window, self.window))  # (B, n + T + n, E)
        shifts = range(2 * self.window + 1)
        windows = torch.cat([padded[:, k : k + x.shape[1]] for k in shifts], 2)
        h = self.hidden(windows).tanh()  # (B, T, D)
        return h, h.take_along_dim(lengths[:, None, None] - 1, 1)[:, 0]


class WindowTagger(SentenceLabeler):
    config_class = WindowTaggerConfig
    config: Any

    def make_encoder(self, input_width: int) -> SentenceEncoder:
        return WindowEncoder(self.config, input_width)
