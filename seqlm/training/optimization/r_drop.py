"""R-drop (Liang et al. 2021): two passes over a batch, with other dropout, shall predict the same.

    p, q    what the two passes predict at a position, from the logits z and u
    D       (KL(p | q) + KL(q | p)) / 2  =  sum_v (p_v - q_v) (log p_v - log q_v) / 2
    loss    (-log p(y) - log q(y)) / 2  +  a / 2 mean D           half of the paper's

`twice` repeats the rows of a batch, so that one pass over it is both passes. D costs as much as the
loss of the output layer, and like that it computes its gradients in the same walk over chunks of
positions:

    d = log p - log q        dD/dz = (p (d - sum p d) + p - q) / 2
                             dD/du = (q (sum q d - d) + q - p) / 2

n positions of one pass · D feature width · V vocabulary
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlm.models.layers.linear import onednn_linear
from seqlm.models.output.output_layer import positions_at_once
from seqlm.models.output.softmax import Softmax
from seqlm.text.batches import Batch


def twice(batch: Batch) -> Batch:
    """Every row of a batch of translations twice: all rows, and all rows once more."""
    assert batch.source is not None
    assert batch.source_lengths is not None
    rows = (batch.inputs, batch.targets, batch.source, batch.source_lengths)
    inputs, targets, source, lengths = (torch.cat([tensor, tensor]) for tensor in rows)
    return Batch(inputs, targets, batch.starts_afresh, 2 * batch.num_targets, source, lengths)


def disagreement(output_layer: Softmax, features: Tensor) -> Tensor:
    """The mean of D over n positions; `features` (.., D) are those of one pass, and then those of
    the other."""
    f = features.reshape(-1, features.shape[-1])  # (2n, D)
    mean: Tensor = Disagreement.apply(f, output_layer.weight, output_layer.bias)
    return mean


class Disagreement(torch.autograd.Function):
    """mean D; the forward pass computes the gradients chunk by chunk."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        n, step = max(1, len(features) // 2), positions_at_once(weight)
        d_features, d_weight, d_bias = map(torch.zeros_like, (features, weight, bias))
        total = weight.new_zeros(())
        for both, d_both in zip(
            zip(*(part.split(step) for part in features.chunk(2))),
            zip(*(part.split(step) for part in d_features.chunk(2))),
        ):
            log_p, log_q = (onednn_linear(f, weight, bias).log_softmax(1) for f in both)  # (c, V)
            p, q = log_p.exp(), log_q.exp()
            d = log_p.sub_(log_q)
            p_minus_q = p - q
            total += (p_minus_q * d).sum() / 2
            d_z = p.mul_(d - (p * d).sum(1, keepdim=True)).add_(p_minus_q).div_(2 * n)
            d_u = q.mul_((q * d).sum(1, keepdim=True) - d).sub_(p_minus_q).div_(2 * n)
            for f, d_f, d_logits in zip(both, d_both, (d_z, d_u)):
                d_f.copy_(onednn_linear(d_logits, weight.t()))
                d_weight += onednn_linear(d_logits.t(), f.t())
                d_bias += d_logits.sum(0)
        ctx.save_for_backward(d_features, d_weight, d_bias)
        return total / n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return tuple(d * grads[0] for d in ctx.saved_tensors)
