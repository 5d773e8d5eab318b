"""A training state that anybody may have written: it is restored, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from seqlm.errors import ModelError
from seqlm.runs.checkpoint import TrainingState
from seqlm.training.config.training_settings import TrainingSettings
from seqlm.training.resuming import restore_training
from tests.training.toy import finish, make

SETTINGS = TrainingSettings(epochs=1, batch_size=4, average="ema")
Checkpoint = tuple[dict[str, Tensor], TrainingState]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    checkpoints: list[Checkpoint] = []
    finish(make(SETTINGS), checkpoints)
    return checkpoints[-1]


def paths(values: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every value, and of every mapping."""
    found = [path] if path else []
    for name, value in values.items() if isinstance(values, dict) else ():
        found += paths(value, (*path, name))
    return found


ODD = [None, "x", [], {}, -1, 1.5, True, 1 << 60, float("nan"), {"a": "b"}, [[1]]]


def test_odd_values_are_restored_or_refused_in_a_line(checkpoint):
    model, state = checkpoint
    trainer, tried = make(SETTINGS), 0
    messages: list[str] = []
    for path in [path for path in paths(state.values) if path[0] != "settings"]:
        for odd in [*ODD, "missing"]:
            values = deepcopy(state.values)
            *outer, last = path
            place: Any = values
            for name in outer:
                place = place[name]
            if odd == "missing":
                del place[last]
            else:
                place[last] = odd
            tried += 1
            try:
                restore_training(trainer, model, TrainingState(state.tensors, values))
            except ModelError as error:
                messages.append(str(error))
    assert not any("\n" in message for message in messages)
    refused = len(messages)
    assert refused > tried / 2 > 100


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "longer": lambda tensor: torch.cat([tensor.flatten(), torch.zeros(1)]),
    "integers": lambda tensor: tensor.long(),
    "NaN": lambda tensor: tensor * torch.nan,
}


@pytest.mark.parametrize("change", [*CHANGES, "missing"])
def test_no_odd_tensor_is_restored(change, checkpoint):
    model, state = checkpoint
    trainer = make(SETTINGS)
    for name in state.tensors:
        tensors = dict(state.tensors)
        if change == "missing":
            del tensors[name]
        elif name.startswith("random") and change != "longer":
            continue
        elif name.startswith("random"):
            tensors[name] = tensors[name][:-1]
        else:
            tensors[name] = CHANGES[change](tensors[name])
        with pytest.raises(ModelError):
            restore_training(trainer, model, TrainingState(tensors, state.values))
    tensors = {**state.tensors, "average.other": torch.zeros(1)}
    with pytest.raises(ModelError, match="no such tensor"):
        restore_training(trainer, model, TrainingState(tensors, state.values))
