"""The encoder of the Transformer as a labeler (Vaswani et al. 2017, section 3.1).

    e_0 = W x + P[positions]
    e   = e + attention(norm(e))          every word attends to all words of its sentence
    e   = e + feed_forward(norm(e))
    h   = norm(e_N)

Norms, positions and sublayers are those of `layers/transformer_layers.py`. W brings x to the width
of the layers; with sinusoidal positions e_0 is multiplied by sqrt(D), as embeddings are.

B sentences · T words · E width of x · D width
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from seqlm.models.config.labeler_config import (
    TransformerClassifierConfig,
    TransformerLabelerConfig,
    TransformerTaggerConfig,
)
from seqlm.models.labeling.sentence_labeler import SentenceEncoder, SentenceLabeler
from seqlm.models.layers.linear import Linear
from seqlm.models.layers.padding import padding_mask
from seqlm.models.layers.rotary import rotary_angles
from seqlm.models.layers.transformer_layers import EncoderLayer, add_positions, make_norm


class TransformerEncoder(SentenceEncoder):
    def __init__(self, config: TransformerLabelerConfig, input_width: int) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.projection = Linear(input_width, config.width)  # W
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.norm = make_norm(config) if config.pre_norm else nn.Identity()
        for name, parameter in self.layers.named_parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        nn.init.normal_(self.projection.weight, std=config.width**-0.5)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        config, length = self.config, x.shape[1]
        mask = padding_mask(lengths, length)[:, None, None]  # (B, 1, 1, T)
        angles = None
        if config.positions == "rotary":
            head_width = config.width // config.heads
            angles = rotary_angles(length, 0, head_width, x.device, config.rope_base)
        e = add_positions(self.projection(x), 0, config.positions, None)  # (B, T, D)
        for layer in self.layers:
            e = layer(e, mask, angles)
        h = self.norm(e)
        return h, h.take_along_dim(lengths[:, None, None] - 1, 1)[:, 0]


class TransformerLabeler(SentenceLabeler):
    config: Any

    def make_encoder(self, input_width: int) -> SentenceEncoder:
        return TransformerEncoder(self.config, input_width)


class TransformerTagger(TransformerLabeler):
    config_class = TransformerTaggerConfig


class TransformerClassifier(TransformerLabeler):
    config_class = TransformerClassifierConfig
