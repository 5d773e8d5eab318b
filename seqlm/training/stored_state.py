"""The check of a training state that comes from a file, before anything is restored from it.

values     numbers that count from 0, figures, and the name of an average
tensors    optimizer.<parameter>.<moment>  average.<parameter>  weights.<parameter>
           carried.<path>  random.<device>     of the shapes that this network has
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from seqlm.errors import ModelError, shown
from seqlm.models.base import LanguageNetwork
from seqlm.models.stored_model import StoredModel
from seqlm.models.tree import pack
from seqlm.runs.checkpoint import TrainingState
from seqlm.training.training_progress import TrainingProgress

MOST = 1 << 53
"""The largest number of steps or tokens."""


def check_state(state: TrainingState, network: StoredModel, rows: int) -> None:
    """Errors: ModelError where `state` is not that of a training of `network` on `rows` rows."""
    check_values(state.values)
    check_tensors(state.tensors, network, rows)
    has_average = any(name.startswith("average.") for name in state.tensors)
    if (state.values["average"].get("count", has_average) > 0) != has_average:
        raise ModelError("training.json: average.count does not fit the averages that there are")


# ------------------------------------------------------------------------------------------ values


def check_values(values: Any) -> None:
    """Errors: ModelError where a value is missing, or of another type or range."""
    for name, newest in (("early_stopping", "loss_at_best"), ("progress", "planned_steps")):
        present = values.get(name, {}) if isinstance(values, dict) else None
        if isinstance(present, dict) and newest not in present:
            raise ModelError(
                "this run was made by an older seqlm and can only be resumed with that version"
            )
    stopping, progress = part(values, "early_stopping"), part(values, "progress")
    names = [each.name for each in fields(TrainingProgress)]
    if progress.keys() != set(names):
        odd = min(progress.keys() ^ set(names))
        raise ModelError(f"training.json: progress does not hold what it should: {shown(odd)}")
    for each in fields(TrainingProgress):
        is_fit = {"int": is_count, "float": is_number, "bool": is_switch}.get(str(each.type))
        require(f"progress.{each.name}", progress[each.name], is_fit or is_figures)
    for name in ("bad_metric_evals", "bad_evals"):
        require(f"early_stopping.{name}", stopping.get(name), is_count)
    for name in ("best_cost", "loss_at_best", "best_loss"):
        value = stopping.get(name, False)
        require(f"early_stopping.{name}", 0 if value is None else value, is_number)
    costs = stopping.get("costs")
    if not isinstance(costs, list) or not all(map(is_number, costs)):
        raise ModelError(f"training.json: early_stopping.costs cannot be {shown(costs)}")
    require("peak_lr", values.get("peak_lr"), is_number)
    average = part(values, "average")
    for name, value in average.items():
        is_fit = {"kind": is_text, "has_started": is_switch}.get(name, is_count)
        require(f"average.{name}", value, is_fit)
    require("average.kind", average.get("kind"), is_text)
    part(values, "scaler")
    if "settings" in values:
        part(values, "settings")


def part(values: Any, name: str) -> dict[str, Any]:
    """The mapping `name` of `values`. Errors: ModelError where there is none."""
    mapping = values.get(name) if isinstance(values, dict) else None
    if not isinstance(mapping, dict):
        raise ModelError(f"training.json: {name} cannot be {shown(mapping)}")
    return mapping


def require(name: str, value: Any, is_fit: Any) -> None:
    if not is_fit(value):
        raise ModelError(f"training.json: {name} cannot be {shown(value)}")


def is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and not math.isnan(value)


def is_switch(value: Any) -> bool:
    return type(value) is bool


def is_text(value: Any) -> bool:
    return type(value) is str


def is_figures(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_number, value.values()))


# ----------------------------------------------------------------------------------------- tensors


def check_tensors(tensors: Mapping[str, Tensor], network: StoredModel, rows: int) -> None:
    """Errors: ModelError where a tensor has another shape than this network needs, one of a set is
    missing, or a number is NaN."""
    shapes = {name: tensor.shape for name, tensor in network.named_parameters()}
    carried: dict[str, Tensor] = {}
    if isinstance(network, LanguageNetwork) and any(name.startswith("carried") for name in tensors):
        carried = pack(network.initial_cache(rows), "carried")
    sets: dict[str, set[str]] = defaultdict(set)  # of the parameters of each kind, by its name
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "random":
            continue
        if kind == "carried":
            shape = carried[name].shape if name in carried else None
        else:
            first, _, other = rest.partition(".")
            if kind == "average" and first.isdecimal():  # one of several snapshots
                kind, rest = f"average.{first}", other
            if kind == "optimizer":
                rest, _, moment = rest.rpartition(".")
                kind = f"optimizer.{moment}"
            shape = shapes.get(rest)
            sets[kind].add(rest)
            if kind == "optimizer.step" and shape is not None:
                shape = torch.Size()
            if kind == "optimizer.sum" and shape is not None:  # of each row
                shape = shape[:1]
        if shape is None or tensor.shape != shape:
            wanted = "no such tensor" if shape is None else f"the shape {[*shape]}"
            raise ModelError(
                f"training.safetensors: {name} has the shape {[*tensor.shape]}, and this model has"
                f" {wanted}"
            )
        if not tensor.is_floating_point() or tensor.isnan().any():
            raise ModelError(f"training.safetensors: {name} holds what is no number")
    if carried.keys() - tensors.keys():
        raise ModelError("training.safetensors lacks a part of the carried state")
    moments = [names for kind, names in sets.items() if kind.startswith("optimizer.")]
    averages = [names for kind, names in sets.items() if not kind.startswith("optimizer.")]
    if any(names != moments[0] for names in moments) or any(
        names != shapes.keys() for names in averages
    ):
        raise ModelError("training.safetensors lacks a tensor of a parameter")
    if "random.cpu" not in tensors:
        raise ModelError("training.safetensors lacks random.cpu")
