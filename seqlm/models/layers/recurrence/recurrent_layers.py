"""Layers of recurrent networks: Elman, LSTM and GRU, over a segment or one step at a time.

    x_t   what the layer reads at step t            h_t   its hidden state, which is its output
    W, U  input and recurrent weights, b biases     sigma, tanh and * work elementwise

Elman (1990), trained as a language model by Mikolov et al. (2010):

    h_t = tanh(W x_t + U h_{t-1} + b)

LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000):

    i_t, f_t, o_t = sigma(W_{i,f,o} x_t + U_{i,f,o} h_{t-1} + b_{i,f,o})
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = o_t * tanh(c_t)

    b_f starts at 1 (Jozefowicz et al. 2015): a cell that forgets from the start learns nothing old.
    Its layer, peepholes and coupled gates are in `lstm_variants.py`.

GRU (Cho et al. 2014, in the form of cuDNN):

    r_t, z_t = sigma(W_{r,z} x_t + U_{r,z} h_{t-1} + b_{r,z})
    n_t = tanh(W_n x_t + b_n + r_t * (U_n h_{t-1} + b_u))
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}

B rows · T steps · E width of the input · D units · G gates

All layers name their parameters as `nn.LSTM` does: `weight_ih_l0` is W (G D, E) and `weight_hh_l0`
is U (G D, D).
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from seqlm.models.layers.linear import linear
from seqlm.models.layers.recurrence.gru import GRULayer
from seqlm.models.layers.recurrence.lstm_variants import LSTMLayer, LSTMVariantLayer
from seqlm.models.tree import S, tree_map

EMBEDDING_SCALE = 4.0
"""The factor of an embedding that a recurrent layer reads. Embeddings are drawn from U(+-0.1), as
suits a softmax that shares them; a layer needs larger inputs. Without the factor an LSTM is slow to
learn more than unigrams: on `corpora/brackets` it stays near chance for as many epochs as it needs
with it to get every line right."""


class LSTMState(NamedTuple):
    """The state of an LSTM's layer; that of the other layers is their h, (B, D)."""

    h: Tensor  # (B, D)
    c: Tensor  # (B, D)


def hidden_state(state: Any) -> Tensor:
    """h (B, D) of a layer's state, which is the layer's last output."""
    return state.h if isinstance(state, LSTMState) else state


# --------------------------------------------------------------------------------------- layers


def elman_layer(input_width: int, width: int, activation: str = "tanh") -> nn.Module:
    """A layer (B, T, E) -> (B, T, D) with `activation` tanh or relu.

    An orthogonal U keeps the gradient's norm over the first steps (Saxe et al. 2014); with relu it
    is the identity (Le, Jaitly & Hinton 2015).
    """
    layer = nn.RNN(input_width, width, nonlinearity=activation, batch_first=True)
    initialize: Any = nn.init.orthogonal_ if activation == "tanh" else nn.init.eye_
    initialize(layer.weight_hh_l0)
    return layer


def gru_layer(input_width: int, width: int) -> nn.Module:
    """A layer (B, T, E) -> (B, T, D)."""
    return GRULayer(input_width, width)


def lstm_layer(
    input_width: int, width: int, peephole: bool = False, coupled: bool = False
) -> nn.Module:
    """A layer (B, T, E) -> (B, T, D), with b_f = 1.

    PyTorch orders the gates i, f, g, o and adds two biases, of which one is set to 0 here.
    """
    layer: nn.Module
    if peephole or coupled:
        layer = LSTMVariantLayer(input_width, width, peephole, coupled)
    else:
        layer = LSTMLayer(input_width, width)
    f = slice(0, width) if coupled else slice(width, 2 * width)
    with torch.no_grad():
        layer.get_parameter("bias_ih_l0")[f] = 1.0
        layer.get_parameter("bias_hh_l0")[f] = 0.0
    return layer


# --------------------------------------------------------------------------------- running them


