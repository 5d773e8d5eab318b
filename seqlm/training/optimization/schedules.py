"""Learning-rate schedules.

A schedule is a function of x, the part of the phase that is done (0 at its first step, 1 at its
end), and gives a factor of the peak learning rate. Each may begin with a linear warmup.

    constant    1
    linear      1 - x                                     as in word2vec
    plateau     1, times PLATEAU_FACTOR at every validation without an improvement (see the trainer)
    cosine      (1 + cos pi x) / 2                        Loshchilov & Hutter 2017, eq. 5
    one-cycle   up along a cosine, then down along one    Smith 2018
    wsd         1, then 1 - sqrt u in the cooldown,       warmup-stable-decay: Hu et al. 2024,
                u being the part of it that is done       this decay: Hägele et al. 2024

Those that fall end at FINAL_FACTOR.
"""

from __future__ import annotations

import math

FINAL_FACTOR = 1e-3
"""The factor at the end of the falling schedules."""

PLATEAU_FACTOR = 0.25
"""The learning rate is multiplied by this at a plateau, under 'plateau'."""

ONE_CYCLE_WARMUP = 0.3
"""The part of a cycle that rises if the setting `warmup` is 0."""

SCHEDULES = ("constant", "linear", "cosine", "one-cycle", "plateau", "wsd")


def schedule_factor(schedule: str, x: float, warmup: float, cooldown: float) -> float:
    """The factor of the peak learning rate when the part `x` of the phase is done.

    `warmup` is the part of the phase that rises, `cooldown` the part over which 'wsd' falls.
    """
    if schedule == "one-cycle":  # it has its own warmup
        return one_cycle(x, warmup or ONE_CYCLE_WARMUP)
    if x < warmup:
        return (x + 1e-3) / (warmup + 1e-3)
    if schedule == "wsd":
        return stable_then_decay(x, cooldown)
    u = (x - warmup) / (1 - warmup) if warmup < 1 else 1.0
    if schedule == "linear":
        return FINAL_FACTOR + (1 - FINAL_FACTOR) * (1 - u)
    if schedule == "cosine":
        return cosine_decay(u)
    return 1.0


def cosine_decay(x: float) -> float:
    return FINAL_FACTOR + (1 - FINAL_FACTOR) * (1 + math.cos(math.pi * min(x, 1.0))) / 2


def one_cycle(x: float, warmup: float) -> float:
    """Rises from 1/25 of the peak to the peak at x = `warmup`, then falls."""
    if x < warmup:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * x / warmup)) / 2
    return cosine_decay((x - warmup) / (1 - warmup) if warmup < 1 else 1.0)


def stable_then_decay(x: float, cooldown: float) -> float:
    if x < 1 - cooldown:
        return 1.0
    u = min(1.0, (x - (1 - cooldown)) / cooldown) if cooldown > 0 else 1.0
    return FINAL_FACTOR + (1 - FINAL_FACTOR) * (1 - math.sqrt(u))


def cycled_beta1(largest: float, smallest: float, factor: float) -> float:
    """Adam's beta_1 in a cycle: it falls from `largest` to `smallest` as the schedule's `factor`
    rises from 0 to 1, and comes back (Smith 2018: a large learning rate is momentum enough).
    Howard & Ruder 2018 go from 0.8 to 0.7."""
    return largest - (largest - smallest) * factor
