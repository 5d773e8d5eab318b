"""`torch.compile` for the network's training pass. Evaluation has other shapes and is uncompiled.

There is one graph for each shape of segment, rather than one for all shapes, so that a resumed run
computes with the same kernels as the unbroken one, whichever shape it meets first. Whole lines and
segments of random lengths have too many lengths for that, and share one graph.
"""

from __future__ import annotations

import warnings

import torch

from seqlm.text.batches import Batch
from seqlm.training.optimization.objective import Objective
from seqlm.training.signals import Interruption

MAX_GRAPHS = 64
"""Graphs of one function before torch gives up compiling it."""


def compile_objective(
    objective: Objective, batch: Batch, dynamic: bool, interruption: Interruption
) -> None:
    """Compiles the network's pass over a segment, and tries it on `batch`.

    `dynamic` asks for one graph for all shapes. A failure is a warning, unless an `interruption` is
    the cause, and training goes on uncompiled. The trial draws no random number that counts, and
    leaves no gradient.
    """
    network = objective.network
    devices = [network.device] if network.device.type == "cuda" else []
    torch._dynamo.config.recompile_limit = MAX_GRAPHS
    uncompiled = objective.network_pass
    objective.network_pass = torch.compile(uncompiled, dynamic=dynamic)
    try:
        with torch.random.fork_rng(devices), warnings.catch_warnings(action="ignore"):
            loss, *_ = objective(batch, None)
            loss.backward()
    except Exception as error:  # the compiler raises many kinds; an error of ours comes up again
        objective.network_pass = uncompiled
        if interruption.is_requested:  # which has ended the compiler too
            return
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        warnings.warn(f"torch.compile failed and is left out: {reason}", stacklevel=2)
    network.zero_grad()
