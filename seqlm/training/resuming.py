"""What resuming needs, taken from a trainer and given back to one.

A run that is killed and resumed equals the unbroken run, bit for bit, on a CPU: so whatever the
next step depends on is here. `stored_state.py` has the names of the tensors, and checks a state
that comes from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from torch import Tensor

from seqlm.errors import ModelError, fault_of
from seqlm.models.base import LanguageNetwork
from seqlm.models.tree import pack, unpack
from seqlm.runs.checkpoint import TrainingState
from seqlm.training.optimization.averaging import copy_values
from seqlm.training.optimization.optimizer import optimizer_moments, restore_moments
from seqlm.training.random_states import random_state, set_random_state
from seqlm.training.stored_state import check_state
from seqlm.training.training_progress import TrainingProgress

if TYPE_CHECKING:
    from seqlm.training.trainer import Trainer


def training_state(trainer: Trainer) -> TrainingState:
    """Everything that resuming needs besides the tensors saved as the model, which are the averaged
    weights where an average is kept."""
    average = trainer.average
    tensors = add_prefix("optimizer", optimizer_moments(trainer.optimizer, trainer.network))
    tensors |= add_prefix("average", average.tensors())
    if average.average:
        weights = {name: p.clone() for name, p in average.weights.items()}
        tensors |= add_prefix("weights", weights)
    tensors |= random_state(trainer.network.device)
    if trainer.carried_cache is not None:
        tensors |= pack(trainer.carried_cache, "carried")
    values = {
        "progress": asdict(trainer.progress),
        "early_stopping": trainer.early_stopping.state_dict(),
        "peak_lr": trainer.peak_lr,
        "average": {"kind": trainer.settings.average, **average.values()},
        "scaler": trainer.precision.scaler.state_dict(),
    }
    return TrainingState(tensors, values)


def restore_training(trainer: Trainer, model: Mapping[str, Tensor], state: TrainingState) -> None:
    """Takes `trainer` back to where `state` was taken. `model` has the tensors saved as the model.

    Where the settings keep another average than that run did, training continues from `model`
    rather than from the weights that were averaged. Errors: ModelError.
    """
    check_state(state, trainer.network, trainer.batches.rows)
    try:
        restore_checked(trainer, model, state)
    except (RuntimeError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ModelError(f"the state of the training cannot be restored{fault_of(error)}") from None


def restore_checked(trainer: Trainer, model: Mapping[str, Tensor], state: TrainingState) -> None:
    """`restore_training`. Errors: also those of torch."""
    network, values = trainer.network, state.values
    if values["average"]["kind"] == trainer.settings.average:
        weights = {**model, **strip_prefix("weights", state.tensors)}
        copy_values(weights, network.state_dict())
        trainer.average.restore(strip_prefix("average", state.tensors), values["average"])
    else:
        copy_values(model, network.state_dict())
    restore_moments(trainer.optimizer, network, strip_prefix("optimizer", state.tensors))
    if values["scaler"]:
        trainer.precision.scaler.load_state_dict(values["scaler"])
    trainer.progress = TrainingProgress(**values["progress"])
    if trainer.progress.segments_done >= len(trainer.batches):
        raise ModelError(
            f"training.json: progress.segments_done is {trainer.progress.segments_done}, and an"
            f" epoch has {len(trainer.batches)} segments"
        )
    trainer.early_stopping.load_state_dict(values["early_stopping"])
    trainer.peak_lr = values["peak_lr"]
    if any(name.startswith("carried") for name in state.tensors):
        assert isinstance(network, LanguageNetwork)  # a translator carries no state
        like = network.initial_cache(trainer.batches.rows)
        copies = {name: tensor.clone() for name, tensor in state.tensors.items()}
        trainer.carried_cache = unpack(like, copies, "carried")
    set_random_state(state.tensors, network.device)


def add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def strip_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix.`, under what follows it."""
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
