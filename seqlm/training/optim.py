"""Optimisers and learning-rate schedules.

A schedule is a function of x, the part of the phase that is done (0 at its first step, 1 at its
end), and gives a factor of the peak rate. Every one may begin with a linear warm-up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

DEFAULT_RATE = {"adamw": 5e-3, "sgd": 20.0}
"""Peak rates for recurrent networks; SGD's goes with gradients clipped to 0.25."""


def optimizer(
    name: str, parameters: Iterable[nn.Parameter], rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """'adamw' (Loshchilov & Hutter 2019; beta2 0.99, as recurrent gradients change fast) or 'sgd'.

    Both fused: one pass over the parameters, on CPU as on GPU.
    """
    if name == "adamw":
        return torch.optim.AdamW(
            parameters, lr=rate, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True
        )
    return torch.optim.SGD(parameters, lr=rate, weight_decay=weight_decay, fused=True)


Schedule = Callable[[float], float]

LOWEST = 1e-3
"""The factor that the falling schedules end at."""


def constant(x: float) -> float:
    return 1.0


def cosine(x: float) -> float:
    """Loshchilov & Hutter 2017, eq. 5, one period."""
    return LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * min(x, 1.0))) / 2


UP = 0.3
"""The part of a cycle that rises, where `--warmup` does not say."""


def one_cycle(x: float, up: float = UP) -> float:
    """Smith 2018, with cosine slopes: up from 1/25 of the peak, then down."""
    if x < up:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * x / up)) / 2
    return cosine((x - up) / (1 - up) if up < 1 else 1.0)


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "cosine": cosine,
    "one-cycle": one_cycle,
    "plateau": constant,  # the loop divides the rate when validation stalls
}

PLATEAU = 0.25
"""What a stall multiplies the rate by, under 'plateau'."""


def factor(schedule: str, done: float, warmup: float) -> float:
    """The factor of the peak rate when `done` of the phase is behind, `warmup` of it rising."""
    if schedule == "one-cycle":  # which rises by itself
        return one_cycle(done, warmup or UP)
    if done < warmup:
        return (done + 1e-3) / (warmup + 1e-3)
    return SCHEDULES[schedule]((done - warmup) / (1 - warmup) if warmup < 1 else 1.0)
