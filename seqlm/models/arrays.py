"""Arrays of either kind: those of numpy, which n-grams are asked with, and PyTorch's tensors.

Decoders are written once for both. Where the two libraries spell an operation alike, as most of
those in the array API standard (data-apis.org), they take it from the library of their argument:

    xp = library(log_probs)          numpy or torch
    p = xp.exp(log_probs)

Where they do not, it is in this file, under the name that it has in PyTorch. Nothing here imports
torch before there is a tensor.

    B rows · N columns, of which K are chosen · R rows that are chosen
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from seqlm.errors import ModelError

F = TypeVar("F", bound=Callable[..., Any])
Numbers = TypeVar("Numbers")

Array = Any
"""An array of numpy, or a tensor."""


def is_array(value: Any) -> bool:
    return hasattr(value, "ndim")


def library(array: Array) -> Any:
    """numpy or torch, whose the array is."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def as_like(values: np.ndarray, array: Array) -> Array:
    """`values` as `array` is: an array of numpy, or a tensor on the same device."""
    if isinstance(array, np.ndarray):
        return values
    return library(array).from_numpy(values).to(array.device)


def to_numpy(array: Array) -> np.ndarray:
    values: np.ndarray = array if isinstance(array, np.ndarray) else array.cpu().numpy()
    return values


def to_float64(array: Array) -> np.ndarray:
    """As float64 of numpy, which not every device has."""
    if isinstance(array, np.ndarray):
        return array.astype(np.float64)
    values: np.ndarray = array.cpu().double().numpy()
    return values


def double(array: Array) -> Array:
    """float64."""
    return array.astype(np.float64) if isinstance(array, np.ndarray) else array.double()


def index_select(array: Array, rows: Array) -> Array:
    """(B, ..), (R,) -> (R, ..) the given rows."""
    return array[rows] if isinstance(array, np.ndarray) else array.index_select(0, rows)


def gather(array: Array, columns: Array) -> Array:
    """(B, N), (B, K) -> (B, K) the given columns of each row."""
    if isinstance(array, np.ndarray):
        return np.take_along_axis(array, columns, 1)
    return array.gather(1, columns)


def scatter(array: Array, columns: Array, values: Array) -> Array:
    """(B, N), (B, K), (B, K) -> (B, N) a copy in which the given columns of each row have these
    values."""
    if not isinstance(array, np.ndarray):
        return array.scatter(1, columns, values)
    copy = array.copy()
    np.put_along_axis(copy, columns, values, 1)
    return copy


def argsort(array: Array) -> Array:
    """The indices that sort the last axis, rising; equals keep their order."""
    if isinstance(array, np.ndarray):
        return array.argsort(kind="stable")
    return array.argsort(stable=True)


def topk(array: Array, k: int) -> tuple[Array, Array]:
    """(B, N) -> (B, K) the k highest of each row, falling, and their columns; equals come in any
    order."""
    if not isinstance(array, np.ndarray):
        best = array.topk(k)
        return best.values, best.indices
    columns = array.argpartition(array.shape[1] - k, 1)[:, array.shape[1] - k :]
    columns = gather(columns, gather(array, columns).argsort(1)[:, ::-1])
    return gather(array, columns), columns


def check_numbers(log_probs: Numbers) -> Numbers:
    """`log_probs` themselves. Errors: ModelError where one is NaN, as those of a network are whose
    finite weights are so large that what it computes from them is not."""
    if library(log_probs).isnan(log_probs).any():
        raise ModelError("this model gives NaN where a probability should be: its weights are bad")
    return log_probs


def without_gradients(function: F) -> F:
    """The function, or generator, with tensors that record nothing for gradients."""

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        torch = sys.modules.get("torch")
        unrecorded = torch.inference_mode()(function) if torch else function
        return unrecorded(*arguments, **named)

    return cast(F, call)
