"""Recurrent layers from both ends against `nn.RNN`, `nn.LSTM` and `nn.GRU` on packed sentences, and
against layers that read each sentence alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlm.models.layers.recurrence.bidirectional import BidirectionalLayers, MakeLayer
from seqlm.models.layers.recurrence.recurrent_layers import (
    elman_layer,
    gru_layer,
    lstm_layer,
    run_layer,
    zero_state,
)

B, T, E, D = 4, 6, 3, 8
LENGTHS = torch.tensor([6, 1, 4, 5])
LAYERS: dict[str, tuple[MakeLayer, Any]] = {
    "rnn": (elman_layer, nn.RNN),
    "rnn, relu": (
        partial(elman_layer, activation="relu"), partial(nn.RNN, nonlinearity="relu"),
    ),
    "lstm": (lstm_layer, nn.LSTM),
    "gru": (gru_layer, nn.GRU),
}  # fmt: skip
VARIANTS: dict[str, MakeLayer] = {
    **{name: make for name, (make, _) in LAYERS.items()},
    "peephole": partial(lstm_layer, peephole=True),
    "coupled gates": partial(lstm_layer, coupled=True),
}


def build(make_layer: MakeLayer, **options: Any) -> tuple[BidirectionalLayers, Tensor]:
    """Two layers with random weights, and x (B, T, E)."""
    torch.manual_seed(1)
    layers = BidirectionalLayers(make_layer, E, D, 2, **options).double().eval()
    for parameter in layers.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layers, torch.randn(B, T, E).double()


def run_alone(layer: nn.Module, x: Tensor) -> Tensor:
    """One layer over x (B, T, E) with the weights that it has."""
    return run_layer(layer, x, zero_state(layer, x))[0]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_it_is_pytorchs_on_packed_sentences(kind: str, bidirectional: bool) -> None:
    make_layer, reference_class = LAYERS[kind]
    layers, x = build(make_layer, bidirectional=bidirectional)
    one_way = D // 2 if bidirectional else D
    reference = reference_class(
        E, one_way, num_layers=2, batch_first=True, bidirectional=bidirectional
    ).double()
    for depth in range(2):
        directions = {"": layers.forward_layers[depth]}
        if bidirectional:
            directions["_reverse"] = layers.backward_layers[depth]
        for suffix, layer in directions.items():
            for name, parameter in layer.named_parameters():
                target = name.replace("l0", f"l{depth}") + suffix
                reference.get_parameter(target).data = parameter.data
    h, last_states = layers(x, LENGTHS)
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    output, final = reference(packed)
    expected, _ = pad_packed_sequence(output, batch_first=True)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(h[row, :length], expected[row, :length])
    states = final[0] if kind == "lstm" else final  # (layers * directions, B, D / 2)
    by_depth = states.view(2, -1, B, one_way).transpose(1, 2).flatten(2)
    torch.testing.assert_close(torch.stack(last_states), by_depth)


@pytest.mark.parametrize("kind", VARIANTS)
def test_each_direction_reads_each_sentence_alone(kind: str) -> None:
    """Layer by layer, the sentence as it is and turned around."""
    layers, x = build(VARIANTS[kind])
    h, last_states = layers(x, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = x[row : row + 1, :length]
        for depth in range(2):
            forward = run_alone(layers.forward_layers[depth], alone)
            backward = run_alone(layers.backward_layers[depth], alone.flip(1))
            ends = torch.cat([forward[0, -1], backward[0, -1]])
            torch.testing.assert_close(last_states[depth][row], ends)
            alone = torch.cat([forward, backward.flip(1)], 2)
        torch.testing.assert_close(h[row, :length], alone[0])


@pytest.mark.parametrize("kind", VARIANTS)
def test_weight_drop_drops_recurrent_weights_of_a_pass(kind: str) -> None:
    """Only in training, and the weights themselves stay as they are."""
    layers, x = build(VARIANTS[kind], dropout_weight=0.5)
    without, _ = layers(x, LENGTHS)
    before = {name: tensor.clone() for name, tensor in layers.state_dict().items()}
    layers.train()
    torch.manual_seed(2)
    first, _ = layers(x, LENGTHS)
    second, _ = layers(x, LENGTHS)
    torch.manual_seed(2)
    again, _ = layers(x, LENGTHS)
    assert torch.equal(first, again)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first, without)
    # The first step has no recurrent input, and nothing changes there.
    layer = layers.forward_layers[0]
    torch.testing.assert_close(layers.run(layer, x)[:, 0], run_alone(layer, x)[:, 0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in layers.state_dict().items())
    layers.dropout_weight = 0.0
    torch.testing.assert_close(layers(x, LENGTHS)[0], without)


def test_dropout_between_layers_is_locked_over_time() -> None:
    layers, _ = build(elman_layer, dropout=0.5)
    layers.train()
    h, last_states = layers(torch.ones(B, 50, E).double(), torch.full((B,), 50))
    is_dropped = h == 0  # of the output, which is dropped too
    assert torch.equal(is_dropped.all(1), is_dropped.any(1))
    assert is_dropped.any()
    assert not (last_states[-1] == 0).any()
