"""Averages of the weights along training: what is validated and saved in their place.

    w_t  the weights after step t, which training goes on with · a_t  the averages

    ema       a_t = a_{t-1} + max(1 - d, 1/t) (w_t - a_{t-1})      Polyak & Juditsky 1992, with an
              exponential window of 1 / (1 - d) steps; till there are as many, the plain mean
    asgd      d = 1: the plain mean since the phase began          Polyak & Juditsky 1992
    nt-asgd   the mean since the validation loss was first above the best of all but the last n
              validations; before that, the weights themselves     Merity, Keskar & Socher 2018
    last      the mean of the weights at the last k validations    Vaswani et al. 2017, section 6.1

The averages live beside the network and are put into it for as long as something looks at them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from seqlm.models.base import Network


class Average:
    """No average: the weights themselves. The others say what is done after a step, and so on."""

    def __init__(self, network: Network) -> None:
        self.weights = dict(network.named_parameters())
        self.average: dict[str, Tensor] = {}
        """By name; empty as long as the weights themselves are shown."""

    def stepped(self) -> None:
        """Called after every update."""

    def validating(self) -> None:
        """Called before a validation."""

    def validated(self, losses: Sequence[float]) -> None:
        """Called after it, with the losses of all validations so far."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The averages take the place of the weights. Values are exchanged, and no tensors: layers
        and optimisers may keep pointers into them."""
        own = {name: self.weights[name].detach().clone() for name in self.average}
        put(self.average, self.weights)
        try:
            yield
        finally:
            put(own, self.weights)

    # -- what resuming needs

    def tensors(self) -> dict[str, Tensor]:
        return self.average

    def values(self) -> dict[str, Any]:
        return {}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """The inverse of both. A file has forgotten the order of the tensors."""
        ordered = {name: tensors[name] for name in self.weights if tensors}
        self.average = copies(ordered, self.weights)


class Running(Average):
    """'ema', 'asgd' and 'nt-asgd': an average that follows every step."""

    def __init__(self, network: Network, decay: float, wait: int | None = None) -> None:
        """It begins at once, or where there is a `wait` by the rule of nt-asgd with n = `wait`."""
        super().__init__(network)
        self.decay, self.wait = decay, wait
        self.begun = wait is None
        self.count = 0  # t

    @torch.no_grad()
    def stepped(self) -> None:
        if not self.begun:
            return
        self.count += 1
        if self.count == 1:
            self.average = copies(self.weights, self.weights)
            return
        share = max(1 - self.decay, 1 / self.count)
        torch._foreach_lerp_([*self.average.values()], [*self.weights.values()], share)

    def validated(self, losses: Sequence[float]) -> None:
        if self.wait is not None and not self.begun:
            before = losses[:-1]
            self.begun = len(before) > self.wait and losses[-1] > min(before[: -self.wait])

    def values(self) -> dict[str, Any]:
        return {"begun": self.begun, "count": self.count}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        super().restore(tensors, values)
        self.begun, self.count = values["begun"], values["count"]


class Last(Average):
    """'last': the weights at each of the last `most` validations are kept."""

    def __init__(self, network: Network, most: int) -> None:
        super().__init__(network)
        self.most = most
        self.kept: list[dict[str, Tensor]] = []

    def validating(self) -> None:
        self.keep([*self.kept, copies(self.weights, self.weights)][-self.most :])

    def keep(self, kept: list[dict[str, Tensor]]) -> None:
        self.kept = kept
        self.average = {
            name: torch.stack([weights[name] for weights in kept]).mean(0)
            for name in (self.weights if kept else ())
        }

    def tensors(self) -> dict[str, Tensor]:
        return {
            f"{place}.{name}": tensor
            for place, weights in enumerate(self.kept)
            for name, tensor in weights.items()
        }

    def values(self) -> dict[str, Any]:
        return {"kept": len(self.kept)}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        places = range(values["kept"])
        stored = [{name: tensors[f"{place}.{name}"] for name in self.weights} for place in places]
        self.keep([copies(weights, self.weights) for weights in stored])


def make_average(kind: str, network: Network, decay: float, wait: int, last: int) -> Average:
    """'none' or one of the four above, with the options that each of them has."""
    if kind == "none":
        return Average(network)
    if kind == "last":
        return Last(network, last)
    return Running(network, decay if kind == "ema" else 1.0, wait if kind == "nt-asgd" else None)


def copies(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detached copies where the tensors `like` them are."""
    return {n: t.detach().to(like[n].device, copy=True) for n, t in tensors.items()}


@torch.no_grad()
def put(values: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Gives the tensors of `into` the values of those of the same names."""
    for name, value in values.items():
        into[name].copy_(value)
