"""A network at another softmax temperature (Ackley, Hinton & Sejnowski 1985; Guo et al. 2017).

    p_T(w)  =  p(w)^(1/T)  /  Σ_v p(v)^(1/T)

Above 1 the distribution is flatter, below 1 sharper. An overfitted network is too confident, and
one temperature found on held-out text corrects most of that. The formula is applied to the whole
distribution, so that it is exact for every output layer.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from seqlm.models.base import LanguageNetwork
from seqlm.models.output.output_layer import OutputLayer


class TemperatureScaled(OutputLayer):
    """An output layer at temperature T. Its training loss is still that at temperature 1."""

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


def with_temperature(network: LanguageNetwork, temperature: float) -> LanguageNetwork:
    """`network` at `temperature`: a copy that shares its tensors, or itself where that is 1."""
    if temperature == 1:
        return network
    scaled = copy.copy(network)
    scaled._modules = network._modules.copy()
    scaled.output_layer = TemperatureScaled(network.output_layer, temperature)
    return scaled
