"""The interface of an output layer, and the number of positions that it takes at a time.

n positions (B x T, flattened) · D feature width · V vocabulary. The logits of a segment are by far
the largest tensor of a language model (20 x 35 positions x 10 000 types = 28 MB), and every pass
over them costs as much as a layer. `score` and `loss` therefore walk over the positions in chunks.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK = 1 << 22
"""Logits in memory at once on a CPU: 16 MB, about a core's share of the processor's cache. Larger
products are faster, and a smaller tensor is walked over faster."""
CHUNK_CUDA = 1 << 26


class OutputLayer(nn.Module):
    """An output layer: features (.., D) to a distribution over V types."""

    weight: nn.Parameter
    """(V, D), a row for each type; it is the embedding too where the two are tied."""
    supports_label_smoothing: bool = False
    """Whether it has a `smoothing_loss`."""

    @abstractmethod
    def log_probs(self, features: Tensor) -> Tensor:
        """(.., D) -> (.., V) natural log."""

    def score(self, features: Tensor, targets: Tensor) -> Tensor:
        """(.., D), (..) -> (..) log probability of each target; exact, in chunks of positions."""
        f, y = features.reshape(-1, features.shape[-1]), targets.reshape(-1, 1)
        size = positions_at_once(self.weight)
        scores = [
            self.log_probs(chunk).gather(1, chunk_targets)
            for chunk, chunk_targets in zip(f.split(size), y.split(size))
        ]
        return torch.cat(scores).view(targets.shape) if scores else f.new_zeros(targets.shape)

    @abstractmethod
    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """(.., D), (..) -> mean negative log probability of the targets, natural log.

        In training mode it may be an estimate.
        """

    def smoothing_loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """What label smoothing (Szegedy et al. 2016) adds to the loss, for each unit of smoothing.

        A target y gets the weight 1 - e, and all types share the weight e evenly:

            -(1 - e) log p(y) - e mean log p(v)  =  -log p(y) + e (z_y - mean z)
        """
        raise NotImplementedError


class LossWithGradients(torch.autograd.Function):
    """A loss whose gradients are computed with it: `compute` is a function of tensors that returns
    the loss () and the gradient of each.

    Gradients are as large as the weights. The backward pass does not copy them, nor multiply them
    by 1; a second one has to compute them again.
    """

    @staticmethod
    def forward(ctx: Any, compute: Compute, *tensors: Tensor) -> Tensor:
        ctx.compute = compute
        ctx.save_for_backward(*tensors)
        loss, ctx.gradients = compute(*tensors)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_loss: Tensor) -> Any:
        gradients = ctx.gradients or ctx.compute(*ctx.saved_tensors)[1]
        ctx.gradients, factor = None, d_loss[0]
        if factor.device.type != "cpu" or factor != 1:  # to look at a number on a GPU, one waits
            for gradient in gradients:
                gradient.mul_(factor)
        return None, *gradients


Compute = Callable[..., tuple[Tensor, Sequence[Tensor]]]


def rows_at(weight: Tensor, bias: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of `weight` (V, D) and `bias` (V,) of the ids (n,), differentiable.

    Not `weight[ids]`: on a CPU with several threads the gradient of indexing adds what belongs to
    one row in the order in which threads come, and two runs would give two results.
    """
    return nn.functional.embedding(ids, weight), bias.gather(0, ids)


def init_embedding(vocab_size: int, width: int) -> nn.Parameter:
    """(V, D) from U(+-0.1), for an output layer's matrix or an embedding."""
    return nn.Parameter(torch.empty(vocab_size, width).uniform_(-0.1, 0.1))


def positions_at_once(weight: Tensor) -> int:
    """Positions of a chunk for `weight` (V, D): at least D, so that computing the logits costs more
    than adding to the weight's gradient."""
    types, width = weight.shape
    return max(width, (CHUNK_CUDA if weight.is_cuda else CHUNK) // types)
