"""Recurrent layers that read a whole sentence in both directions (Schuster & Paliwal 1997).

    h>_t = cell(x_t, h>_{t-1})      h<_t = cell(x_t, h<_{t+1})      h_t = [h>_t; h<_t]

The output h of a layer is the input x of the next one. Each direction is D / 2 wide; without the
second direction, h_t = h>_t is D wide. Dropout between the layers is locked over time, and
*weight-drop* draws one mask on the recurrent matrix of each cell (Merity et al. 2018).

B sentences · T positions · E width of the input · D width
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqlm.models.layers.dropout import locked_dropout
from seqlm.models.layers.recurrence.recurrent_layers import run_layer, zero_state

MakeLayer = Callable[[int, int], nn.Module]
"""Makes a layer that reads (B, T, input width) and returns (B, T, output width)."""


class BidirectionalLayers(nn.Module):
    """Layers that read from left to right, and as many that read from right to left."""

    def __init__(
        self,
        make_layer: MakeLayer,
        input_width: int,
        width: int,
        layers: int,
        bidirectional: bool = True,
        dropout: float = 0.0,
        dropout_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout, self.dropout_weight = dropout, dropout_weight
        one_way = width // 2 if bidirectional else width
        input_widths = [input_width, *[width] * (layers - 1)]
        self.forward_layers = nn.ModuleList(make_layer(size, one_way) for size in input_widths)
        self.bidirectional = bidirectional
        if bidirectional:
            self.backward_layers = nn.ModuleList(make_layer(size, one_way) for size in input_widths)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, list[Tensor]]:
        """x (B, T, E) with `lengths` (B,) positions before the padding -> h (B, T, D) of the last
        layer, and [h>_T; h<_1] (B, D) of each layer.

        The padding stands on the right, where it cannot change what is read before it. The
        backward layers read each sentence reversed, with its padding still on the right.
        """
        last = lengths[:, None] - 1  # (B, 1)
        positions = torch.arange(x.shape[1], device=x.device)
        reversal = torch.where(positions <= last, last - positions, positions)  # (B, T)
        final_states = []
        for depth, forward_layer in enumerate(self.forward_layers):
            if depth > 0:
                x = locked_dropout(x, self.dropout, self.training)
            h = forward_h = self.run(forward_layer, x)  # (B, T, D / 2)
            final = forward_h.take_along_dim(last[..., None], 1)  # (B, 1, D / 2)
            if self.bidirectional:
                reversed_h = self.run(self.backward_layers[depth], reorder(x, reversal))
                backward_h = reorder(reversed_h, reversal)
                h = torch.cat([forward_h, backward_h], 2)  # (B, T, D)
                final = torch.cat([final, backward_h[:, :1]], 2)  # (B, 1, D)
            x = h
            final_states.append(final[:, 0])
        return locked_dropout(x, self.dropout, self.training), final_states

    def run(self, layer: Any, x: Tensor) -> Tensor:
        """One layer over x (B, T, ..) from a state of zeros -> (B, T, D / 2)."""
        weight = None
        if self.training and self.dropout_weight:
            weight = nn.functional.dropout(layer.weight_hh_l0, self.dropout_weight)
        h, _ = run_layer(layer, x, zero_state(layer, x), weight)
        return h


def reorder(x: Tensor, order: Tensor) -> Tensor:
    """The positions of x (B, T, E) in another `order` (B, T) of each row.

    Whole vectors are copied, which is many times as fast as gathering their numbers.
    """
    first = torch.arange(len(x), device=x.device)[:, None] * x.shape[1]  # (B, 1)
    vectors = x.flatten(0, 1).index_select(0, (first + order).flatten())  # (B T, E)
    return vectors.view_as(x)
