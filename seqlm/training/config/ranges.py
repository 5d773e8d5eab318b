"""What the value of a setting may be: its type, and between which bounds it lies."""

from __future__ import annotations

import contextlib
import types
import typing
from typing import Any, Literal

from seqlm.errors import UsageError, did_you_mean

RANGES: dict[str, tuple[float, float]] = {
    "valid_fraction": (0.0, 0.5),
    "epochs": (1, 10**9),
    "steps": (1, 10**12),
    "batch_size": (1, 10**7),
    "batch_tokens": (2, 10**9),
    "length": (1, 10**7),
    "max_length": (2, 10**7),
    "accumulate": (1, 10**6),
    "lr": (0.0, 10**6),
    "beta1": (0.0, 0.9999),
    "beta2": (0.0, 0.999999),
    "beta1_lowest": (0.0, 0.9999),
    "epsilon": (1e-12, 1.0),
    "warmup": (0.0, 1.0),
    "cooldown": (0.0, 1.0),
    "clip": (0.0, 10**9),
    "weight_decay": (0.0, 10**3),
    "label_smoothing": (0.0, 0.99),
    "scheduled_sampling_last": (0.01, 0.98),
    "average_decay": (0.0, 0.9999999),
    "average_wait": (1, 10**6),
    "average_last": (1, 10**3),
    "valid_every": (1, 10**12),
    "patience": (1, 10**9),
    "tolerance": (0.0, 10**3),
    "vocab_size": (3, 2**31),
    "min_count": (1, 2**31),
    "width": (1, 10**6),
    "layers": (1, 10**3),
    "embedding": (1, 10**6),
    "order": (2, 10**4),
    "heads": (1, 10**4),
    "kv_heads": (1, 10**4),
    "feed_forward": (1, 10**6),
    "horizon": (1, 10**7),
    "experts": (0, 10**4),
    "experts_active": (1, 10**4),
    "experts_balance": (0.0, 10**3),
    "experts_z": (0.0, 10**3),
    "state": (1, 10**6),
    "expand": (1, 10**3),
    "dt_rank": (1, 10**6),
    "head_width": (1, 10**6),
    "conv": (1, 10**4),
    "cutoffs": (1, 2**31),
    "samples": (1, 2**31),
    "ar": (0.0, 10**3),
    "tar": (0.0, 10**3),
    "seed": (0, 2**63 - 1),
}


def checked(name: str, value: Any, kind: Any) -> Any:
    """`value` as `kind`: bool, int, float, str, Literal[...], tuple[int, ...], or several with |.

    Errors: UsageError that says what was expected.
    """
    union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    kinds = typing.get_args(kind) if union else (kind,)
    if value is None and types.NoneType in kinds:
        return None
    for each in kinds:
        if typing.get_origin(each) is Literal:
            choices = typing.get_args(each)
            if value in choices:
                return value
            raise UsageError(f"{name} is {value!r}{did_you_mean(str(value), choices)}")
        if typing.get_origin(each) is tuple:
            return whole_numbers(name, value)
    if type(value) in (int, str) and float in kinds:  # YAML 1.1 takes 1e-3 for a string
        with contextlib.suppress(ValueError):
            value = float(value)
    if not any(type(value) is each for each in kinds):
        wanted = " or ".join(each.__name__ for each in kinds if each is not types.NoneType)
        raise UsageError(f"{name} is {value!r}; it takes {wanted}")
    check_range(name, value)
    return value


def whole_numbers(name: str, value: Any) -> tuple[int, ...]:
    """A YAML list, or '2000,6000' as a flag has it."""
    parts = value.split(",") if isinstance(value, str) else value
    try:
        numbers = tuple(int(str(part)) for part in parts)
    except (TypeError, ValueError):
        raise UsageError(f"{name} is {value!r}; it takes numbers like 2000,6000") from None
    for number in numbers:
        check_range(name, number)
    return numbers


def check_range(name: str, value: Any) -> None:
    low, high = RANGES.get(name, (-float("inf"), float("inf")))
    if name.startswith("dropout"):
        low, high = 0.0, 0.99
    if type(value) in (int, float) and not low <= value <= high:
        raise UsageError(f"{name} is {value}; it lies between {low:g} and {high:g}")
