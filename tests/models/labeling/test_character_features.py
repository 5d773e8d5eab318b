"""Vectors of words from their characters against their equations, one word at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqlm.models.labeling.character_features import (
    CHARACTER_EMBEDDING,
    CharacterCNN,
    CharacterFeatures,
    CharacterLSTM,
)
from seqlm.text.labeled.label_vocabulary import BEGIN, END

TYPES, D = 9, 6
WORDS = [[BEGIN, 5, 4, 8, 5, END], [BEGIN, END], [BEGIN, 1, END], [BEGIN, 7, 7, 7, 6, END], [4]]


def build(kind: type[CharacterFeatures]) -> CharacterFeatures:
    torch.manual_seed(1)
    features = kind(TYPES, D).double()
    with torch.no_grad():
        for parameter in features.parameters():
            parameter.uniform_(-1, 1)
    return features


def padded(words: list[list[int]], longest: int) -> Tensor:
    """(U, C) with 0 after the last character."""
    return torch.tensor([word + [0] * (longest - len(word)) for word in words])


def cnn_slowly(features: CharacterCNN, word: list[int]) -> Tensor:
    """max_j W [e_{j-1}; e_j; e_{j+1}] + b, with zeros beyond the ends."""
    nothing = torch.zeros(CHARACTER_EMBEDDING).double()
    e = [nothing, *(features.embedding[id] for id in word), nothing]
    W, b = features.convolution.weight, features.convolution.bias  # (D, E, 3), (D,)
    assert b is not None
    windows = [
        W[:, :, 0] @ e[j - 1] + W[:, :, 1] @ e[j] + W[:, :, 2] @ e[j + 1] + b
        for j in range(1, len(e) - 1)
    ]
    return torch.stack(windows).amax(0)


def lstm_slowly(features: CharacterLSTM, word: list[int]) -> Tensor:
    """[h>_last; h<_first], each from its own end of the word to the other."""
    halves = []
    for layer, ids in (
        (features.layers.forward_layers[0], word),
        (features.layers.backward_layers[0], word[::-1]),
    ):
        h = c = torch.zeros(D // 2).double()
        for id in ids:
            gates = (
                layer.weight_ih_l0 @ features.embedding[id] + layer.bias_ih_l0
                + layer.weight_hh_l0 @ h + layer.bias_hh_l0
            )  # fmt: skip
            i, f, g, o = gates.chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        halves.append(h)
    return torch.cat(halves)


@pytest.mark.parametrize(
    ("kind", "slowly"), [(CharacterCNN, cnn_slowly), (CharacterLSTM, lstm_slowly)]
)
def test_the_vectors_are_the_equations(kind, slowly) -> None:
    features = build(kind)
    expected = torch.stack([slowly(features, word) for word in WORDS])
    assert expected.shape == (len(WORDS), D)
    for longest in (6, 7, 20):
        torch.testing.assert_close(features(padded(WORDS, longest)), expected)
    alone = torch.cat([features(torch.tensor([word])) for word in WORDS])
    torch.testing.assert_close(alone, expected)


@pytest.mark.parametrize("kind", [CharacterCNN, CharacterLSTM])
def test_the_padding_has_no_gradient(kind) -> None:
    features = build(kind)
    features(padded(WORDS, 9)).sum().backward()
    gradient = features.embedding.grad
    assert gradient is not None
    assert not gradient[0].any()
    assert gradient[BEGIN].any()
