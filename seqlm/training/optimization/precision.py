"""Arithmetic with fewer bits where it is fast enough to be worth it (Micikevicius et al. 2018).

Weights, moments, averages and the carried state stay in float32. The factors of matrix products are
rounded:

    tf32       float32's range at 11 bits of precision, on CUDA from the generation of the A100 on
    bfloat16   float32's range at 8 bits of precision, so that nothing underflows that did not
    float16    11 bits of precision, but nothing below 6e-8: the loss is multiplied by a scale S
               before the backward pass, and the gradients are divided by it; S is halved when one
               of them overflows (and that step is skipped), and doubled after 2000 steps without

On CUDA `tf32`, the default where there is one, rounds the factors of all products; all tensors are
float32. In the other two the network computes in 16 bits (`torch.autocast`), the output layer in
float32. cuDNN's recurrent layers compute in float16 under either, so that both are scaled then.

On a CPU the products of the network and of the output layer, and those of their gradients, have
factors of bfloat16 and sums of float32 (`linear.py`); all tensors are float32. That is the default
where `pays` finds that the processor multiplies so much faster. Evaluation is in float32.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqlm.errors import UsageError
from seqlm.machine.threads import one_thread
from seqlm.models.layers.linear import bfloat16_products, onednn_linear
from seqlm.models.stored_model import StoredModel
from seqlm.models.vectors.word_vector_model import WordVectorModel
from seqlm.settings import any_of
from seqlm.training.optimization.optimizer import optimized_parameters

PrecisionName = Literal["float32", "tf32", "bfloat16", "float16"]
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def check_precision(name: str, device: torch.device) -> None:
    """Errors: UsageError if `device` does not compute in that precision."""
    if not is_supported(name, device):
        others = [other for other in get_args(PrecisionName) if is_supported(other, device)]
        raise UsageError(
            f"`precision={name}`: {device.type} does not compute in it here, but in"
            f" {any_of(others)}"
        )


def is_supported(name: str, device: torch.device) -> bool:
    """Whether `device` computes in that precision, and not by emulating it."""
    if name == "float32":
        return True
    if device.type == "cuda":  # tf32 and bfloat16 came with the same generation
        return name == "float16" or torch.cuda.is_bf16_supported(including_emulation=False)
    # Without the processor's own instructions it would be slower than float32.
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    return device.type == "cpu" and name == "bfloat16" and bool(supported())


# ------------------------------------------------------------------------------------- the default

LEAST_WEIGHTS = 1 << 16
"""Weights of a matrix whose products are worth rounding for: of smaller ones, calling the product
is most of the time."""
LEAST_GAIN = 1.25
"""How many times as fast products of bfloat16 have to be."""


def default_precision(network: StoredModel, device: torch.device) -> PrecisionName:
    """tf32 on CUDA; bfloat16 on a CPU that multiplies in it faster, where `network` has a large
    matrix; else float32, as for word vectors."""
    if isinstance(network, WordVectorModel) or device.type not in ("cpu", "cuda"):
        return "float32"
    if device.type == "cuda":
        return "tf32" if is_supported("tf32", device) else "float32"
    largest = max((p.numel() for p in network.parameters() if p.ndim == 2), default=0)
    return "bfloat16" if largest >= LEAST_WEIGHTS and pays() else "float32"


@cache
def pays() -> bool:
    """Whether this CPU multiplies factors of bfloat16 faster, rounding them included.

    Both products are tried, for some hundredths of a second. The decision is the same for all
    sizes, and it is recorded in the run: a resumed run computes as the unbroken one does.
    """
    return is_supported("bfloat16", torch.device("cpu")) and gain() >= LEAST_GAIN


@one_thread()
@torch.no_grad()
def gain(rows: int = 512, width: int = 256, types: int = 2048, trials: int = 5) -> float:
    """How many times as fast a product (rows, width) (width, types) is with factors of bfloat16."""
    x, weight = torch.ones(rows, width), torch.ones(types, width)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(trials):
        for rounded, times in seconds.items():
            with bfloat16_products(rounded):
                started = time.thread_time()
                onednn_linear(x, weight)
                times.append(time.thread_time() - started)
    return min(seconds[False]) / min(seconds[True])


# ---------------------------------------------------------------------------------- a training step


class Precision:
    """The arithmetic of a training step: `autocast` around the network's forward pass, `products`
    around the output layer's, `backward`, `step`."""

    def __init__(self, name: str | None, network: StoredModel) -> None:
        """`name` is None where nothing was decided: float32."""
        self.device, self.dtype = network.device, DTYPES.get(name or "float32")
        self.is_tf32 = name == "tf32"
        has_float16 = name == "float16" or any(isinstance(m, nn.RNNBase) for m in network.modules())
        scaled = self.dtype is not None and self.device.type == "cuda" and has_float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)

    def autocast(self) -> AbstractContextManager[None]:
        if self.device.type == "cpu" or self.is_tf32:
            return self.products()
        context: AbstractContextManager[None] = torch.autocast(
            self.device.type, self.dtype, enabled=self.dtype is not None
        )
        return context

    def products(self) -> AbstractContextManager[None]:
        """The factors of products are rounded to tf32, or on a CPU to bfloat16, if that is the
        precision."""
        return tf32_products() if self.is_tf32 else bfloat16_products(self.dtype is not None)

    def backward(self, loss: Tensor) -> None:
        with self.products():
            self.scaler.scale(loss).backward()

    def step(self, optimizer: Optimizer, clip: float) -> None:
        """A step of the optimizer. Gradients are clipped to norm `clip`; 0 does not clip."""
        self.scaler.unscale_(optimizer)
        if clip:
            nn.utils.clip_grad_norm_(optimized_parameters(optimizer), clip, foreach=True)
        self.scaler.step(optimizer)
        self.scaler.update()


@contextmanager
def tf32_products() -> Iterator[None]:
    """Products on CUDA round their factors to 11 bits here."""
    backends: Any = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = True
        yield
    finally:
        for backend, allowed in zip(backends, before):
            backend.allow_tf32 = allowed
