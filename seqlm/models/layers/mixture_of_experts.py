"""A mixture of experts in place of one feed-forward sublayer (Shazeer et al. 2017).

A router sends each position to k of E feed-forward networks, the experts, and adds up their outputs
with weights. The losses are those of Fedus et al. (2022) and Zoph et al. (2022).

    z = W_r x,  p = softmax(z)                             (n, E), in float32
    y = sum over the k largest p_i of  p_i / (their sum) f_i(x)        (k = 1: p_i f_i(x))
    penalty = β E sum_i F_i P_i  +  ζ mean (log sum exp z)²

n positions · F_i the share of all choices that fell on expert i, P_i the mean of p_i. The first
term is smallest where all experts are used alike; the second keeps the logits small. No expert has
a capacity: none drops a position, so no row of a batch depends on another.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlm.models.layers.feed_forward import FeedForward


class Routing(NamedTuple):
    """How a router distributed a batch."""

    penalty: Tensor  # ()
    shares: Tensor  # (E,), F, detached


class MixtureOfExperts(nn.Module):
    """E experts behind a router without a bias, which sends every position to k of them."""

    def __init__(
        self,
        experts: list[FeedForward],
        experts_per_token: int,
        width: int,
        balance: float,
        z_loss: float,
    ) -> None:
        """`experts_per_token` is k, `balance` β and `z_loss` ζ."""
        super().__init__()
        self.experts_per_token, self.balance, self.z_loss = experts_per_token, balance, z_loss
        self.router = nn.Parameter(torch.empty(len(experts), width).normal_(0, 0.02))
        self.experts = nn.ModuleList(experts)

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        """x (B, T, D) -> y (B, T, D). A GPU is waited for once, for the sizes of the E batches."""
        flat, k = x.flatten(0, 1), self.experts_per_token  # (n, D)
        with torch.autocast(x.device.type, enabled=False):
            z = functional.linear(flat.float(), self.router.float())  # (n, E)
        p = z.softmax(-1)
        weights, choices = p.topk(k)  # (n, k)
        if k > 1:  # a single weight would always be 1, and the router would have no gradient
            weights = weights / weights.sum(-1, keepdim=True)

        # The n k choices in the order of their experts, so that those of one expert are adjacent.
        by_expert = choices.flatten().argsort(stable=True)
        counts = functional.one_hot(choices.flatten(), len(self.experts)).sum(0)  # (E,)
        sizes = counts.tolist()
        positions = (by_expert // k).split(sizes)
        scales = weights.flatten()[by_expert, None].split(sizes)
        y = torch.zeros_like(flat)
        for expert, chosen, scale in zip(self.experts, positions, scales):
            if len(chosen):
                y.index_add_(0, chosen, (scale * expert(flat[chosen])).to(y.dtype))

        shares = counts / choices.numel()
        balance_loss = len(self.experts) * (shares * p.mean(0)).sum()
        z_loss = z.logsumexp(-1).square().mean()
        penalty = self.balance * balance_loss + self.z_loss * z_loss
        return y.view(x.shape), Routing(penalty, shares.detach())


def usage_figures(shares: Tensor) -> dict[str, Tensor]:
    """Named figures of `shares` (layers, E), for the report of a training step.

    "expert i" is its share over all layers. "experts used" is e to the entropy of a layer's shares,
    the number of equally used experts that would be as uneven; it is the mean over the layers.
    """
    used = torch.special.entr(shares).sum(1).exp().mean()
    by_expert = {f"expert {i}": share for i, share in enumerate(shares.mean(0).unbind())}
    return {"experts used": used, **by_expert}
