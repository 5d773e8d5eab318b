"""Arithmetic in 16 bits where it is fast enough to be worth it (Micikevicius et al. 2018).

Weights, moments, averages, the carried state and the output layer stay in float32; what is between,
the network's own matrix products, is computed in the lower precision (`torch.autocast`).

    bfloat16   float32's range at 8 bits of precision: nothing can underflow that did not
    float16    11 bits, but nothing below 6e-8: the loss is multiplied by a scale S before the
               backward pass and the gradients divided by it; S is halved when one of them overflows
               (and that step left out), and doubled after 2000 steps without

On CUDA the scale is used for both: cuDNN's recurrences compute in float16 under either.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqlm.errors import UsageError
from seqlm.training.optimization.optimizer import trained

LOWER = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def check_precision(name: str, device: torch.device) -> None:
    """Errors: UsageError where `device` has no arithmetic of that precision."""
    if not available(name, device):
        raise UsageError(f"--precision {name}: {device.type} does not compute in it here")


def available(name: str, device: torch.device) -> bool:
    if name == "float32":
        return True
    if device.type == "cuda":
        return name == "float16" or torch.cuda.is_bf16_supported(including_emulation=False)
    # Without the processor's own instructions it would be slower than float32.
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    return device.type == "cpu" and name == "bfloat16" and bool(supported())


class Precision:
    """How a step computes: `autocast` goes round its forward pass, then `backward`, `update`."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.device, self.dtype = device, LOWER[name]
        scaled = self.dtype is not None and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)

    def autocast(self) -> AbstractContextManager[None]:
        lower = self.dtype is not None
        context: AbstractContextManager[None] = torch.autocast(
            self.device.type, self.dtype, enabled=lower
        )
        return context

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def update(self, optimizer: Optimizer, clip: float) -> None:
        """A step of the optimiser, with gradients of norm `clip` at most where that is not 0."""
        self.scaler.unscale_(optimizer)
        if clip:
            nn.utils.clip_grad_norm_(trained(optimizer), clip, foreach=True)
        self.scaler.step(optimizer)
        self.scaler.update()
