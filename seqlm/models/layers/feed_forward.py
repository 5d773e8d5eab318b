"""The feed-forward sublayer of a Transformer, alone or as a mixture of experts.

    f(x) = W_2 σ(W_1 x)                       σ: ReLU (Vaswani et al. 2017) or GELU (GPT)
    f(x) = W_2 (SiLU(W_g x) * W_1 x)          gated: SwiGLU (Shazeer 2020)

Mixture (Shazeer et al. 2017; the losses of Fedus et al. 2022 and Zoph et al. 2022): a router sends
each position to k of E such networks, the experts, and mixes what they say.

    z = W_r x,  p = softmax(z)                             (n, E), in float32
    y = sum over the k largest p_i of  p_i / (their sum) f_i(x)        (k = 1: p_i f_i(x))
    penalty = β E sum_i F_i P_i  +  ζ mean (log sum exp z)²

n positions · F_i the share of all choices that fell on expert i, P_i the mean of p_i. The first
term is least (β) where all experts are used alike; the second keeps the logits small. No expert has
a capacity: none drops a position, so no row of a batch depends on another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlm.models.layers.linear import Linear

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu-tanh": lambda x: functional.gelu(x, approximate="tanh"),
}


class PositionWise(nn.Module):
    """D -> F -> D, the same at every position. Gated, `into` holds W_g above W_1."""

    def __init__(
        self, width: int, hidden: int, activation: str, bias: bool, routed: bool = False
    ) -> None:
        """`routed`: batches come in ever new sizes, and oneDNN would prepare for each of them."""
        super().__init__()
        self.activation, gated = activation, activation == "swiglu"
        linear = nn.Linear if routed else Linear
        self.into = linear(width, 2 * hidden if gated else hidden, bias=bias)
        self.out = linear(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.into(x)  # (.., F), gated (.., 2 F)
        if self.activation == "swiglu":
            gate, into = hidden.chunk(2, -1)
            hidden = functional.silu(gate) * into
        else:
            hidden = ACTIVATIONS[self.activation](hidden)
        y: Tensor = self.out(hidden)
        return y


class Routing(NamedTuple):
    """What a router did with a batch."""

    penalty: Tensor  # scalar
    shares: Tensor  # (E,) F, detached


class Experts(nn.Module):
    """E experts behind a router without a bias, k of them at every position."""

    def __init__(
        self, experts: list[PositionWise], active: int, width: int, balance: float, z_loss: float
    ) -> None:
        """`balance` is β and `z_loss` ζ."""
        super().__init__()
        self.active, self.balance, self.z_loss = active, balance, z_loss
        self.router = nn.Parameter(torch.empty(len(experts), width).normal_(0, 0.02))
        self.experts = nn.ModuleList(experts)

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        """x (B, T, D) -> y (B, T, D). On a GPU it waits once, for the sizes of the E batches."""
        flat = x.flatten(0, 1)  # (n, D)
        with torch.autocast(x.device.type, enabled=False):
            z = functional.linear(flat.float(), self.router.float())  # (n, E)
        p = z.softmax(-1)
        weights, choices = p.topk(self.active)  # (n, k)
        if self.active > 1:  # alone it would be 1, and the router learn nothing from the text
            weights = weights / weights.sum(-1, keepdim=True)

        # The n k choices in the order of their experts, so that each expert's stand together.
        by_expert = choices.flatten().argsort(stable=True)
        counts = functional.one_hot(choices.flatten(), len(self.experts)).sum(0)  # (E,)
        sizes = counts.tolist()
        rows = (by_expert // self.active).split(sizes)
        scales = weights.flatten()[by_expert, None].split(sizes)
        y = torch.zeros_like(flat)
        for expert, own, scale in zip(self.experts, rows, scales):
            if len(own):
                y.index_add_(0, own, (scale * expert(flat[own])).to(y.dtype))

        shares = counts / choices.numel()
        uneven = len(self.experts) * (shares * p.mean(0)).sum()
        large = z.logsumexp(-1).square().mean()
        penalty = self.balance * uneven + self.z_loss * large
        return y.view(x.shape), Routing(penalty, shares.detach())


def usage(shares: Tensor) -> dict[str, Tensor]:
    """Named figures of `shares` (layers, E).

    'expert i' is its share over all layers; 'experts used' is how many equally used experts would
    be as uneven as a layer's are: e to the entropy of its shares, the mean over the layers.
    """
    used = torch.special.entr(shares).sum(1).exp().mean()
    each = {f"expert {i}": share for i, share in enumerate(shares.mean(0).unbind())}
    return {"experts used": used, **each}
