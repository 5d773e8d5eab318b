"""A vector of a word from its characters, so that a word never seen has one too.

    e_j   embedding of character j of the word; ^ stands before the first, and $ after the last

    cnn    c = max_j  W [e_{j-1}; e_j; e_{j+1}] + b            Ma & Hovy (2016), section 2.1
    lstm   c = [h>_last; h<_first]  of an LSTM over the e_j    Lample et al. (2016), section 4.1

U words · C characters of the longest · D width of the vector
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seqlm.models.layers.recurrence.bidirectional import BidirectionalLayers
from seqlm.models.layers.recurrence.recurrent_layers import lstm_layer
from seqlm.text.labeled.label_vocabulary import PADDING

CHARACTER_EMBEDDING = 30
"""Width of the embedding of a character, as in Ma & Hovy (2016)."""
KERNEL = 3
"""Characters that a convolution reads at once."""


class CharacterFeatures(nn.Module):
    """What both have in common: the embedding of the characters."""

    def __init__(self, types: int, width: int) -> None:
        super().__init__()
        self.width = width
        bound = math.sqrt(3 / CHARACTER_EMBEDDING)
        self.embedding = nn.Parameter(torch.empty(types, CHARACTER_EMBEDDING))
        nn.init.uniform_(self.embedding, -bound, bound)

    def forward(self, characters: Tensor) -> Tensor:
        """The ids of the characters (U, C), 0 after the last -> (U, D)."""
        raise NotImplementedError


class CharacterCNN(CharacterFeatures):
    def __init__(self, types: int, width: int) -> None:
        super().__init__(types, width)
        self.convolution = nn.Conv1d(CHARACTER_EMBEDDING, width, KERNEL, padding=KERNEL // 2)

    def forward(self, characters: Tensor) -> Tensor:
        is_real = (characters != PADDING)[..., None]  # (U, C, 1)
        e = nn.functional.embedding(characters, self.embedding) * is_real
        convolved = self.convolution(e.transpose(1, 2)).transpose(1, 2)  # (U, C, D)
        c: Tensor = convolved.masked_fill(~is_real, -math.inf).amax(1)
        return c


class CharacterLSTM(CharacterFeatures):
    def __init__(self, types: int, width: int) -> None:
        super().__init__(types, width)
        self.layers = BidirectionalLayers(lstm_layer, CHARACTER_EMBEDDING, width, layers=1)

    def forward(self, characters: Tensor) -> Tensor:
        lengths = (characters != PADDING).sum(1)
        e = nn.functional.embedding(characters, self.embedding)  # (U, C, E)
        c: Tensor
        _, [c] = self.layers(e, lengths)
        return c
