"""Averages of the weights along training, which are validated and saved in place of the weights.

    w_t  the weights after step t, which training continues from · a_t  their average

    ema       a_t = a_{t-1} + max(1 - d, 1/t) (w_t - a_{t-1})      Polyak & Juditsky 1992, with an
              exponential window of 1 / (1 - d) steps; before that many steps, the plain mean
    asgd      d = 1: the plain mean since the phase began          Polyak & Juditsky 1992
    nt-asgd   the mean since the validation loss was first above the best of all but the last n
              validations; before that, the weights themselves     Merity, Keskar & Socher 2018
    last      the mean of the weights at the last k validations    Vaswani et al. 2017, section 6.1

The averages are kept beside the network, and copied into it only while they are validated or saved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from seqlm.models.stored_model import StoredModel


class Average(ABC):
    """An average of the weights. Subclasses define when it is updated, and how."""

    def __init__(self, network: StoredModel) -> None:
        self.weights = dict(network.named_parameters())
        self.average: dict[str, Tensor] = {}
        """The averages by the names of the parameters; empty while there is no average."""

    @abstractmethod
    def after_step(self) -> None:
        """Called after every update."""

    def before_validation(self) -> None:  # noqa: B027
        """Called before each validation."""

    def after_validation(self, costs: Sequence[float]) -> None:  # noqa: B027
        """Called after each validation with the costs of all so far (their losses, as a rule)."""

    @contextmanager
    def in_place_of_weights(self) -> Iterator[None]:
        """Within this context the network holds the averages.

        Values are exchanged and not tensors, as layers and optimizers may keep pointers to these.
        """
        weights = {name: self.weights[name].detach().clone() for name in self.average}
        copy_values(self.average, self.weights)
        try:
            yield
        finally:
            copy_values(weights, self.weights)

    # -- what resuming needs

    def tensors(self) -> dict[str, Tensor]:
        return self.average

    def values(self) -> dict[str, Any]:
        return {}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """The inverse of `tensors` and `values`. The tensors may come in any order."""
        ordered = {name: tensors[name] for name in self.weights if tensors}
        self.average = copies(ordered, self.weights)


class NoAverage(Average):
    """'none': the weights themselves are validated and saved."""

    def after_step(self) -> None:
        """Does nothing."""


class RunningAverage(Average):
    """'ema', 'asgd' and 'nt-asgd': an average that is updated after every step."""

    def __init__(self, network: StoredModel, decay: float, patience: int | None = None) -> None:
        """Averaging starts at once, or with a `patience` n by the rule of nt-asgd."""
        super().__init__(network)
        self.decay, self.patience = decay, patience
        self.has_started = patience is None
        self.count = 0  # t

    @torch.no_grad()
    def after_step(self) -> None:
        if not self.has_started:
            return
        self.count += 1
        if self.count == 1:
            self.average = copies(self.weights, self.weights)
            return
        new_weight = max(1 - self.decay, 1 / self.count)
        torch._foreach_lerp_([*self.average.values()], [*self.weights.values()], new_weight)

    def after_validation(self, costs: Sequence[float]) -> None:
        n = self.patience
        if n is not None and not self.has_started:
            earlier = costs[:-1]
            self.has_started = len(earlier) > n and costs[-1] > min(earlier[:-n])

    def values(self) -> dict[str, Any]:
        return {"has_started": self.has_started, "count": self.count}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        super().restore(tensors, values)
        self.has_started, self.count = values["has_started"], values["count"]


class LastValidationsAverage(Average):
    """'last': the mean of the weights at the last `num_validations` validations."""

    def __init__(self, network: StoredModel, num_validations: int) -> None:
        super().__init__(network)
        self.num_validations = num_validations
        self.snapshots: list[dict[str, Tensor]] = []

    def after_step(self) -> None:
        """Does nothing: the average changes at validations alone."""

    def before_validation(self) -> None:
        snapshots = [*self.snapshots, copies(self.weights, self.weights)]
        self.set_snapshots(snapshots[-self.num_validations :])

    def set_snapshots(self, snapshots: list[dict[str, Tensor]]) -> None:
        self.snapshots = snapshots
        self.average = {
            name: torch.stack([weights[name] for weights in snapshots]).mean(0)
            for name in (self.weights if snapshots else ())
        }

    def tensors(self) -> dict[str, Tensor]:
        return {
            f"{index}.{name}": tensor
            for index, weights in enumerate(self.snapshots)
            for name, tensor in weights.items()
        }

    def values(self) -> dict[str, Any]:
        return {"snapshots": len(self.snapshots)}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        self.set_snapshots(
            [
                copies({name: tensors[f"{index}.{name}"] for name in self.weights}, self.weights)
                for index in range(values["snapshots"])
            ]
        )


def make_average(
    kind: str, network: StoredModel, decay: float, patience: int, num_validations: int
) -> Average:
    """'none' or one of the four above: `decay` is d of ema, `patience` n of nt-asgd, and
    `num_validations` k of last."""
    if kind == "none":
        return NoAverage(network)
    if kind == "last":
        return LastValidationsAverage(network, num_validations)
    return RunningAverage(
        network, decay if kind == "ema" else 1.0, patience if kind == "nt-asgd" else None
    )


def copies(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detached copies of `tensors`, each on the device of the tensor of its name in `like`."""
    return {n: t.detach().to(like[n].device, copy=True) for n, t in tensors.items()}


@torch.no_grad()
def copy_values(values: Mapping[str, Tensor], into: Mapping[str, Tensor]) -> None:
    """Copies each of `values` into the tensor of the same name."""
    for name, value in values.items():
        into[name].copy_(value)
