"""A network at another temperature (Ackley, Hinton & Sejnowski 1985; Guo et al. 2017).

    p_T(w)  =  p(w)^(1/T)  /  Σ_v p(v)^(1/T)

Above 1 the distribution is flatter, below 1 sharper. A network that has overfitted is too sure of
itself, and one temperature found on held-out text corrects most of that. It is taken of the whole
distribution, so that it is exact whatever the output layer is made of.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from seqlm.models.base import LanguageNetwork
from seqlm.models.output.output_layer import OutputLayer


class Tempered(OutputLayer):
    """An output layer at temperature T. What it learns from stays the loss at temperature 1."""

    def __init__(self, output_layer: OutputLayer, temperature: float) -> None:
        super().__init__()
        self.output_layer, self.temperature = output_layer, temperature

    @property
    def weight(self) -> nn.Parameter:  # type: ignore[override]
        return self.output_layer.weight

    def log_probs(self, features: Tensor) -> Tensor:
        return (self.output_layer.log_probs(features) / self.temperature).log_softmax(-1)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        return self.output_layer.loss(features, targets)


def tempered(network: LanguageNetwork, temperature: float) -> LanguageNetwork:
    """The same network, its tensors shared, that speaks at another temperature."""
    if temperature == 1:
        return network
    other = copy.copy(network)
    other._modules = network._modules.copy()
    other.output_layer = Tempered(network.output_layer, temperature)
    return other