def zero_state(layer: Any, x: Tensor) -> Any:
    """The state of a layer before it reads the rows of x (B, T, E): zeros."""
    zeros = x.new_zeros(x.shape[0], layer.weight_hh_l0.shape[1])
    has_cell = isinstance(layer, nn.LSTM | LSTMVariantLayer)
    return LSTMState(zeros, zeros) if has_cell else zeros


def run_layer(
    layer: Any, x: Tensor, state: S, recurrent_weight: Tensor | None = None
) -> tuple[Tensor, S]:
    """One layer over x (B, T, E) from `state` -> (B, T, D) and the state after it.

    `recurrent_weight` replaces the layer's U.
    """
    variant = isinstance(layer, LSTMVariantLayer)
    one_step = x.shape[1] == 1 and x.device.type == "cpu" and not variant
    if one_step and recurrent_weight is None:
        gates = linear(x[:, 0], layer.weight_ih_l0, layer.bias_ih_l0)
        state = recurrent_step(layer, gates, state)
        return hidden_state(state)[:, None], state
    # PyTorch takes (1, B, D), and cuDNN no part of a larger tensor.
    before = tree_map(lambda part: part[None].contiguous(), state)
    if recurrent_weight is None:
        x, after = layer(x, before)
    else:
        x, after = with_recurrent_weight(layer, recurrent_weight, x, before)
    if isinstance(state, LSTMState):
        after = LSTMState(*after)
    return x, tree_map(lambda part: part[0], after)


def recurrent_step(layer: Any, gates_x: Tensor, state: S) -> S:
    """The state after one step, given `gates_x` (B, G D), the input's part of the gates, W x_t + b.

    oneDNN's layers prepare their weights anew in every call, which costs ten times the computation
    of one token; and a decoder that attends to its source can only go step by step.
    """
    h = hidden_state(state)
    gates_h = linear(h, layer.weight_hh_l0, layer.bias_hh_l0)  # (B, G D)
    after: Any
    if layer.mode == "GRU":
        width = h.shape[1]
        (rz_x, n_x), (rz_h, n_h) = (z.split([2 * width, width], 1) for z in (gates_x, gates_h))
        r, z = (rz_x + rz_h).sigmoid().chunk(2, 1)
        n = torch.tanh(n_x + r * n_h)
        after = n + z * (h - n)
    elif isinstance(state, LSTMState):
        i, f, g, o = (gates_x + gates_h).chunk(4, 1)
        c = f.sigmoid() * state.c + i.sigmoid() * g.tanh()
        after = LSTMState(o.sigmoid() * c.tanh(), c)
    elif layer.mode == "RNN_TANH":
        after = (gates_x + gates_h).tanh()
    else:
        after = (gates_x + gates_h).relu()
    return cast(S, after)


TORCH_FUNCTIONS: dict[str, Any] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}
"""What `nn.LSTM` and the others call, by their `mode`."""


def with_recurrent_weight(layer: Any, weight: Tensor, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    """`layer(x, state)` with `weight` (G D, D) in place of its U."""
    if isinstance(layer, LSTMVariantLayer) or (
        isinstance(layer, LSTMLayer) and layer.has_rounded_products()
    ):
        h, c = state
        x, h, c = layer.run(x, h[0], c[0], weight)
        return x, (h[None], c[None])
    weights = [layer.weight_ih_l0, weight, layer.bias_ih_l0, layer.bias_hh_l0]
    function = TORCH_FUNCTIONS[layer.mode]
    with warnings.catch_warnings():
        # cuDNN warns that the weights are not contiguous and are copied, which is meant here.
        warnings.filterwarnings("ignore", "RNN module weights")
        # The flags: has_biases, num_layers, dropout, train, bidirectional, batch_first.
        x, *after = function(x, state, weights, True, 1, 0.0, True, False, True)
    return x, after[0] if len(after) == 1 else tuple(after)
