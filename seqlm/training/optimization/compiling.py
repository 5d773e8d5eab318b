"""`torch.compile` for the network's training pass; evaluation, with shapes of its own, is without.

One graph for each shape of segment, and not one for all shapes, so that a resumed run computes with
the same kernels as the unbroken one, whichever shape it meets first. Lines have too many lengths
for that: they share one.
"""

from __future__ import annotations

import warnings

import torch

from seqlm.text.batches import Batch
from seqlm.training.optimization.objective import Objective

SHAPES = 64
"""Graphs that torch keeps before it gives up on a function."""


def compile_objective(objective: Objective, batch: Batch, dynamic: bool) -> None:
    """Compiles what reads segments, and tries it on `batch`; a warning where that fails.

    `dynamic`: one graph for all shapes. No random number is used up, no gradient left.
    """
    network = objective.network
    devices = [network.device] if network.device.type == "cuda" else []
    torch._dynamo.config.recompile_limit = SHAPES
    plain, objective.read = objective.read, torch.compile(objective.read, dynamic=dynamic)
    try:
        with torch.random.fork_rng(devices), warnings.catch_warnings(action="ignore"):
            loss, *_ = objective(batch, None)
            loss.backward()
    except Exception as error:  # the compiler's, of many kinds; any other comes again without it
        objective.read = plain
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        warnings.warn(f"torch.compile fails and is left out: {reason}", stacklevel=2)
    network.zero_grad()
