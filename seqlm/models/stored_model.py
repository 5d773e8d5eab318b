"""What a run saves: a model that is made from options, and holds tensors.

config.yaml holds the options (`settings`), and model.safetensors the tensors (`state_dict`).
Neither is trusted when it is read: no more is built than there are tensors for, and every name,
shape and type has to be the one that the options need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from seqlm.errors import ModelError, shown


class ParameterGroup(NamedTuple):
    """Parameters that an optimizer treats alike."""

    parameters: list[nn.Parameter]
    lr_scale: float = 1.0
    """The factor of the learning rate for them."""
    max_lr: float | None = None
    """The highest learning rate for them."""
    weight_decay: bool = True
    """Whether weight decay applies to them."""
    still_until: float = 0.0
    """The share of training before which they stay as they are."""
    bounded_rate: bool = False
    """Whether the rate that Adagrad gives a row is at most the learning rate."""


class StoredModel(nn.Module):
    """A model that is made from a dataclass of options."""

    config_class: ClassVar[type]
    """The family's frozen dataclass of options."""
    has_sparse_gradients: ClassVar[bool] = False
    """Whether some gradients are sparse tensors, so that a step updates the rows of its batch."""
    optimizers: ClassVar[tuple[str, ...]] = ("adamw", "adam", "rmsprop", "sgd", "adagrad")
    """The optimizers that can train it, by the names of the setting."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def settings(self) -> dict[str, Any]:
        """The configuration as plain names and values, ready for YAML."""
        return asdict(self.config)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """A model with fresh parameters. Errors: TypeError on an unknown name."""
        return cls(cls.config_class(**settings))

    @classmethod
    def from_tensors(cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """A model with exactly these `tensors` as parameters and buffers, in eval mode.

        Nothing is allocated, and no more is built than there are tensors for.
        Errors: ModelError where a name, a shape or a type differs from what the settings need.
        """
        with torch.device("meta"), at_most_parts(4 * len(tensors) + 100):
            model = cls.from_settings(settings)
        check_like(tensors, model.state_dict())
        model.load_state_dict(tensors, strict=True, assign=True)
        return model.eval()

    def check_tensors(self) -> None:
        """Errors: ModelError where the model's tensors have the right shapes, and values that no
        such model has."""
        for name, tensor in self.state_dict().items():
            if not is_finite(tensor):
                raise ModelError(f"{name} holds NaN or infinite numbers")

    @property
    def device(self) -> torch.device:
        """The device of the model's tensors, which are all on one."""
        for tensor in self.tensors():
            return tensor.device
        raise AssertionError("a model without tensors")

    def tensors(self) -> Iterator[Tensor]:
        """The parameters, then the buffers."""
        yield from self.parameters()
        yield from self.buffers()

    def parameter_groups(self) -> list[ParameterGroup]:
        """All parameters, each in one group. Here weight decay applies to matrices, not vectors."""
        matrices = [p for p in self.parameters() if p.ndim > 1]
        vectors = [p for p in self.parameters() if p.ndim < 2]
        return [ParameterGroup(matrices), ParameterGroup(vectors, weight_decay=False)]


def check_like(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Errors: ModelError where names, shapes or types differ from those of the `expected`."""
    for name in sorted(tensors.keys() ^ expected.keys()):
        problem = "is missing" if name in expected else "is no tensor of such a model"
        raise ModelError(f"{shown(name)} {problem}")
    for name, like in expected.items():
        tensor = tensors[name]
        if tensor.shape != like.shape:
            raise ModelError(f"{name} has the shape {[*tensor.shape]}, not {[*like.shape]}")
        if tensor.dtype != like.dtype:
            types = (str(each.dtype).removeprefix("torch.") for each in (tensor, like))
            raise ModelError(f"{name} is of {', not of '.join(types)}")


def is_finite(tensor: Tensor) -> bool:
    """Whether all its numbers are, without a copy of them."""
    # A sum is as fast as reading; one of finite numbers alone may be too large, too. The least and
    # the greatest number are NaN where one is.
    return bool(tensor.sum().isfinite()) or all(end.isfinite() for end in tensor.aminmax())


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Within it, `model` is in evaluation mode; after it, in the mode in which it was."""
    mode = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(mode)


@contextmanager
def at_most_parts(limit: int) -> Iterator[None]:
    """Within it, a model of more than `limit` tensors and modules raises ModelError before it is
    built: a million layers are a short text in a file, and take an hour to make."""
    count = 0

    def count_part(*_: object) -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise ModelError("there are far fewer tensors than such a model has")

    hooks = (
        register_module_parameter_registration_hook(count_part),
        register_module_buffer_registration_hook(count_part),
        register_module_module_registration_hook(count_part),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
