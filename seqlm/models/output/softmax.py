"""The output layer: features to a distribution over the vocabulary, never whole in memory.

    z = W f + b            logits, (n, V)
    log p(y) = z_y - log sum_v exp z_v

n positions (B x T, flattened) · D feature width · V vocabulary. The logits of a segment are by far
the largest tensor of a language model (20 x 35 positions x 10 000 types = 28 MB), and every pass
over them costs as much as a layer. `score` and `loss` therefore walk over the positions in chunks;
`loss` makes its gradients in the same walk, while a chunk is still in the cache:

    dL/dz = (softmax(z) - onehot(y)) / n,    dL/df = dL/dz W,    dL/dW = dL/dz' f

With e = exp(z - max z) and s = sum e, softmax is e / s, and the division is moved from the
(n, V) tensor to the (n, D) ones beside it: one exponential a logit and no other pass that writes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from seqlm.models.layers.linear import linear, product

CHUNK = 1 << 21  # logits held at once on a CPU: 8 MB, about what a core's share of cache holds
CHUNK_CUDA = 1 << 26


class Head(nn.Module):
    """An output layer: features (.., D) to a distribution over V types."""

    weight: nn.Parameter
    """(V, D), a row a type: the embedding too, where the two are tied."""
    smooths: bool = False
    """Whether it knows `spread`."""

    @abstractmethod
    def log_probs(self, features: Tensor) -> Tensor:
        """(.., D) -> (.., V) natural log."""

    def score(self, features: Tensor, targets: Tensor) -> Tensor:
        """(.., D), (..) -> (..) log probability of each target; exact, in chunks of positions."""
        flat, wanted = features.reshape(-1, features.shape[-1]), targets.reshape(-1, 1)
        scores = [
            self.log_probs(f).gather(1, y)
            for f, y in zip(*(x.split(rows_at_once(self.weight)) for x in (flat, wanted)))
        ]
        return torch.cat(scores).view(targets.shape) if scores else flat.new_zeros(targets.shape)

    @abstractmethod
    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """(.., D), (..) -> mean negative log probability of the targets, natural log.

        In training mode it may be an estimate.
        """

    def spread(self, features: Tensor, targets: Tensor) -> Tensor:
        """What label smoothing (Szegedy et al. 2016) adds to the loss, for each unit of smoothing.

        Where all types together have the share e of a target's weight,

            -(1 - e) log p(y) - e mean log p(v)  =  -log p(y) + e (z_y - mean z)
        """
        raise NotImplementedError


def drawn(vocab_size: int, width: int) -> nn.Parameter:
    """(V, D) from U(+-0.1): an output layer's matrix, or an embedding of its own."""
    return nn.Parameter(torch.empty(vocab_size, width).uniform_(-0.1, 0.1))


class Softmax(Head):
    """A full softmax. Its weight (V, D) may serve as the embedding too (tied)."""

    smooths = True

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.weight = drawn(vocab_size, width)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def log_probs(self, features: Tensor) -> Tensor:
        return product(features, self.weight, self.bias).log_softmax(-1)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        flat, wanted = features.reshape(-1, features.shape[-1]), targets.reshape(-1)
        loss: Tensor = CrossEntropy.apply(flat, self.weight, self.bias, wanted)
        return loss

    def spread(self, features: Tensor, targets: Tensor) -> Tensor:
        above = (features * (self.weight[targets] - self.weight.mean(0))).sum(-1)
        return (above + self.bias[targets] - self.bias.mean()).mean()


def rows_at_once(weight: Tensor) -> int:
    """Positions of a chunk: at least D, so that its logits cost more than the weight's gradient."""
    types, width = weight.shape
    return max(width, (CHUNK_CUDA if weight.is_cuda else CHUNK) // types)


class CrossEntropy(torch.autograd.Function):
    """mean(-log softmax(f W' + b)[y]), its gradients formed chunk by chunk in the forward walk."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
    ) -> Tensor:
        gradients = torch.empty_like(features), torch.zeros_like(weight), torch.zeros_like(bias)
        n = max(1, len(features))
        total = summed_cross_entropy(features, weight, bias, targets, n, *gradients)
        ctx.save_for_backward(*gradients)
        return total / n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return *(d * grads[0] for d in ctx.saved_tensors), None


def summed_cross_entropy(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    n: int,
    d_features: Tensor,
    d_weight: Tensor,
    d_bias: Tensor,
) -> Tensor:
    """sum(-log softmax(f W' + b)[y]) of (m, D) features; -> (), and the gradients of 1/n of it.

    Sets `d_features` (m, D), adds to `d_weight` (V, D) and `d_bias` (V,).
    """
    total = weight.new_zeros(())
    step = rows_at_once(weight)
    for at in range(0, len(features), step):
        f, y = features[at : at + step], targets[at : at + step, None]  # (c, D), (c, 1)
        z = linear(f, weight, bias)  # (c, V)
        right = z.gather(1, y)
        most = z.amax(1, keepdim=True)
        e = z.sub_(most).exp_()
        s = e.sum(1, keepdim=True)  # (c, 1)
        total += (s.log() + most - right).sum()
        share = 1 / (n * s)
        d_features[at : at + step] = linear(e, weight.t()).mul_(share)
        d_weight += linear(e.t(), (f * share).t())
        d_bias.addmv_(e.t(), share[:, 0])
    # What the one-hot part of dL/dz adds, m positions only.
    d_features.sub_(weight[targets], alpha=1 / n)
    d_weight.index_add_(0, targets, features, alpha=-1 / n)
    d_bias.index_add_(0, targets, bias.new_full((len(features),), -1 / n))
    return total
