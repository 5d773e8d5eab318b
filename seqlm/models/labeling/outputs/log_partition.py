"""The sum over all label sequences of a linear-chain CRF, and its gradient in closed form.

    log Z = log sum_y exp(sum_t u_{t,y_t} + sum_{t>1} A_{y_{t-1},y_t})

u_{t,l} score of label l at token t · A_{kl} score of label l after label k. With e_t = exp(u_t) and
E = exp(A), each divided by its largest element, the forward-backward algorithm (Rabiner 1989) is

    p_t(l) = e_t(l) sum_k p_{t-1}(k) E_{kl} / c_t,     p_1 = e_1 / c_1,     sum_l p_t(l) = 1
    q_t(k) = sum_l E_{kl} r_{t+1}(l),                  q_T = 1,             r_t = e_t * q_t / c_t

    log Z           = sum_t (log c_t + max u_t) + (T - 1) max A
    d log Z / du_t  = p_t * q_t                        the probabilities of the labels of token t
    d log Z / dA    = E * sum_{t>1} p_{t-1} r_t'       the expected number of each transition

B sentences · T tokens · L labels. A step is a product (B, L) (L, L) in place of the B L^2
exponentials of the recursion on logarithms.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqlm.models.layers.padding import padding_mask

LARGEST_RANGE = 30.0
"""max A - min A for which the products are exact, whatever u is. A number below 1e-38 is lost; a
label that loses it can be worth at most exp(2 x 30) times what remains, or 1e-12 of the sum."""


def has_small_range(transitions: Tensor) -> bool:
    """Whether `log_partition` can be computed with these transitions (L, L)."""
    low, high = transitions.detach().aminmax()
    return bool(high - low <= LARGEST_RANGE)


def log_partition(unary: Tensor, transitions: Tensor, lengths: Tensor) -> Tensor:
    """u (B, T, L), A (L, L) -> log Z (B,), differentiable once. u must be finite."""
    log_z: Tensor = LogPartition.apply(unary, transitions, lengths)
    return log_z


class LogPartition(torch.autograd.Function):
    """log Z. Products have an `out`, so that autocast leaves their precision alone."""

    @staticmethod
    def forward(ctx: Any, unary: Tensor, transitions: Tensor, lengths: Tensor) -> Tensor:
        u = unary.transpose(0, 1)  # (T, B, L)
        inside = padding_mask(lengths, len(u)).t()[..., None]  # (T, B, 1)
        max_u, max_a = u.amax(-1, keepdim=True), transitions.max()
        e, E = (u - max_u).exp(), (transitions - max_a).exp()
        p, c = torch.empty_like(e), torch.empty_like(max_u)
        before = None
        # In the padding the recursion goes on, and nothing reads it.
        for e_t, p_t, c_t in zip(e, p, c):
            weights = e_t if before is None else torch.mm(before, E, out=p_t).mul_(e_t)
            torch.sum(weights, 1, keepdim=True, out=c_t)
            before = torch.div(weights, c_t, out=p_t)
        ctx.save_for_backward(e, E, p, c, lengths)
        return (c.log() + max_u).where(inside, 0).sum((0, 2)) + (lengths - 1) * max_a

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_log_z: Tensor) -> Any:
        e, E, p, c, lengths = ctx.saved_tensors
        # q is 1 at a sentence's last token, and both are 0 behind it.
        inside, inner = (padding_mask(n, len(e)).t()[..., None] for n in (lengths, lengths - 1))
        is_last = (inside & ~inner).to(e.dtype)  # (T, B, 1)
        r, q = e / c, torch.empty_like(e)
        q[-1] = is_last[-1]
        for t in range(len(e) - 1, 0, -1):
            r[t].mul_(q[t])
            torch.addmm(is_last[t - 1], r[t], E.t(), out=q[t - 1])
        d_log_z = d_log_z[:, None]  # (B, 1)
        d_transitions = torch.empty_like(E)
        torch.mm(p[:-1].flatten(0, 1).t(), (r[1:] * d_log_z).flatten(0, 1), out=d_transitions)
        return (p * q * d_log_z).transpose(0, 1), d_transitions.mul_(E), None
