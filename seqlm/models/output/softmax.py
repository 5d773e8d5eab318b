"""The full softmax over the vocabulary, whose logits are never all in memory.

    z = W f + b            logits, (n, V)
    log p(y) = z_y - log sum_v exp z_v

n positions (B x T, flattened) · D feature width · V vocabulary. `loss` computes its gradients in
the same walk over chunks of positions, while a chunk is still in the cache:

    dL/dz = (softmax(z) - onehot(y)) / n,    dL/df = dL/dz W,    dL/dW = dL/dz' f

With e = exp(z - max z) and s = sum e, softmax is e / s. The division by s is done on the (n, D)
tensors that e is multiplied with: after the exponential nothing is written to the (n, V) tensor.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from seqlm.models.layers.linear import add_weight_gradient, linear, onednn_linear
from seqlm.models.output.output_layer import (
    LossWithGradients,
    OutputLayer,
    init_embedding,
    positions_at_once,
    rows_at,
)


class Softmax(OutputLayer):
    """A full softmax. Its weight (V, D) may be the embedding too."""

    supports_label_smoothing = True

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.weight = init_embedding(vocab_size, width)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def log_probs(self, features: Tensor) -> Tensor:
        return linear(features, self.weight, self.bias).log_softmax(-1)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        f, y = features.reshape(-1, features.shape[-1]), targets.reshape(-1)
        compute = partial(cross_entropy, targets=y)
        loss: Tensor = LossWithGradients.apply(compute, f, self.weight, self.bias)
        return loss

    def smoothing_loss(self, features: Tensor, targets: Tensor) -> Tensor:
        f, y = features.reshape(-1, features.shape[-1]), targets.reshape(-1)
        weight, bias = rows_at(self.weight, self.bias, y)  # (n, D), (n,)
        centered = (f * (weight - self.weight.mean(0))).sum(-1)
        return (centered + bias - self.bias.mean()).mean()


def cross_entropy(
    features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """mean(-log softmax(f W' + b)[y]), and the gradients of the first three."""
    gradients = [torch.empty_like(tensor) for tensor in (features, weight, bias)]
    n = max(1, len(features))
    total = summed_cross_entropy(features, weight, bias, targets, n, *gradients)
    return total / n, gradients


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
    """sum(-log softmax(f W' + b)[y]) of features (m, D) -> (), and the gradients of 1/n of it.

    It sets `d_features` (m, D), `d_weight` (V, D) and `d_bias` (V,).
    """
    total = weight.new_zeros(())
    if len(features) == 0:
        d_weight.zero_()
        d_bias.zero_()
    step = positions_at_once(weight)
    for begin in range(0, len(features), step):
        chunk = slice(begin, begin + step)
        f, y = features[chunk], targets[chunk, None]  # (c, D), (c, 1)
        z = onednn_linear(f, weight, bias)  # (c, V)
        z_y = z.gather(1, y)
        max_z = z.amax(1, keepdim=True)
        e = z.sub_(max_z).exp_()
        s = e.sum(1, keepdim=True)  # (c, 1)
        total += (s.log() + max_z - z_y).sum()
        scale = 1 / (n * s)
        d_features[chunk] = onednn_linear(e, weight.t()).mul_(scale)
        add_weight_gradient(e, f * scale, to=d_weight, begin=begin == 0)
        d_bias.addmv_(e.t(), scale[:, 0], beta=0 if begin == 0 else 1)
    # The one-hot part of dL/dz, which is not 0 at m logits only.
    d_features.sub_(weight[targets], alpha=1 / n)
    d_weight.index_add_(0, targets, features, alpha=-1 / n)
    d_bias.index_add_(0, targets, bias.new_full((len(features),), -1 / n))
    return total
