"""Arithmetic in 16 bits where it is fast enough to be worth it (Micikevicius et al. 2018).

Weights, moments, averages, the carried state and the output layer stay in float32. The matrix
products of the network in between are computed in the lower precision (`torch.autocast`).

    bfloat16   float32's range at 8 bits of precision, so that nothing underflows that did not
    float16    11 bits of precision, but nothing below 6e-8: the loss is multiplied by a scale S
               before the backward pass, and the gradients are divided by it; S is halved when one
               of them overflows (and that step is skipped), and doubled after 2000 steps without

On CUDA the scale is used for both: cuDNN's recurrent layers compute in float16 under either.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqlm.errors import UsageError
from seqlm.training.optimization.optimizer import optimized_parameters

AUTOCAST_DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def check_precision(name: str, device: torch.device) -> None:
    """Errors: UsageError if `device` does not compute in that precision."""
    if not is_supported(name, device):
        raise UsageError(f"`precision={name}`: {device.type} does not compute in it here")


def is_supported(name: str, device: torch.device) -> bool:
    """Whether `device` computes in that precision faster than in float32."""
    if name == "float32":
        return True
    if device.type == "cuda":
        return name == "float16" or torch.cuda.is_bf16_supported(including_emulation=False)
    # Without the processor's own instructions it would be slower than float32.
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    return device.type == "cpu" and name == "bfloat16" and bool(supported())


class Precision:
    """The arithmetic of a training step: `autocast` around its forward pass, `backward`, `step`."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.device, self.dtype = device, AUTOCAST_DTYPES[name]
        scaled = self.dtype is not None and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)

    def autocast(self) -> AbstractContextManager[None]:
        context: AbstractContextManager[None] = torch.autocast(
            self.device.type, self.dtype, enabled=self.dtype is not None
        )
        return context

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def step(self, optimizer: Optimizer, clip: float) -> None:
        """A step of the optimizer. Gradients are clipped to norm `clip`; 0 does not clip."""
        self.scaler.unscale_(optimizer)
        if clip:
            nn.utils.clip_grad_norm_(optimized_parameters(optimizer), clip, foreach=True)
        self.scaler.step(optimizer)
        self.scaler.update()
