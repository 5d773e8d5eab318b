"""Recurrent labelers: an Elman network, an LSTM or a GRU, in both directions as a rule.

    h_t = [h>_t; h<_t]     Graves & Schmidhuber (2005); with a CRF: Huang, Xu & Yu (2015)

The layers are those of the language models (`layers/recurrence/`), with their variants;
`bidirectional.py` there runs them from both ends.

B sentences · T words · E width of x · D width of h
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from seqlm.models.config.labeler_config import (
    ElmanClassifierConfig,
    ElmanTaggerConfig,
    GRUClassifierConfig,
    GRUTaggerConfig,
    LSTMClassifierConfig,
    LSTMTaggerConfig,
    RecurrentLabelerConfig,
)
from seqlm.models.labeling.sentence_labeler import SentenceEncoder, SentenceLabeler
from seqlm.models.layers.recurrence.bidirectional import BidirectionalLayers, MakeLayer
from seqlm.models.layers.recurrence.recurrent_layers import elman_layer, gru_layer, lstm_layer


class RecurrentEncoder(SentenceEncoder):
    def __init__(
        self, config: RecurrentLabelerConfig, make_layer: MakeLayer, input_width: int
    ) -> None:
        super().__init__()
        self.width = config.width
        self.layers = BidirectionalLayers(
            make_layer, input_width, config.width, config.layers, config.bidirectional,
            config.dropout_hidden, config.dropout_weight,
        )  # fmt: skip

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        h, last_states = self.layers(x, lengths)
        return h, last_states[-1]


class ElmanLabeler(SentenceLabeler):
    config: Any

    def make_encoder(self, input_width: int) -> SentenceEncoder:
        make_layer = partial(elman_layer, activation=self.config.activation)
        return RecurrentEncoder(self.config, make_layer, input_width)


class LSTMLabeler(SentenceLabeler):
    config: Any

    def make_encoder(self, input_width: int) -> SentenceEncoder:
        make_layer = partial(
            lstm_layer, peephole=self.config.peephole, coupled=self.config.coupled_gates
        )
        return RecurrentEncoder(self.config, make_layer, input_width)


class GRULabeler(SentenceLabeler):
    config: Any

    def make_encoder(self, input_width: int) -> SentenceEncoder:
        return RecurrentEncoder(self.config, gru_layer, input_width)


class ElmanTagger(ElmanLabeler):
    config_class = ElmanTaggerConfig


class LSTMTagger(LSTMLabeler):
    config_class = LSTMTaggerConfig


class GRUTagger(GRULabeler):
    config_class = GRUTaggerConfig


class ElmanClassifier(ElmanLabeler):
    config_class = ElmanClassifierConfig


class LSTMClassifier(LSTMLabeler):
    config_class = LSTMClassifierConfig


class GRUClassifier(GRULabeler):
    config_class = GRUClassifierConfig
