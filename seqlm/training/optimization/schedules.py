"""Learning-rate schedules.

A schedule is a function of x, the part of the phase that is done (0 at its first step, 1 at its
end), and gives a factor of the peak rate. Every one may begin with a linear warm-up.

    constant    1
    plateau     1, times PLATEAU at every validation without a gain (the loop's doing)
    cosine      (1 + cos pi x) / 2                        Loshchilov & Hutter 2017, eq. 5
    one-cycle   up along a cosine, then down one          Smith 2018
    wsd         1, then 1 - sqrt u over the last share    warmup-stable-decay: Hu et al. 2024,
                of training, u being the part of it done  this decay: Hägele et al. 2024

Those that fall end at LOWEST.
"""

from __future__ import annotations

import math

LOWEST = 1e-3
"""The factor that the falling schedules end at."""

PLATEAU = 0.25
"""What a stall multiplies the rate by, under 'plateau'."""

UP = 0.3
"""The part of a cycle that rises, where `--warmup` does not say."""

SCHEDULES = ("constant", "cosine", "one-cycle", "plateau", "wsd")


def factor(schedule: str, done: float, warmup: float, cooldown: float) -> float:
    """The factor of the peak rate when `done` of the phase is behind.

    `warmup` is the part of it that rises, `cooldown` the part over which 'wsd' falls.
    """
    if schedule == "one-cycle":  # which rises by itself
        return one_cycle(done, warmup or UP)
    if done < warmup:
        return (done + 1e-3) / (warmup + 1e-3)
    if schedule == "wsd":
        return stable_decay(done, cooldown)
    if schedule == "cosine":
        return cosine((done - warmup) / (1 - warmup) if warmup < 1 else 1.0)
    return 1.0


def cosine(x: float) -> float:
    return LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * min(x, 1.0))) / 2


def one_cycle(x: float, up: float) -> float:
    """From 1/25 of the peak up to it at x = `up`, then down."""
    if x < up:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * x / up)) / 2
    return cosine((x - up) / (1 - up) if up < 1 else 1.0)


def stable_decay(x: float, cooldown: float) -> float:
    if x < 1 - cooldown:
        return 1.0
    u = min(1.0, (x - (1 - cooldown)) / cooldown) if cooldown > 0 else 1.0
    return LOWEST + (1 - LOWEST) * (1 - math.sqrt(u))


def cycled(beta1: float, lowest: float, factor: float) -> float:
    """Adam's beta_1 in a cycle: it falls to `lowest` as the rate rises, and comes back (Smith
    2018: a large rate is momentum enough). Howard & Ruder 2018 go from 0.8 to 0.7."""
    return beta1 - (beta1 - lowest) * factor
